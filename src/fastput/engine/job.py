"""What is asked of the engine: one source to one object."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from fastput.model import Checksum, ObjectAttributes, ObjectUri, Progress
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class Job:
    """
    Attributes:
        open_source: opens the source, on a thread that may block; raises SourceError.
        checksum: None: the strongest that the store takes.
        verifies_etag: each part's ETag is compared with its MD5.
        digests: of the whole object, for the receipt; see engine/digests.py.
        is_resumable: a journal is kept, and an earlier run's is taken over.
        rechecks_all: every part of an earlier run is read again, not a sample.
        upload_id: an upload on the store to go on with that no journal knows of.
        on_progress: called on the engine's thread after each confirmed part: it has to be quick.
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

    def note(self, text: str) -> None:
        """Tells whoever wants to know."""
        if self.on_note is not None:
            with contextlib.suppress(Exception):  # a mistake of the caller's touches no upload
                self.on_note(text)
