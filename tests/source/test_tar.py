"""Archives that are never written: read in any cuts, unpacked by tarfile and GNU tar; files that change meanwhile."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from awscrt import checksums
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.errors import SourceChanged
from fastput.formats.tail import Facts, IndexPlace, Tail, load_tail
from fastput.formats.tar import Kind, Member
from fastput.model import Part
from fastput.source.tar import PackedFile, TarSource
from tests.support.content import content, decode_aws_chunked

SIZES = {b"empty": 0, b"one": 1, b"under": 511, b"even": 512, b"over": 513, b"large": 70_000, b"last": 3}
ODD = [b"new\nline", b"\xff\xfe", b"x" * 150, "\N{SNOWMAN} and space".encode()]


def make_tree(root: Path) -> None:
    """Files of sizes around a block's, odd names, holes, a directory and links."""
    root.mkdir()
    for seed, (name, size_bytes) in enumerate(SIZES.items()):
        (root / os.fsdecode(name)).write_bytes(content(size_bytes, seed))
    for seed, name in enumerate(ODD):
        (root / os.fsdecode(name)).write_bytes(content(600, 50 + seed))
    with (root / "holes").open("wb") as file:
        file.truncate(300_000)
        os.pwrite(file.fileno(), b"data", 131_072)
    (root / "directory").mkdir(mode=0o750)
    (root / "directory" / "below").write_bytes(b"below")
    (root / "link").symlink_to("one")
    (root / "nowhere").symlink_to("no such file " + "y" * 120)
    os.link(root / "one", root / "second-name")
    os.utime(root / "even", ns=(0, 1_700_000_000_123_456_789))


def pack(root: Path) -> list[PackedFile]:
    members: list[PackedFile] = []
    names: dict[int, bytes] = {}
    for path in sorted(os.fsencode(path) for path in root.rglob("*")):
        name, status = os.path.relpath(path, os.fsencode(root)), os.lstat(path)
        kind, link = Kind.FILE, b""
        if stat.S_ISDIR(status.st_mode):
            kind = Kind.DIRECTORY
        elif stat.S_ISLNK(status.st_mode):
            kind, link = Kind.SYMLINK, os.readlink(path)
        elif status.st_ino in names:
            kind, link = Kind.HARDLINK, names[status.st_ino]
        names.setdefault(status.st_ino, name)
        size_bytes = status.st_size if kind is Kind.FILE else 0
        member = Member(
            name, kind, size_bytes, status.st_mode & 0o7777, status.st_mtime_ns, status.st_uid, status.st_gid, link
        )
        members.append(PackedFile(os.fsdecode(path), member))
    return members


def read(source: TarSource, begin_bytes: int, end_bytes: int) -> bytes:
    body = source.body(Part(1, begin_bytes, end_bytes - begin_bytes), None)
    data = body.read()
    assert source.failure_of(body) is None
    assert body.crc64nvme == checksums.crc64nvme(data)
    return data


def read_whole(source: TarSource) -> bytes:
    return read(source, 0, source.size_bytes or 0)


def facts_of(archive: bytes) -> tuple[Facts, IndexPlace]:
    tail = load_tail(archive[-100_000:], len(archive))
    assert isinstance(tail, Tail)
    assert tail.facts is not None
    assert tail.facts.index is not None
    return tail.facts, tail.facts.index


def index_lines(archive: bytes) -> list[dict[str, object]]:
    _, place = facts_of(archive)
    payload = archive[place.offset_bytes : place.offset_bytes + place.length_bytes]
    assert checksums.crc64nvme(payload) == place.crc64nvme
    lines = [json.loads(line) for line in payload.splitlines()]
    assert len(lines) == place.members
    return lines


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree")
    return tmp_path / "tree"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[PackedFile]:
    """Of a tree that no test changes."""
    root = tmp_path_factory.mktemp("packed") / "tree"
    make_tree(root)
    return pack(root)


@pytest.fixture(scope="module")
def archive(members: list[PackedFile]) -> bytes:
    return read_whole(TarSource("archive", members))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20_000), st.randoms(use_true_random=False), st.booleans())
