"""ratarmount's index, used by ratarmount itself, without FUSE."""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from ratarmountcore.mountsource.factory import open_mount_source
from ratarmountcore.mountsource.formats.tar import SQLiteIndexedTar

from fastput.formats.members import IndexedMember
from fastput.formats.ratarmount import write_index
from fastput.formats.tar import Kind, Member, end_bytes, header, padding_bytes
from tests.support.content import content

T_NS = 1_700_000_000_123_456_789
# b"implied" and b"last" are no members themselves.
TREE = [
    (Member(b"a", Kind.DIRECTORY, 0, 0o750, T_NS, 1, 2), b""),
    (Member(b"a/empty", Kind.FILE, 0, 0o600, T_NS + 1, 1, 2), b""),
    (Member("a/é☄".encode(), Kind.FILE, 5000, 0o644, -1_250_000_000, 1, 2), content(5000, 1)),
    (Member(b"a/not utf-8 \xff", Kind.FILE, 700, 0o644, 10**18, 1, 2), content(700, 2)),
    (Member(b"a/" + b"x" * 250, Kind.FILE, 3, 0o400, 10**18 + 7, 1, 2), b"abc"),
    (Member(b"hard", Kind.HARDLINK, 0, 0o400, 10**18 + 7, 1, 2, b"a/" + b"x" * 250), b""),
    (Member(b"implied/deeply/b", Kind.FILE, 300_000, 0o640, T_NS, 3, 4), content(300_000, 3)),
    (Member(b"symbolic", Kind.SYMLINK, 0, 0o777, T_NS, 1, 2, b"a/\xff"), b""),
    (Member(b"last/c", Kind.FILE, 512, 0o644, T_NS, 1, 2), content(512, 4)),
]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for indexes there as well."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


def pack() -> tuple[bytes, list[IndexedMember]]:
    data = b""
    members = []
    for member, body in TREE:
        begin = len(data)
        data += header(member)
        members.append(
            IndexedMember(
                member.name,
                member.kind,
                begin,
                len(data),
                member.size_bytes,
                member.mode,
                member.mtime_ns,
                member.uid,
                member.gid,
                member.link,
                0,
                True,
            )
        )
        data += body + bytes(padding_bytes(len(body)))
    return data + bytes(end_bytes(len(data))), members


def _skippable(magic: int, payload: bytes) -> bytes:
    return struct.pack("<II", magic, len(payload)) + payload


