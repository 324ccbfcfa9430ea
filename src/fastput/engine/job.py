"""What is asked of the engine: one source to one object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastput.model import Checksum, ObjectAttributes, ObjectUri, Progress
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class Job:
    """
    Attributes:
        open_source: opens the source, on a thread that may block; raises SourceError.
        on_progress: called on the engine's thread after each confirmed part: it has to be quick.
    """

    open_source: Callable[[], Source]
    uri: ObjectUri
    attributes: ObjectAttributes
    checksum: Checksum = Checksum.CRC64NVME
    no_clobber: bool = False
    on_progress: Callable[[Progress], None] | None = None
