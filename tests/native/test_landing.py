"""Bytes arrive where they belong, and their CRC is that of others' implementation."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from awscrt import checksums
from hypothesis import given
from hypothesis import strategies as st

from fastput.native.landing import FileLanding, Landing, MemoryLanding
from tests.support.content import KIB, content

DATA = content(3 * 256 * KIB + 17)
OFFSET_BYTES = 4099


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def expect_all(landing: Landing, data: bytes = DATA) -> None:
    assert (landing.received_bytes, landing.left_bytes, landing.failure) == (len(data), 0, None)
    assert landing.crc64nvme == checksums.crc64nvme(data)


@given(pieces=st.lists(st.binary(max_size=300)), in_file=st.booleans())
def test_pieces_in_a_row(pieces: list[bytes], in_file: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    data, buffer = b"".join(pieces), bytearray(sum(map(len, pieces)))
    path = tmp_path_factory.getbasetemp() / "pieces"
    with path.open("w+b") as file:
        landing = FileLanding(file.fileno(), OFFSET_BYTES, len(data)) if in_file else MemoryLanding(buffer)
        for piece in pieces:
            landing.put(piece)
        expect_all(landing, data)
        assert (os.pread(file.fileno(), len(data) + 1, OFFSET_BYTES) if in_file else buffer) == data


@pytest.mark.parametrize("received_before", [0, 1, 300_000])
@pytest.mark.parametrize("in_file", [True, False])
def test_from_a_socket_and_not_a_byte_more(
    pair: tuple[socket.socket, socket.socket], file: int, in_file: bool, received_before: int
) -> None:
    ours, theirs = pair
    buffer = bytearray(len(DATA))
    landing = FileLanding(file, OFFSET_BYTES, len(DATA)) if in_file else MemoryLanding(buffer)
    landing.put(DATA[:received_before])
    sending = threading.Thread(target=theirs.sendall, args=(DATA[received_before:] + b"next",))
    sending.start()
    landing.receive(ours.fileno())
    sending.join()
    expect_all(landing)
    assert (os.pread(file, len(DATA) + 1, OFFSET_BYTES) if in_file else buffer) == DATA
    assert ours.recv(10) == b"next"


@pytest.mark.parametrize("in_file", [True, False])
def test_a_connection_that_ends_early_is_gone_on_with(
    pair: tuple[socket.socket, socket.socket], file: int, in_file: bool
) -> None:
    landing = FileLanding(file, 0, len(DATA)) if in_file else MemoryLanding(bytearray(len(DATA)))
    ours, theirs = pair
    theirs.sendall(DATA[:1000])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        landing.receive(ours.fileno())
    assert landing.received_bytes == 1000
    landing.put(DATA[1000:])
    expect_all(landing)


def test_a_connection_that_is_silent(pair: tuple[socket.socket, socket.socket], file: int) -> None:
    ours, theirs = pair
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1000))
    theirs.sendall(DATA[:1000])
    landing = FileLanding(file, 0, len(DATA))
    with pytest.raises(TimeoutError):
        landing.receive(ours.fileno())
    assert (landing.received_bytes, landing.failure) == (1000, None)


def test_a_socket_that_is_none(file: int) -> None:
    landing = FileLanding(file, 0, 10)
    with pytest.raises(OSError, match="socket") as raised:
        landing.receive(file)
    assert raised.value.errno == errno.ENOTSOCK
    assert landing.failure is None


@pytest.mark.parametrize("from_socket", [True, False])
def test_a_file_that_takes_nothing(pair: tuple[socket.socket, socket.socket], from_socket: bool) -> None:
    with open("/dev/full", "wb") as full:
        landing = FileLanding(full.fileno(), 0, 10)
        pair[1].sendall(bytes(10))
        with pytest.raises(OSError, match="space") as raised:
            landing.receive(pair[0].fileno()) if from_socket else landing.put(bytes(10))
    assert landing.failure is raised.value
    assert landing.failure.errno == errno.ENOSPC
    assert landing.received_bytes == 0


def test_more_than_there_is_room_for(file: int) -> None:
    landing = FileLanding(file, 0, 10)
    landing.put(bytes(8))
    with pytest.raises(ValueError, match="more"):
        landing.put(bytes(3))
    assert (landing.received_bytes, os.fstat(file).st_size) == (8, 8)
    with pytest.raises(ValueError, match="negative"):
        FileLanding(file, -1, 1)
    with pytest.raises(BufferError):
        MemoryLanding(b"read only")