def test_any_cut_gives_the_same(
    members: list[PackedFile], archive: bytes, part_bytes: int, order: random.Random, is_framed: bool
) -> None:
    part_bytes = max(part_bytes, len(archive) // 500)
    source = TarSource("archive", members)
    cuts = list(range(0, len(archive), part_bytes))
    wanted = cuts + order.choices(cuts, k=3)  # some are read twice
    order.shuffle(wanted)
    read_back = bytearray(len(archive))
    for at in wanted:
        part = Part(1, at, min(part_bytes, len(archive) - at))
        body = source.body(part, "crc64nvme" if is_framed else None)
        data = body.read()
        read_back[at : at + part.length_bytes] = decode_aws_chunked(data).data if is_framed else data
    source.check_unchanged()
    assert read_back == archive
    assert not source.failures()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 500_000), st.integers(1, 200_000)), max_size=6), st.integers(3000, 70_000))
def test_ranges_that_overlap(
    members: list[PackedFile], archive: bytes, ranges: list[tuple[int, int]], step_bytes: int
) -> None:
    source = TarSource("archive", members)
    for begin, length in ranges:
        end = min(begin + length, len(archive))
        if begin < end:
            assert read(source, begin, end) == archive[begin:end]
    body, got = source.body(Part(1, 0, len(archive)), None), bytearray()
    while step := body.read(step_bytes):
        got += step
    assert got == archive
    source.check_unchanged()


def test_many_threads(members: list[PackedFile], archive: bytes) -> None:
    source = TarSource("archive", members)
    read_back, part_bytes = bytearray(len(archive)), 7000

    def some(first: int) -> None:
        for at in range(first * part_bytes, len(archive), 3 * part_bytes):
            end = min(at + part_bytes, len(archive))
            read_back[at:end] = read(source, at, end)

    threads = [threading.Thread(target=some, args=(first % 3,)) for first in range(6)]  # each twice
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_back == archive
    source.check_unchanged()


def test_tarfile_reads_it(root: Path) -> None:
    members = pack(root)
    archive = read_whole(TarSource("archive", members))
    with tarfile.open(fileobj=io.BytesIO(archive), errorlevel=2) as tar:
        found = tar.getmembers()
        assert [os.fsencode(each.name) for each in found] == [packed.member.name for packed in members]
        for each, packed in zip(found, members, strict=True):
            if each.isreg():
                file = tar.extractfile(each)
                assert file is not None
                assert file.read() == Path(packed.path).read_bytes()


