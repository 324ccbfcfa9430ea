"""What the engine asks of a source."""

from __future__ import annotations

from typing import Protocol

from fastput.errors import SourceError
from fastput.model import Part, SourceStat
from fastput.native.slicer import PartBody


class Source(Protocol):
    """A source with a size can be read at any offset, by several threads and again for a retry.

    One whose size_bytes is None can only be read once, from front to back; the engine buffers its parts.
    """

    name: str
    size_bytes: int | None

    def stat(self) -> SourceStat | None:
        """The identity when it was opened; None where there is none."""

    def check_unchanged(self) -> None:
        """Called when everything was read, before the object is completed.

        Raises:
            SourceChanged: the source isn't what it was when it was opened.
        """

    def body(self, part: Part, trailer: str | None) -> PartBody:
        """A fresh body for a part of a source with a size."""

    def read(self, length_bytes: int) -> bytearray:
        """The next bytes of a source without a size; fewer than asked only at its end. May block.

        Raises:
            SourceReadError: the stream failed.
        """

    def failure_of(self, body: PartBody) -> SourceError | None:
        """Why a body of this source ended early, as an exception; None if it didn't."""

    def will_send(self, part: Part) -> None:
        """The part is about to be read: a chance to read ahead."""

    def was_sent(self, part: Part) -> None:
        """The store has the part: a chance to give its pages back."""

    def close(self) -> None:
        """Releases descriptors. Called once, when no body is in use any more."""
