"""Digests of a source that is read for nothing else: by parts, on several threads, CRCs combined.

The library's hashes and ours release the GIL. A SHA can't be combined: it takes one thread from front to back.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fastput.engine.digests import Digests
from fastput.errors import Interrupted, SourceChanged
from fastput.limits import MIB
from fastput.model import Part
from fastput.native.crc import crc32c, crc32c_combine, crc64nvme_combine
from fastput.source import Source
from fastput.text import printable

_T = TypeVar("_T")
_U = TypeVar("_U")

PIECE_BYTES = 32 * MIB
_BUFFER_BYTES = MIB
# x^8 and x^0 modulo CRC-32's polynomial, in the order of bits that zlib has: the highest power is the lowest bit.
_CRC32_POLYNOMIAL = 0xEDB88320
_CRC32_X8 = 1 << 23
_CRC32_X0 = 1 << 31


class Hasher:
    """Digests of one source with a size, on the threads of a pool that others may share. Calls block.

    Args:
        window: the most pieces that are under way.
        stop: ends the reading.
    """

    def __init__(self, source: Source, pool: ThreadPoolExecutor, window: int, stop: threading.Event) -> None:
        self._source = source
        self._pool = pool
        self._window = window
        self._stop = stop

    def whole(self, algorithm: str) -> bytes:
        """The digest of all bytes.

        Raises:
            SourceError: the source can't be read, or isn't what it was.
            Interrupted: stop was set.
        """
        size_bytes = self._source.size_bytes or 0
        combine = _COMBINERS.get(algorithm)
        if combine is None or size_bytes <= PIECE_BYTES:
            return self.parts(algorithm, [size_bytes])[0]
        crc = 0
        for part, digest in self._digests(algorithm, cut(size_bytes, PIECE_BYTES)):
            crc = combine(crc, int.from_bytes(digest, "big"), part.length_bytes)
        return crc.to_bytes(8 if algorithm == "crc64nvme" else 4, "big")

    def parts(self, algorithm: str, sizes: Sequence[int]) -> list[bytes]:
        """The digest of each part. Errors as whole()."""
        return [digest for _, digest in self._digests(algorithm, _in_a_row(sizes))]

    def _digests(self, algorithm: str, parts: Iterable[Part]) -> Iterator[tuple[Part, bytes]]:
        return in_order(self._pool, lambda part: (part, self.part(algorithm, part)), parts, self._window)

    def part(self, algorithm: str, part: Part) -> bytes:
        """The digest of one part, on the caller's thread. Errors as whole()."""
        crc = 0
        digests = Digests((algorithm,)) if algorithm not in ("crc64nvme", "crc32c") else None
        self._source.will_send(part)
        body = self._source.body(part, None)
        view = memoryview(bytearray(min(_BUFFER_BYTES, max(part.length_bytes, 1))))
        while (count := body.readinto(view)) > 0:
            if self._stop.is_set():
                raise Interrupted("interrupted")
            if digests is not None:
                digests.update(view[:count])
            elif algorithm == "crc32c":
                crc = crc32c(view[:count], crc)
        self._source.was_sent(part)
        if body.failure is not None and not isinstance(body.failure, OSError):
            raise changed(self._source, str(body.failure))
        if (error := self._source.failure_of(body)) is not None:
            raise error
        if digests is not None:
            return bytes.fromhex(digests.hexdigests()[algorithm])
        return crc.to_bytes(4, "big") if algorithm == "crc32c" else body.crc64nvme.to_bytes(8, "big")


def changed(source: Source, how: str) -> SourceChanged:
    """The error for a source that somebody writes to while it is compared."""
    name = printable(source.name)
    return SourceChanged(f"{name}: the file changed while it was read ({how}): verify it when it is finished")


def cut(size_bytes: int, piece_bytes: int) -> Iterator[Part]:
    """Pieces of one size, the last may be smaller; none of nothing."""
    for number, offset_bytes in enumerate(range(0, size_bytes, piece_bytes), start=1):
        yield Part(number, offset_bytes, min(piece_bytes, size_bytes - offset_bytes))


def _in_a_row(sizes: Sequence[int]) -> Iterator[Part]:
    offset_bytes = 0
    for number, length_bytes in enumerate(sizes, start=1):
        yield Part(number, offset_bytes, length_bytes)
        offset_bytes += length_bytes


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[_T], _U], items: Iterable[_T], window: int
) -> Generator[_U, None, None]:
    """What work makes of each item, in their order, with so many under way at a time.

    Closing it early, or an exception of work, waits for those under way and begins no more.
    """
    running: deque[Future[_U]] = deque()
    try:
        for item in items:
            if len(running) >= window:
                yield running.popleft().result()
            running.append(pool.submit(work, item))
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
        for future in running:
            if not future.cancelled():
                future.exception()


def crc32_combine(crc_a: int, crc_b: int, len_b: int) -> int:
    """The CRC-32 of a || b from those of a and b and the length of b in bytes, as zlib's crc32_combine()."""
    return _multiply(_power(len_b), crc_a) ^ crc_b


@functools.lru_cache(maxsize=64)
def _power(length_bytes: int) -> int:
    """x^(8 * length) modulo the polynomial: what so many bytes behind it do to a CRC-32."""
    result, square = _CRC32_X0, _CRC32_X8
    while length_bytes:
        if length_bytes & 1:
            result = _multiply(square, result)
        square = _multiply(square, square)
        length_bytes >>= 1
    return result


def _multiply(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _CRC32_X0:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = b >> 1 ^ (_CRC32_POLYNOMIAL if b & 1 else 0)
    return product


_COMBINERS: dict[str, Callable[[int, int, int], int]] = {
    "crc64nvme": crc64nvme_combine,
    "crc32c": crc32c_combine,
    "crc32": crc32_combine,
}
