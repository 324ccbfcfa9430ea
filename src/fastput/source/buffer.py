"""Bytes that are in memory already: bytes, bytearray, mmap, a C-contiguous numpy array. Not copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastput.errors import SourceError
from fastput.model import Part, SourceStat
from fastput.native.slicer import MemoryBody, PartBody

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BufferSource:
    """Anything with a contiguous buffer, any shape and item type: its bytes in memory order.

    The caller leaves it unchanged until the upload has ended.
    """

    def __init__(self, buffer: Buffer, name: str = "<memory>") -> None:
        self.name = name
        view = memoryview(buffer)
        # cast() takes no array with a zero in its shape.
        self._view = view.cast("B") if view.nbytes else memoryview(b"")
        self.size_bytes: int | None = view.nbytes

    def stat(self) -> SourceStat | None:
        return None

    def check_unchanged(self) -> None:
        pass

    def body(self, part: Part, trailer: str | None) -> PartBody:
        return MemoryBody(self._view[part.offset_bytes : part.offset_bytes + part.length_bytes], trailer)

    def read(self, length_bytes: int) -> bytearray:
        raise NotImplementedError("a buffer is read by position")

    def failure_of(self, body: PartBody) -> SourceError | None:
        return None

    def will_send(self, part: Part) -> None:
        pass

    def was_sent(self, part: Part) -> None:
        pass

    def close(self) -> None:
        self._view.release()
