"""Bytes that are in memory already: bytes, bytearray, mmap, a C-contiguous numpy array. Not copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastput.model import Part
from fastput.native.slicer import MemoryBody, PartBody
from fastput.source.base import SourceBase

if TYPE_CHECKING:
    from typing_extensions import Buffer


class BufferSource(SourceBase):
    """Anything with a contiguous buffer, any shape and item type: its bytes in memory order.

    The caller leaves it unchanged until the upload has ended.
    """

    def __init__(self, buffer: Buffer, name: str = "<memory>") -> None:
        self.name = name
        view = memoryview(buffer)
        # cast() takes no array with a zero in its shape.
        self._view = view.cast("B") if view.nbytes else memoryview(b"")
        self.size_bytes: int | None = view.nbytes

    def body(self, part: Part, trailer: str | None) -> PartBody:
        return MemoryBody(self._view[part.offset_bytes : part.offset_bytes + part.length_bytes], trailer)

    def close(self) -> None:
        self._view.release()
