"""A stream of unknown length: standard input, a pipe, any binary file object."""

from __future__ import annotations

import select
from typing import BinaryIO

from fastput.errors import SourceReadError
from fastput.source.base import Piece, SourceBase


class StreamSource(SourceBase):
    """Read once, from front to back, by one thread at a time. Whoever opened the stream closes it."""

    size_bytes: int | None = None

    def __init__(self, stream: BinaryIO, name: str = "<stream>") -> None:
        self.name = name
        self._stream = stream

    def read(self, length_bytes: int) -> Piece:
        buffer = bytearray(length_bytes)
        filled_bytes = 0
        with memoryview(buffer) as view:
            while filled_bytes < length_bytes:
                try:
                    got_bytes = self._stream.readinto(view[filled_bytes:])  # type: ignore[attr-defined]
                    if got_bytes is None:  # nothing now, but not the end: the pipe was set not to block
                        select.select([self._stream], [], [])
                        continue
                except Exception as error:  # a cut-off gzip raises EOFError, a damaged one zlib.error
                    raise SourceReadError(f"{self.name}: reading failed: {error}") from None
                if got_bytes == 0:
                    break
                filled_bytes += got_bytes
        del buffer[filled_bytes:]
        return Piece([buffer], is_last=filled_bytes < length_bytes)
