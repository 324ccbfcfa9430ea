"""An object's content, or a member of an archive, as a file that can be read anywhere."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastput.client.reading.archive import Archive, Archives, Span, check
from fastput.client.reading.uris import Location
from fastput.limits import KIB, MIB
from fastput.native.crc import crc64nvme

if TYPE_CHECKING:
    from typing_extensions import Buffer

# What is read at a place, and at most when it is read on from there: twice as much each time.
_LEAST_BYTES, _MOST_BYTES = 256 * KIB, 8 * MIB
_CACHED_BYTES = 32 * MIB
_BUFFER_BYTES = 64 * KIB


def open_location(
    archives: Archives, uri: str, raw: bool, on_close: Callable[[], None] = lambda: None
) -> io.BufferedReader:
    """A seekable file of an object's content, or of a member; it raises what Archive.read() does.

    What was read from front to back is compared with its checksum when its end is reached.

    Raises:
        UsageError: no S3 URI, or a member that is no file.
        DamagedArchive, StoreError, EndpointError, CredentialsError: it can't be read.
        SourceError: zeros stand in the member's place.
    """
    archive, span = open_span(archives, Location.parse(uri), raw)
    return io.BufferedReader(_RemoteFile(archive, span, on_close), _BUFFER_BYTES)


def open_span(archives: Archives, location: Location, raw: bool) -> tuple[Archive, Span]:
    """An object and where in its content the location is. Errors as open_location()."""
    if location.member is None:
        archive = archives.open(location.uri, raw)
        return archive, archive.content()
    archive = archives.open(location.uri)
    return archive, archive.span(archive.file(location.name))


class _RemoteFile(io.RawIOBase):
    """Keeps what it has read last. Belongs to one thread, as BufferedReader sees to."""

    def __init__(self, archive: Archive, span: Span, on_close: Callable[[], None]) -> None:
        self.name = span.name
        self.mode = "rb"
        self._archive = archive
        self._span = span
        self._on_close = on_close
        self._at_bytes = 0
        self._ahead_bytes = _LEAST_BYTES
        self._cache: deque[tuple[int, memoryview]] = deque()  # (where it begins, content), the newest first
        self._read_bytes = self._crc64nvme = 0  # from the front on

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at_bytes

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at_bytes, os.SEEK_END: self._span.length_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"a place {base + offset} is before the beginning")
        self._at_bytes = base + offset
        return self._at_bytes

    def readinto(self, buffer: Buffer, /) -> int:
        target = memoryview(buffer).cast("B")
        wanted_bytes = min(len(target), self._span.length_bytes - self._at_bytes)
        if wanted_bytes <= 0:
            return 0
        begin_bytes, data = self._around(self._at_bytes)
        found = data[self._at_bytes - begin_bytes :][:wanted_bytes]
        target[: len(found)] = found
        self._note(found)
        self._at_bytes += len(found)
        return len(found)

    def close(self) -> None:
        if not self.closed:
            self._cache.clear()
            self._on_close()
        super().close()

    def _around(self, place_bytes: int) -> tuple[int, memoryview]:
        """What is kept of the content at a place, or else is read now."""
        for cached in self._cache:
            if cached[0] <= place_bytes < cached[0] + len(cached[1]):
                return cached
        follows = any(begin_bytes + len(data) == place_bytes for begin_bytes, data in self._cache)
        self._ahead_bytes = min(2 * self._ahead_bytes, _MOST_BYTES) if follows else _LEAST_BYTES
        span = self._span
        length_bytes = min(self._ahead_bytes, span.length_bytes - place_bytes)
        begin_bytes, data = self._archive.read_around(span.offset_bytes + place_bytes, length_bytes)
        found = (begin_bytes - span.offset_bytes, memoryview(data))
        self._cache.appendleft(found)
        while len(self._cache) > 1 and sum(len(kept) for _, kept in self._cache) > _CACHED_BYTES:
            self._cache.pop()
        return found

    def _note(self, found: Buffer) -> None:
        """
        Raises:
            DamagedArchive: this was the last of it, and all of it has another checksum.
        """
        if self._at_bytes == self._read_bytes:
            self._crc64nvme = crc64nvme(found, self._crc64nvme)
            self._read_bytes += len(memoryview(found))
            if self._read_bytes == self._span.length_bytes:
                check(self._span, self._crc64nvme)
