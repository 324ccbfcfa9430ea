"""Request bodies against independent checksums and an independent decoder of their framing."""

from __future__ import annotations

import errno
import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from awscrt import checksums
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.native.slicer import ChainBody, FileBody, MemoryBody, PartBody, is_cached, will_need, wont_need
from tests.support.content import KIB, MIB, content, crc32c_base64, crc64nvme_base64, decode_aws_chunked

FILE_BYTES = 700_001  # several strides, and a page that isn't full
DATA = content(FILE_BYTES)
ENCODERS = {"crc64nvme": crc64nvme_base64, "crc32c": crc32c_base64}
trailers = st.sampled_from([None, "crc64nvme", "crc32c"])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slicer") / "data"
    path.write_bytes(DATA)
    return path


@pytest.fixture(scope="module")
def fd(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def file_body(fd: int, offset_bytes: int, length_bytes: int, trailer: str | None = None) -> FileBody:
    status = os.fstat(fd)
    return FileBody(fd, offset_bytes, length_bytes, status.st_size, status.st_mtime_ns, trailer)


def drain(body: PartBody, sizes: Iterator[int]) -> bytes:
    """All of a body, in pieces of these sizes."""
    whole = bytearray()
    while True:
        piece = bytearray(b"\xaa" * next(sizes))
        got_bytes = body.readinto(piece)
        if body.failure is None:
            assert piece[got_bytes:] == b"\xaa" * (len(piece) - got_bytes), "wrote behind what it returned"
        whole += piece[:got_bytes]
        if not got_bytes:
            return bytes(whole)


def forever(size_bytes: int) -> Iterator[int]:
    while True:
        yield size_bytes


def random_sizes(seed: int, largest_bytes: int) -> Iterator[int]:
    source = random.Random(seed)
    while True:
        yield source.randint(1, largest_bytes)


def check(body: PartBody, wire: bytes, data: bytes) -> None:
    """What went over the wire, and what the body says of itself afterwards."""
    assert len(wire) == body.body_bytes
    assert body.length_bytes == body.read_bytes == len(data)
    assert body.failure is None
    assert body.crc64nvme == checksums.crc64nvme(data)
    assert body.crc32c == (checksums.crc32c(data) if body.trailer == "crc32c" else 0)
    if body.trailer is None:
        assert wire == data
        return
    framed = decode_aws_chunked(wire)
    assert framed.data == data
    assert all(chunk_bytes >= 8 * KIB for chunk_bytes in framed.chunks[:-1]), "S3 takes no shorter ones but the last"
    assert framed.trailers == {f"x-amz-checksum-{body.trailer}": ENCODERS[body.trailer](data)}


slices = st.integers(0, FILE_BYTES).flatmap(lambda start: st.tuples(st.just(start), st.integers(0, FILE_BYTES - start)))


@given(piece=slices, trailer=trailers, seed=st.integers(0, 99), largest=st.sampled_from([3, 100, 5000, 1 << 20]))
@settings(max_examples=150, deadline=None)
def test_any_slice_of_a_file(fd: int, piece: tuple[int, int], trailer: str | None, seed: int, largest: int) -> None:
    offset_bytes, length_bytes = piece
    if largest == 3:
        length_bytes = min(length_bytes, 3000)
    body = file_body(fd, offset_bytes, length_bytes, trailer)
    check(body, drain(body, random_sizes(seed, largest)), DATA[offset_bytes : offset_bytes + length_bytes])


@given(data=st.binary(max_size=3000), trailer=trailers, seed=st.integers(0, 99), largest=st.sampled_from([1, 7, 9999]))
@settings(max_examples=150, deadline=None)
def test_any_memory(data: bytes, trailer: str | None, seed: int, largest: int) -> None:
    body = MemoryBody(data, trailer)
    check(body, drain(body, random_sizes(seed, largest)), data)


@pytest.mark.parametrize("trailer", [None, "crc64nvme", "crc32c"])
@pytest.mark.parametrize("length_bytes", [0, 1, 15, 16, 17, 255, 4096])
def test_a_byte_at_a_time(fd: int, trailer: str | None, length_bytes: int) -> None:
    """Every border between head, data and tail is the border of a read."""
    data = DATA[123 : 123 + length_bytes]
    for body in (file_body(fd, 123, length_bytes, trailer), MemoryBody(data, trailer)):
        check(body, drain(body, forever(1)), data)


@pytest.mark.parametrize("first_bytes", range(1, 12))
def test_the_first_read_ends_in_and_around_the_head(fd: int, first_bytes: int) -> None:
    body = file_body(fd, 0, 5000, "crc64nvme")
    first = bytearray(first_bytes)
    assert body.readinto(first) == first_bytes
    check(body, bytes(first) + drain(body, forever(1 << 20)), DATA[:5000])


@pytest.mark.parametrize("trailer", [None, "crc64nvme", "crc32c"])
def test_strides(fd: int, trailer: str | None) -> None:
    """One readinto of everything, as the runtime does it, across the strides that the slicer hashes in."""
    for length_bytes in (128 * KIB - 1, 128 * KIB, 128 * KIB + 1, FILE_BYTES):
        for body in (file_body(fd, 0, length_bytes, trailer), MemoryBody(DATA[:length_bytes], trailer)):
            wire = bytearray(body.body_bytes)
            assert body.readinto(wire) == len(wire)
            assert body.readinto(bytearray(1)) == 0
            check(body, bytes(wire), DATA[:length_bytes])


def test_read_is_readinto(fd: int) -> None:
    body = file_body(fd, 10, 1000, "crc32c")
    wire = body.read(0) + body.read(3) + body.read(500) + body.read()
    assert body.read() == b""
    check(body, wire, DATA[10:1010])


def test_no_read_and_empty_buffers(fd: int) -> None:
    body = file_body(fd, 0, 10, "crc64nvme")
    assert body.readinto(bytearray(0)) == 0
    assert body.read_bytes == 0
    check(body, drain(body, forever(100)), DATA[:10])


def test_buffers_that_can_not_be_written(fd: int) -> None:
    body = file_body(fd, 0, 10)
    with pytest.raises((TypeError, BufferError)):
        body.readinto(b"0123456789")
    with pytest.raises((TypeError, BufferError, ValueError)):
        body.readinto(np.zeros(20, np.uint8)[::2])
    assert body.read() == DATA[:10]


def test_arguments_that_make_no_sense(fd: int) -> None:
    with pytest.raises(ValueError, match="sha0"):
        file_body(fd, 0, 10, "sha0")
    with pytest.raises(ValueError, match="negative"):
        file_body(fd, 0, -1)
    with pytest.raises(TypeError):
        MemoryBody("text")  # type: ignore[arg-type]
    with pytest.raises((ValueError, BufferError)):
        MemoryBody(np.zeros(20, np.uint8)[::2])


# ---- failures


def test_a_file_that_is_shorter(fd: int) -> None:
    body = file_body(fd, FILE_BYTES - 10, 20, "crc64nvme")
    wire = drain(body, forever(7))
    assert isinstance(body.failure, EOFError)
    assert len(wire) < body.body_bytes
    assert body.readinto(bytearray(10)) == 0, "a failed body stays failed"


def test_a_file_that_shrank_before_the_last_part_of_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    with path.open("r+b") as file:
        body = file_body(file.fileno(), 0, 500, "crc64nvme")
        os.truncate(path, 600)  # the slice itself is still there
        wire = drain(body, forever(100))
    assert isinstance(body.failure, EOFError)
    assert len(wire) < body.body_bytes


@pytest.mark.parametrize("how", ["mtime", "grown"])
def test_a_file_that_was_written_to(tmp_path: Path, how: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    with path.open("rb") as file:
        body = file_body(file.fileno(), 0, 1000, "crc64nvme")
        assert body.readinto(bytearray(300)) == 300
        if how == "mtime":
            os.utime(path, ns=(0, 1))
        else:
            os.truncate(path, 1001)
        wire = drain(body, forever(300))
    assert isinstance(body.failure, ValueError)
    assert 300 + len(wire) < body.body_bytes, "the request must not be complete"


def test_an_empty_slice_of_a_changed_file_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with path.open("rb") as file:
        check(body := file_body(file.fileno(), 0, 0, "crc64nvme"), drain(body, forever(10)), b"")


@pytest.mark.parametrize("kind", ["write-only", "directory", "closed"])
@pytest.mark.parametrize("trailer", [None, "crc64nvme"])
def test_a_read_that_fails(tmp_path: Path, kind: str, trailer: str | None) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    descriptor = os.open(tmp_path, os.O_RDONLY) if kind == "directory" else os.open(path, os.O_WRONLY)
    body = FileBody(descriptor, 0, 1000, 1000, path.stat().st_mtime_ns, trailer)
    if kind == "closed":
        os.close(descriptor)
    wire = drain(body, forever(100))
    if kind != "closed":
        os.close(descriptor)
    failure = body.failure
    assert isinstance(failure, OSError)
    assert failure.errno == (errno.EISDIR if kind == "directory" else errno.EBADF)
    assert failure.strerror == os.strerror(failure.errno)
    assert body.read_bytes == 0
    assert wire == (b"3e8\r\n" if trailer else b""), "nothing but the frame's head"


# ---- sharing


def test_the_file_offset_is_left_alone(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        file.seek(77)
        file_body(file.fileno(), 1000, 5000, "crc64nvme").read()
        assert file.tell() == 77


def test_threads_on_one_descriptor(fd: int) -> None:
    results: dict[int, bytes] = {}
    length_bytes = FILE_BYTES // 8
    barrier = threading.Barrier(8)

    def run(number: int) -> None:
        barrier.wait()
        for round_number in range(20):
            body = file_body(fd, number * length_bytes, length_bytes, "crc64nvme")
            results[number] = drain(body, random_sizes(round_number, 50_000))
            assert body.crc64nvme == checksums.crc64nvme(DATA[number * length_bytes : (number + 1) * length_bytes])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for number, wire in results.items():
        assert decode_aws_chunked(wire).data == DATA[number * length_bytes : (number + 1) * length_bytes]


def test_the_gil_is_released(tmp_path: Path) -> None:
    """With a switch interval of an hour another thread can only get in where the GIL is given away."""
    path = tmp_path / "file"
    path.write_bytes(bytes(16 * MIB))
    buffer = bytearray(16 * MIB)
    is_reading, seen = False, []
    gate = threading.Lock()
    gate.acquire()

    def get_in() -> None:
        with gate:
            seen.append(is_reading)

    interval_s = sys.getswitchinterval()
    with path.open("rb") as file:
        # Many, for a busy machine that doesn't wake the other thread at once. Making one gives the GIL away.
        bodies = [file_body(file.fileno(), 0, 16 * MIB) for _ in range(200)]
        other = threading.Thread(target=get_in)
        other.start()
        try:
            sys.setswitchinterval(3600)
            is_reading = True
            gate.release()
            for body in bodies:
                body.readinto(buffer)
                if seen:
                    break
            is_reading = False
        finally:
            sys.setswitchinterval(interval_s)
            other.join()
    assert seen == [True]


def test_buffers_are_let_go() -> None:
    data, target = bytearray(1000), bytearray(2000)
    body = MemoryBody(data, "crc64nvme")
    with pytest.raises(BufferError):
        data.append(0)
    body.readinto(target)
    target.append(0)
    del body
    data.append(0)
    with pytest.raises(ValueError, match="sha0"):
        MemoryBody(data, "sha0")
    data.append(0)


def test_read_only_memory_and_arrays() -> None:
    array = np.arange(1000, dtype=">f8").reshape(10, 100)
    check(body := MemoryBody(array, "crc64nvme"), body.read(), array.tobytes())
    check(body := MemoryBody(memoryview(b"abcdef")[2:5]), body.read(), b"cde")


# ---- the page cache


def test_hints_and_what_is_cached(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w+b") as file:
        file.write(content(MIB))
        file.flush()
        os.fsync(file.fileno())  # dirty pages can't be dropped
        descriptor = file.fileno()
        if is_cached(descriptor, 0) is None:
            pytest.skip("this file system can't say what is cached")
        assert is_cached(descriptor, 0) is True
        wont_need(descriptor, 0, MIB)
        if is_cached(descriptor, MIB // 2) is not False:
            pytest.skip("this file system keeps its pages")
        will_need(descriptor, 0, MIB)
        os.pread(descriptor, MIB, 0)
        assert is_cached(descriptor, MIB // 2) is True
        wont_need(descriptor, 0, MIB // 2)
        assert is_cached(descriptor, MIB // 4) is False
        assert is_cached(descriptor, MIB - 1) is True
        assert is_cached(descriptor, MIB) is None, "there is no such page"


def test_hints_on_what_takes_none() -> None:
    reading, writing = os.pipe()
    try:
        assert is_cached(reading, 0) is None
        will_need(reading, 0, 10)
        wont_need(reading, 0, 10)
    finally:
        os.close(reading)
        os.close(writing)


# ---- holes

extents = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 5)), max_size=5)  # (from, pages), in pages of 4 KiB


@settings(max_examples=60, deadline=None)
@given(extents, st.integers(0, 70 * 4096), st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 99))
def test_a_file_with_holes(
    tmp_path_factory: pytest.TempPathFactory,
    extents: list[tuple[int, int]],
    size_bytes: int,
    first_byte: int,
    length_bytes: int,
    seed: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "holes"
    with path.open("wb") as file:
        for place, pages in extents:
            file.seek(place * 4096)
            file.write(content(pages * 4096, place))
        file.truncate(size_bytes)
    data = path.read_bytes()[first_byte : first_byte + length_bytes]
    status = path.stat()
    with path.open("rb") as file:
        body = FileBody(
            file.fileno(), first_byte, len(data), size_bytes, status.st_mtime_ns, "crc64nvme", is_sparse=True
        )
        check(body, drain(body, random_sizes(seed, 200_000)), data)


def test_holes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.seek(64 * MIB)
        file.write(b"data")
        file.truncate(128 * MIB)
    if path.stat().st_blocks * 512 >= 128 * MIB:
        pytest.skip("this file system has no holes")

    def read_bytes() -> int:
        return int(Path("/proc/thread-self/io").read_text().split()[1])

    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        body = FileBody(file.fileno(), 0, 128 * MIB, 128 * MIB, stat.st_mtime_ns, None, is_sparse=True)
        before = read_bytes()
        data = bytearray(128 * MIB)
        assert body.readinto(data) == 128 * MIB
        assert read_bytes() - before < MIB
    assert data[64 * MIB : 64 * MIB + 4] == b"data"
    assert data.count(0) == 128 * MIB - 4
    assert body.crc64nvme == checksums.crc64nvme(bytes(data))


def test_a_file_with_holes_that_shrank(tmp_path: Path) -> None:
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(2 * MIB)
    with path.open("r+b") as file:
        body = FileBody(file.fileno(), MIB, MIB, 2 * MIB, path.stat().st_mtime_ns, None, is_sparse=True)
        file.truncate(1000)
        drain(body, forever(100_000))
        assert isinstance(body.failure, EOFError)


@given(
    st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 200), st.sampled_from([None, "crc64nvme", "crc32c"])
)
def test_buffers_one_behind_the_other(buffers: list[bytes], room_bytes: int, trailer: str | None) -> None:
    """As one of all of them, however it is read."""
    whole = MemoryBody(b"".join(buffers), trailer)
    chain = ChainBody(buffers, trailer)
    assert chain.body_bytes == whole.body_bytes
    read, piece = bytearray(), bytearray(room_bytes)
    while count := chain.readinto(piece):
        read += piece[:count]
    assert bytes(read) == whole.read()
    assert (chain.crc64nvme, chain.failure) == (whole.crc64nvme, None)
