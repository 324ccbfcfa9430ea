"""Bodies made of heads, files and zeros, beside the same bytes joined by Python."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from awscrt import checksums
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.native.pack import PackBody
from fastput.native.slicer import PartBody
from tests.support.content import MIB, content, crc64nvme_base64, decode_aws_chunked

if TYPE_CHECKING:
    from fastput.native.pack import Entry, Piece

DATA = content(MIB + 6017)  # several strides
trailers = st.sampled_from([None, "crc64nvme", "crc32c"])


@dataclass
class Given:
    """What a body is made of, and what it has said."""

    made_of: list[Entry]
    behind: bytes = b""
    pieces: list[Piece] = field(default_factory=list)
    crc64nvme: int | None = None

    def entries(self) -> list[Entry]:
        return self.made_of

    def was_read(self, pieces: list[Piece], crc64nvme: int) -> None:
        assert self.crc64nvme is None
        self.pieces, self.crc64nvme = pieces, crc64nvme

    def rest(self) -> bytes:
        assert self.crc64nvme is not None or not self.made_of, "asked for what is behind before all was read"
        return self.behind


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "data"
    path.write_bytes(DATA)
    return path


def piece(path: Path, offset_bytes: int, length_bytes: int, head: bytes = b"", padding_bytes: int = 0) -> Entry:
    status = path.stat()
    return head, os.fsencode(path), offset_bytes, length_bytes, status.st_size, status.st_mtime_ns, padding_bytes


def drain(body: PartBody, step_bytes: int) -> bytes:
    whole = bytearray()
    while True:
        buffer = bytearray(b"\xaa" * step_bytes)
        got_bytes = body.readinto(buffer)
        assert buffer[got_bytes:] == b"\xaa" * (step_bytes - got_bytes), "wrote behind what it returned"
        whole += buffer[:got_bytes]
        if not got_bytes:
            return bytes(whole)


PIECES = st.lists(
    st.tuples(
        st.binary(max_size=600),
        st.integers(0, 5000),
        st.one_of(st.integers(0, 600), st.sampled_from([MIB // 2, MIB // 2 + 1, MIB])),
        st.integers(0, 600),
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(PIECES, st.binary(max_size=700), st.integers(30, 5000), trailers)
def test_heads_pieces_zeros_and_what_is_behind(
    path: Path, pieces: list[tuple[bytes, int, int, int]], behind: bytes, step_bytes: int, trailer: str | None
) -> None:
    made = Given([piece(path, offset, length, head, padding) for head, offset, length, padding in pieces], behind)
    contents = [DATA[offset : offset + length] for _, offset, length, _ in pieces]
    packed = b"".join(
        head + data + bytes(padding) for (head, _, _, padding), data in zip(pieces, contents, strict=True)
    )
    body = PackBody(made, len(packed) + len(behind), trailer)
    wire = drain(body, step_bytes * 100 if len(packed) > 10_000 else step_bytes)
    assert body.failure is None
    assert len(wire) == body.body_bytes
    if trailer is None:
        assert wire == packed + behind
    else:
        framed = decode_aws_chunked(wire)
        assert framed.data == packed + behind
        if trailer == "crc64nvme":
            assert framed.trailers["x-amz-checksum-crc64nvme"] == crc64nvme_base64(packed + behind)
    if pieces and packed + behind:
        assert made.crc64nvme == checksums.crc64nvme(packed)
        assert made.pieces == [(at, checksums.crc64nvme(data), None) for at, data in enumerate(contents)]


def test_holes_are_zeros(tmp_path: Path) -> None:
    holey = tmp_path / "holey"
    with holey.open("wb") as file:
        file.truncate(4 * MIB)
        os.pwrite(file.fileno(), b"data", 2 * MIB - 2)
    made = Given([piece(holey, 0, 4 * MIB)])
    data = PackBody(made, 4 * MIB).read()
    assert data == holey.read_bytes()
    assert made.pieces == [(0, checksums.crc64nvme(data), None)]


@pytest.mark.parametrize("step_bytes", [100, 100_000])
def test_what_a_file_does_not_give_is_zeros(path: Path, tmp_path: Path, step_bytes: int) -> None:
    gone, directory, fifo = tmp_path / "gone", tmp_path / "directory", tmp_path / "fifo"
    directory.mkdir()
    os.mkfifo(fifo)
    whole = piece(path, 0, 1000)
    entries = [
        whole,
        (b"", os.fsencode(gone), 0, 300, 300, 0, 0),
        (b"", os.fsencode(directory), 0, 300, 300, 0, 0),
        (b"", os.fsencode(fifo), 0, 300, 300, 0, 0),  # opening it must not wait for a writer
        (*whole[:4], len(DATA) + 1, *whole[5:]),
        (*whole[:5], whole[5] + 1, 0),
        (b"", b"/proc/self/stat", 0, 0, 0, os.stat("/proc/self/stat").st_mtime_ns, 0),
        whole,
    ]
    made = Given(entries)
    body = PackBody(made, sum(entry[3] for entry in entries))
    assert drain(body, step_bytes) == DATA[:1000] + bytes(3 * 300 + 2 * 1000) + DATA[:1000]
    assert body.failure is None
    crcs = [checksums.crc64nvme(data) for data in (DATA[:1000], bytes(300), bytes(1000), b"")]
    assert [crc for _, crc, _ in made.pieces] == [crcs[at] for at in (0, 1, 1, 1, 2, 2, 3, 0)]
    whys = [why for _, _, why in made.pieces]
    assert whys[0] is None
    assert whys[-1] is None
    assert whys[1] == "it can't be read: No such file or directory"
    assert whys[2] == whys[3] == "it isn't a regular file any more"
    assert whys[4] == "it has another size than it had"
    assert whys[5] == "it was written to"
    assert whys[6] is not None


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(DATA[:10_000])
    made = Given([piece(path, 0, 10_000)], b"behind")
    body = PackBody(made, 10_006)
    first = bytearray(4000)
    assert body.readinto(first) == 4000
    os.truncate(path, 5000)
    assert bytes(first) + body.read(10_000) == DATA[:4000] + bytes(6000) + b"behind"
    assert made.pieces[0][2] == "it has another size than it had"


def test_no_descriptor_is_left(path: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    PackBody(Given([piece(path, 0, 10), (b"", os.fsencode(tmp_path), 0, 10, 10, 0, 0)]), 20).read()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "entry",
    [
        (b"", None, 0, 1, 1, 0, 0),
        (b"", b"/dev/zero", 5, 6, 10, 0, 0),
        (b"", b"/dev/zero", -1, 1, 10, 0, 0),
        (b"", b"a\0b", 0, 1, 1, 0, 0),
        (b"", b"/dev/zero", 0, 0, 0, 0, -1),
    ],
)
def test_impossible_entries_end_the_body(entry: Entry) -> None:
    body = PackBody(Given([entry]), 10)
    assert body.read() == b""
    assert isinstance(body.failure, ValueError)


class _Wrong(Given):
    def rest(self) -> bytes:
        raise KeyError("wrong")


def test_what_the_content_raises_ends_the_body() -> None:
    body = PackBody(_Wrong([(b"head", None, 0, 0, 0, 0, 0)]), 10)
    assert body.read() == b"head"
    assert isinstance(body.failure, KeyError)
    short = PackBody(Given([], b"short"), 10)
    assert short.read() == b""
    assert isinstance(short.failure, ValueError)