def test_gnu_tar_unpacks_the_same_tree(root: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.tar").write_bytes(read_whole(TarSource("archive", pack(root))))
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    # It says so of hdrcharset, and takes names as bytes anyway.
    command = ["tar", "--warning=no-unknown-keyword", "-xpf", str(tmp_path / "archive.tar"), "-C", str(unpacked)]
    done = subprocess.run(command, check=True, capture_output=True)
    assert done.stderr == b""
    wanted = sorted(os.fsencode(path.relative_to(root)) for path in root.rglob("*"))
    assert sorted(os.fsencode(path.relative_to(unpacked)) for path in unpacked.rglob("*")) == wanted
    for name in wanted:
        was, now = root / os.fsdecode(name), unpacked / os.fsdecode(name)
        status, found = was.lstat(), now.lstat()
        assert stat.S_IFMT(found.st_mode) == stat.S_IFMT(status.st_mode)
        if was.is_symlink():
            assert now.readlink() == was.readlink()
            continue
        assert (found.st_mode, found.st_mtime_ns) == (status.st_mode, status.st_mtime_ns)
        assert was.is_dir() or now.read_bytes() == was.read_bytes()
    assert (unpacked / "one").stat().st_ino == (unpacked / "second-name").stat().st_ino


def test_the_index_and_the_facts(members: list[PackedFile], archive: bytes) -> None:
    facts, _ = facts_of(archive)
    assert facts.content_bytes % 10_240 == 0
    assert facts.content_crc64nvme == checksums.crc64nvme(archive[: facts.content_bytes])
    lines = index_lines(archive)
    assert [os.fsencode(str(line["name"])) for line in lines] == [packed.member.name for packed in members]
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for line, each, packed in zip(lines, tar.getmembers(), members, strict=True):
            assert (line["header"], line["offset"]) == (each.offset, each.offset_data)
            data = Path(packed.path).read_bytes() if packed.member.kind is Kind.FILE else b""
            assert line["size"] == len(data)
            assert line["crc64nvme"] == base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()
            assert line["ok"] == 1


def test_the_end_alone_reads_what_it_needs(members: list[PackedFile], archive: bytes) -> None:
    """As when an earlier run has sent the rest."""
    assert read(TarSource("archive", members), len(archive) - 600, len(archive)) == archive[-600:]


def test_without_a_tail(members: list[PackedFile], archive: bytes) -> None:
    source = TarSource("archive", members, has_tail=False)
    facts, place = facts_of(archive)
    assert read_whole(source) == archive[: facts.content_bytes]
    assert source.index_payload() == archive[place.offset_bytes :][: place.length_bytes]
    assert source.begins_bytes[0] == 0
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert list(source.begins_bytes)[:-1] == [each.offset for each in tar.getmembers()]
    source.check_unchanged()


def test_an_archive_of_nothing() -> None:
    archive = read_whole(TarSource("archive", []))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getmembers() == []
    assert index_lines(archive) == []


def test_another_layout_is_another_state(root: Path) -> None:
    members = pack(root)
    was = TarSource("archive", members).stat()
    assert TarSource("elsewhere", pack(root)).stat() == was
    assert was.size_bytes == TarSource("archive", members).size_bytes
    (root / "one").chmod(0o600)
    changed = TarSource("archive", pack(root)).stat()
    assert changed.size_bytes == was.size_bytes
    assert changed.inode != was.inode
    assert changed.mtime_ns != was.mtime_ns


def rewrite(path: Path) -> None:
    path.write_bytes(content(path.stat().st_size, 99))
    os.utime(path, ns=(0, 1))  # two writes within a tick of the clock have the same time


def become_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], None]] = {
    "it has another size than it had": lambda path: os.truncate(path, path.stat().st_size // 2 or 1),
    "it has another size than it had ": lambda path: os.truncate(path, path.stat().st_size + 1),
    "it can't be read: No such file or directory": Path.unlink,
    "it was written to": rewrite,
    "it isn't a regular file any more": become_a_directory,
}


@pytest.mark.parametrize("part_bytes", [1000, 10**7])
@pytest.mark.parametrize("name", ["large", "over", "empty"])
@pytest.mark.parametrize("why", CHANGES)
def test_what_has_changed_is_zeros_and_said_to_be(root: Path, why: str, name: str, part_bytes: int) -> None:
    members = pack(root)
    before = read_whole(TarSource("archive", members))
    source = TarSource("archive", members)
    CHANGES[why](root / name)
    after = b"".join(read(source, at, min(at + part_bytes, len(before))) for at in range(0, len(before), part_bytes))
    index = next(at for at, packed in enumerate(members) if packed.member.name == name.encode())
    assert source.failures() == {index: why.strip()}
    source.check_unchanged()
    lines_before, lines = index_lines(before), index_lines(after)
    line = lines[index]
    offset, size = int(str(line["offset"])), int(str(line["size"]))
    assert line["ok"] == 0
    assert after[offset : offset + size] == bytes(size)
    assert line["crc64nvme"] == base64.b64encode(checksums.crc64nvme(bytes(size)).to_bytes(8, "big")).decode()
    assert [each for at, each in enumerate(lines) if at != index] == [
        each for at, each in enumerate(lines_before) if at != index
    ]
    end = facts_of(before)[0].content_bytes
    assert after[:offset] == before[:offset]
    assert after[offset + size : end] == before[offset + size : end]
    assert [each.error for each in source.indexed()][index] == why.strip()


def test_a_member_that_failed_once_stays_failed(root: Path) -> None:
    members = pack(root)
    source = TarSource("archive", members)
    (root / "one").rename(root / "away")
    read(source, 0, source.begins_bytes[-1])
    (root / "away").rename(root / "one")
    archive = read_whole(source)
    (index,) = source.failures()
    assert members[index].member.name == b"one"
    line = index_lines(archive)[index]
    assert (line["ok"], line["crc64nvme"]) == (
        0,
        base64.b64encode(checksums.crc64nvme(content(1, 1)).to_bytes(8, "big")).decode(),
    )


@pytest.mark.parametrize("was_told", [True, False])
def test_a_change_behind_the_end_is_an_error(root: Path, was_told: bool) -> None:
    source = TarSource("archive", pack(root))
    if was_told:
        read_whole(source)
        source.check_unchanged()
    rewrite(root / "large")
    read(source, 0, source.begins_bytes[-1])
    with pytest.raises(SourceChanged, match="archive: large changed after the archive's index was made"):
        source.check_unchanged()


def test_a_body_that_was_not_read_to_its_end_says_nothing(root: Path) -> None:
    source = TarSource("archive", pack(root))
    end = source.begins_bytes[-1]
    (root / "directory" / "below").rename(root / "away")
    source.body(Part(1, 0, end), None).read(end - 1)
    assert not source.failures()
    (root / "away").rename(root / "directory" / "below")
    assert all(line["ok"] == 1 for line in index_lines(read_whole(source)))
