"""A stream of unknown length: standard input, a pipe, any binary file object."""

from __future__ import annotations

import select
from typing import BinaryIO

from fastput.errors import SourceError, SourceReadError
from fastput.model import Part, SourceStat
from fastput.native.slicer import PartBody


class StreamSource:
    """Read once, from front to back, by one thread at a time."""

    size_bytes: int | None = None

    def __init__(self, stream: BinaryIO, name: str = "<stream>") -> None:
        self.name = name
        self._stream = stream

    def stat(self) -> SourceStat | None:
        return None

    def check_unchanged(self) -> None:
        pass

    def body(self, part: Part, trailer: str | None) -> PartBody:
        raise NotImplementedError("a stream can't be read by position")

    def read(self, length_bytes: int) -> bytearray:
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
        return buffer

    def failure_of(self, body: PartBody) -> SourceError | None:
        return None

    def will_send(self, part: Part) -> None:
        pass

    def was_sent(self, part: Part) -> None:
        pass

    def close(self) -> None:
        pass  # whoever opened the stream closes it
