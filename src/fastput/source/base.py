"""What the engine asks of a source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastput.errors import SourceError
from fastput.model import Content, Part, SourceStat
from fastput.native.slicer import PartBody


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of a source without a size.

    Attributes:
        data: one behind the other: to join them would be to copy all that is sent once more.
        is_last: there is nothing behind it.
        note: what the source wants to hear of it when a later run goes on behind it; see SourceBase.go_on().
    """

    data: Sequence[bytes | bytearray]
    is_last: bool
    note: bytes = b""

    @property
    def length_bytes(self) -> int:
        return sum(map(len, self.data))


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

    def read(self, length_bytes: int) -> Piece:
        """The next bytes of a source without a size, about so many, at least those of a part. May block.

        Raises:
            SourceReadError: the stream failed.
        """

    def failure_of(self, body: PartBody) -> SourceError | None:
        """Why a body of this source ended early, as an exception; None if it didn't."""

    def will_send(self, part: Part) -> None:
        """The part is about to be read: a chance to read ahead."""

    def was_sent(self, part: Part) -> None:
        """The store has the part: a chance to give its pages back."""

    def metadata(self) -> Mapping[str, str]:
        """What its object is to say of it, as far as that is known now."""

    def content(self) -> Content | None:
        """What the object was made of, when all of it was read; None: it is that itself."""

    def cut(self, begin_bytes: int, end_bytes: int) -> int:
        """Where what begins there is to end, at the latest at end_bytes: a frame that holds whole members is better."""

    def index(self) -> tuple[bytes, int] | None:
        """(JSON lines, how many) of the members, when all was read; None: it has none."""

    def go_on(self, notes: Sequence[bytes], checks: Sequence[int]) -> int | None:
        """Begins behind the pieces of an earlier run, of which these are the notes.

        Args:
            checks: the numbers, from 0, of those that are read once more.

        Returns:
            Which one, from 0, isn't what it was; None: all is well.

        Raises:
            SourceError: the source can't be read.
        """

    def close(self) -> None:
        """Releases descriptors. Called once, when no body is in use any more."""


class SourceBase:
    """What most sources answer."""

    def stat(self) -> SourceStat | None:
        return None

    def check_unchanged(self) -> None:
        pass

    def body(self, part: Part, trailer: str | None) -> PartBody:
        raise NotImplementedError("it can't be read by position")

    def read(self, length_bytes: int) -> Piece:
        raise NotImplementedError("it is read by position")

    def failure_of(self, body: PartBody) -> SourceError | None:
        return None

    def will_send(self, part: Part) -> None:
        pass

    def was_sent(self, part: Part) -> None:
        pass

    def metadata(self) -> Mapping[str, str]:
        return {}

    def content(self) -> Content | None:
        return None

    def cut(self, begin_bytes: int, end_bytes: int) -> int:
        return end_bytes

    def index(self) -> tuple[bytes, int] | None:
        return None

    def go_on(self, notes: Sequence[bytes], checks: Sequence[int]) -> int | None:
        raise NotImplementedError("it has no pieces that a later run could go on behind")

    def close(self) -> None:
        pass