class Packed:
    """An archive in a directory, as docs/decisions/0015 and 0016 lay it out."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / name
        self.index_path = directory / f"{name}.index.sqlite"
        data, self.members = pack()
        self.frames: list[tuple[int, int]] = []
        tail = _skippable(0x184D2A56, b"an index") + _skippable(0x184D2A57, b"facts")
        if name.endswith(".zst"):
            pieces = [data[begin : begin + 50_000] for begin in range(0, len(data), 50_000)]
            compressed = [zstandard.ZstdCompressor(write_checksum=True).compress(piece) for piece in pieces]
            self.frames = [(len(frame), len(piece)) for frame, piece in zip(compressed, pieces, strict=True)]
            data = b"".join(compressed)
            table = b"".join(struct.pack("<II", *frame) for frame in self.frames)
            tail += _skippable(0x184D2A5E, table + struct.pack("<IBI", len(self.frames), 0, 0x8F92EAB1))
        self.path.write_bytes(data + tail)

    def write_index(self, path: Path, members: list[IndexedMember] | None = None) -> None:
        write_index(path, members or self.members, self.path.stat().st_size, self.frames)


@pytest.fixture(params=["packed.tar", "packed.tar.zst"])
def packed(tmp_path: Path, request: pytest.FixtureRequest) -> Packed:
    return Packed(tmp_path, request.param)


def walk(source: Any, directory: str = "/") -> Iterator[tuple[str, Any]]:
    for name, info in source.list(directory).items():
        path = f"{directory.rstrip('/')}/{name}"
        yield path, info
        if stat.S_ISDIR(info.mode):
            yield from walk(source, path)


def text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def check_tree(source: Any) -> None:
    """The listing and all contents are those of TREE."""
    found = dict(walk(source))
    expected = {"/" + text(member.name): (member, body) for member, body in TREE}
    assert found.keys() - expected.keys() == {"/implied", "/implied/deeply", "/last"}
    assert all(stat.S_ISDIR(found[path].mode) for path in ("/implied", "/implied/deeply", "/last"))
    for path, (member, body) in expected.items():
        info = found[path]
        assert stat.S_IMODE(info.mode) == member.mode
        assert (info.size, info.mtime, info.uid, info.gid, info.linkname) == (
            member.size_bytes, member.mtime_ns / 10**9, member.uid, member.gid, text(member.link))  # fmt: skip
        if member.kind is Kind.FILE:
            assert stat.S_ISREG(info.mode)
            with source.open(info) as opened:
                assert opened.read() == body
    assert stat.S_ISLNK(found["/symbolic"].mode)
    assert stat.S_ISDIR(found["/a"].mode)


def identity(path: Path) -> tuple[int, int, bytes]:
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


@pytest.mark.parametrize("is_beside", [True, False])
def test_it_is_used(packed: Packed, tmp_path: Path, is_beside: bool) -> None:
    index_path = packed.index_path if is_beside else tmp_path / "elsewhere.sqlite"
    packed.write_index(index_path)
    before = identity(index_path)
    # When it was fetched is nobody's business.
    os.utime(packed.path, (1, 1))
    options = {} if is_beside else {"indexFilePath": str(index_path)}
    with open_mount_source(str(packed.path), writeIndex=True, verifyModificationTime=True, **options) as source:
        check_tree(source)
    assert identity(index_path) == before


def test_what_it_says_is_believed(packed: Packed) -> None:
    """Proof that no other index is made: one with another place gives what stands there."""
    wrong = {member.name: member for member in packed.members}
    right = wrong[b"implied/deeply/b"]
    wrong[right.name] = right._replace(offset_bytes=right.offset_bytes + 1, size_bytes=10)
    packed.write_index(packed.index_path, list(wrong.values()))
    with SQLiteIndexedTar(str(packed.path)) as source, source.open(source.lookup("/implied/deeply/b")) as opened:
        assert opened.read() == content(300_000, 3)[1:11]


@pytest.mark.parametrize("change_bytes", [-1, 1])
def test_it_is_refused_for_another_archive(packed: Packed, change_bytes: int) -> None:
    wrong = [member._replace(size_bytes=min(member.size_bytes, 10)) for member in packed.members]
    packed.write_index(packed.index_path, wrong)
    data = packed.path.read_bytes() + b"\0"
    packed.path.write_bytes(data[: len(data) - 1 + change_bytes])
    with SQLiteIndexedTar(str(packed.path)) as source:
        assert source.lookup("/implied/deeply/b").size == 300_000


def test_the_same_rows_as_its_own(packed: Packed, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.sqlite", tmp_path / "theirs.sqlite"
    packed.write_index(ours)
    SQLiteIndexedTar(str(packed.path), writeIndex=True, indexFilePath=str(theirs), encoding="utf-8").close()
    implied = ("implied", "deeply", "last")
    rows = []
    for path in (ours, theirs):
        with closing(sqlite3.connect(path)) as database:
            files = database.execute("SELECT * FROM files ORDER BY path, name").fetchall()
            places = database.execute("SELECT * FROM zstdblocks").fetchall() if packed.frames else []
            rows.append(([row[:13] for row in files if row[1] not in implied], places))
            assert {row[1] for row in files} >= set(implied)
    assert rows[0] == rows[1]


def test_the_last_file_in_an_implied_directory(tmp_path: Path) -> None:
    """The directory's row must not be taken for the end of the archive."""
    for size_bytes in (0, 600):
        member = Member(b"only/one", Kind.FILE, size_bytes, 0o644, 0, 0, 0)
        data = header(member) + content(size_bytes, 1) + bytes(padding_bytes(size_bytes))
        path = tmp_path / f"{size_bytes}.tar"
        path.write_bytes(data + bytes(end_bytes(len(data))))
        index_path = tmp_path / f"{size_bytes}.tar.index.sqlite"
        indexed = IndexedMember(b"only/one", Kind.FILE, 0, 512, size_bytes, 0o644, 0, 0, 0, b"", 0, True)
        write_index(index_path, [indexed], path.stat().st_size)
        with closing(sqlite3.connect(index_path)) as database:
            (last,) = database.execute("SELECT name FROM files WHERE offset = (SELECT max(offset) FROM files)")
        assert last == ("one",)
        before = identity(index_path)
        with SQLiteIndexedTar(str(path)) as source, source.open(source.lookup("/only/one")) as opened:
            assert opened.read() == content(size_bytes, 1)
        assert identity(index_path) == before


def test_an_index_is_not_overwritten(tmp_path: Path) -> None:
    write_index(tmp_path / "index.sqlite", [], 10240)
    with pytest.raises(sqlite3.Error):
        write_index(tmp_path / "index.sqlite", [], 10240)
