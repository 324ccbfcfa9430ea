"""What is asked of the engine: one source to one object."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from fastput.errors import Interrupted
from fastput.limits import MIB
from fastput.model import Checksum, ObjectAttributes, ObjectUri, Progress
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What a walk has found out about a regular file."""

    path: str
    size_bytes: int
    mtime_ns: int


COMPRESSED_SUFFIX = ".zst"
"""Of the keys of compressed objects."""


@dataclass(frozen=True, slots=True)
class Compression:
    """
    Attributes:
        level: of zstd, 1 to 19; None: it follows the link and the data.
        frame_bytes: of content in a frame, at most.
    """

    level: int | None = None
    frame_bytes: int = MIB


@dataclass(frozen=True, slots=True)
class Job:
    """
    Attributes:
        open_source: opens the source, on a thread that may block; raises SourceError.
        file: what it opens, if that is a whole file which others have looked at before.
        checksum: None: the strongest that the store takes.
        verifies_etag: each part's ETag is compared with its MD5.
        digests: of the whole object, for the receipt; see engine/digests.py.
        is_resumable: a journal is kept, and an earlier run's is taken over.
        rechecks_all: every part of an earlier run is read again, not a sample.
        upload_id: an upload on the store to go on with that no journal knows of.
        on_progress: called on the engine's thread after each confirmed part: it has to be quick.
        is_wanted: asked before it begins; False: it ends as Interrupted. None: it is.
        compression: None: the object is what the source is.
        is_reached: the store has answered somebody else a moment ago: if it doesn't now, the link has dropped.
        on_note: called with a sentence for people when something was found that they should know; any thread.
    """

    open_source: Callable[[], Source]
    uri: ObjectUri
    attributes: ObjectAttributes
    checksum: Checksum | None = None
    no_clobber: bool = False
    verifies_etag: bool = False
    digests: tuple[str, ...] = ()
    is_resumable: bool = False
    rechecks_all: bool = False
    upload_id: str | None = None
    on_progress: Callable[[Progress], None] | None = None
    on_note: Callable[[str], None] | None = None
    file: KnownFile | None = None
    is_wanted: Callable[[], bool] | None = None
    is_reached: bool = False
    compression: Compression | None = None

    def check_wanted(self) -> None:
        """
        Raises:
            Interrupted: it isn't wanted any more.
        """
        if self.is_wanted is not None and not self.is_wanted():
            raise Interrupted(f"{self.uri}: not begun, because it isn't wanted any more")

    def note(self, text: str) -> None:
        """Tells whoever wants to know."""
        if self.on_note is not None:
            with contextlib.suppress(Exception):  # a mistake of the caller's touches no upload
                self.on_note(text)


def attributes_of(job: Job, source: Source) -> ObjectAttributes:
    """What the object is to carry, with what its source says of it now."""
    more = source.metadata()
    return replace(job.attributes, metadata={**job.attributes.metadata, **more}) if more else job.attributes
