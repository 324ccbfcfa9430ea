"""Digests by parts on several threads, beside the same by others in one go."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st

from fastput.client import hashing
from fastput.client.hashing import Hasher, crc32_combine, cut, in_order
from fastput.errors import Interrupted, SourceChanged
from fastput.source import FileSource
from tests.support.content import MIB, content

OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "crc64nvme": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "crc32c": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "md5": lambda data: hashlib.md5(data).digest(),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
}
PIECE = 1000


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_crc32_combine(a: bytes, b: bytes) -> None:
    assert crc32_combine(zlib.crc32(a), zlib.crc32(b), len(b)) == zlib.crc32(a + b)


def test_crc32_combine_over_terabytes() -> None:
    """5 TiB of zeros in one step, and in 2^20 equal ones by doubling."""
    piece = 5 << 20
    crc, length = zlib.crc32(bytes(piece)), piece
    for _ in range(20):
        crc, length = crc32_combine(crc, crc, length), 2 * length
    assert length == 5 << 40
    half = crc32_combine(zlib.crc32(b""), crc, length)
    assert half == crc
    assert crc32_combine(crc, zlib.crc32(b"end"), 3) == zlib.crc32(b"end", crc)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def hasher(path: Path, data: bytes, pool: ThreadPoolExecutor, stop: threading.Event | None = None) -> Hasher:
    path.write_bytes(data)
    return Hasher(FileSource(path), pool, 8, stop or threading.Event())


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("size_bytes", [0, 1, PIECE - 1, PIECE, PIECE + 1, 20 * PIECE, 20 * PIECE + 7, 3 * MIB])
def test_whole_and_parts(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, name: str, size_bytes: int
) -> None:
    monkeypatch.setattr(hashing, "PIECE_BYTES", max(PIECE, size_bytes // 50))
    data = content(size_bytes)
    made = hasher(tmp_path / "file", data, pool)
    assert made.whole(name) == OTHERS[name](data)
    sizes = [size_bytes // 3, 0, size_bytes - size_bytes // 3]
    assert made.parts(name, sizes) == [OTHERS[name](piece) for piece in (data[: sizes[0]], b"", data[sizes[0] :])]


def test_a_file_that_is_written_to(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    path = tmp_path / "file"
    made = hasher(path, content(10_000), pool)
    path.write_bytes(content(9_000))
    with pytest.raises(SourceChanged, match="while it was read"):
        made.whole("sha256")


def test_an_interruption(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        hasher(tmp_path / "file", content(10_000), pool, stop).whole("crc32")


def test_pieces() -> None:
    assert [(part.offset_bytes, part.length_bytes) for part in cut(25, 10)] == [(0, 10), (10, 10), (20, 5)]
    assert list(cut(0, 10)) == []


def test_in_order_keeps_the_window(pool: ThreadPoolExecutor) -> None:
    running, most = 0, 0
    lock, together = threading.Lock(), threading.Barrier(2)

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(30)  # two run at a time, or this breaks
        with lock:
            running -= 1
        return item * item

    assert list(in_order(pool, work, range(20), 2)) == [number * number for number in range(20)]
    assert most == 2


def test_in_order_ends_early(pool: ThreadPoolExecutor) -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        return 1 // (item - 3)

    with pytest.raises(ZeroDivisionError):
        list(in_order(pool, work, iter(range(1000)), 4))
    assert len(begun) < 20
