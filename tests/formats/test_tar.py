"""Archives, read by Python's tarfile and by GNU tar."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastput.formats.tar import Kind, Member, end_bytes, header, header_bytes, padding_bytes
from tests.support.content import content

NS_PER_S = 10**9
TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIRECTORY: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.HARDLINK: tarfile.LNKTYPE,
}

COMPONENTS = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(alphabet="abc \n\\=", min_size=90, max_size=110).map(str.encode),
    st.sampled_from([b"\xff" * 255, b"new\nline", "é☄".encode(), b"21 hdrcharset=BINARY\n", b"12 path=abc\n", b" "]),
).filter(lambda component: component not in (b".", b"..") and not {0, ord("/")} & set(component))
PATHS = st.lists(COMPONENTS, min_size=1, max_size=4).map(b"/".join)
SIZES = st.one_of(st.sampled_from([0, 1, 511, 512, 513, 8**11 - 1, 8**11, 2**62]), st.integers(0, 2**62))
MEMBERS = st.builds(
    Member,
    name=PATHS,
    kind=st.sampled_from(Kind),
    size_bytes=SIZES,
    mode=st.integers(0, 0o7777),
    mtime_ns=st.one_of(
        st.integers(-(2**33), 8**11 + 9).map(lambda seconds: seconds * NS_PER_S),
        st.integers(-(2**33) * NS_PER_S, 8**12 * NS_PER_S),
    ),
    uid=st.one_of(st.integers(0, 70_000), st.integers(8**7 - 2, 2**32 - 2)),
    gid=st.one_of(st.integers(0, 70_000), st.integers(8**7 - 2, 2**32 - 2)),
    link=PATHS,
).map(
    lambda member: Member(
        member.name,
        member.kind,
        member.size_bytes if member.kind is Kind.FILE else 0,
        member.mode,
        member.mtime_ns,
        member.uid,
        member.gid,
        member.link if member.kind in (Kind.SYMLINK, Kind.HARDLINK) else b"",
    )
)


def archive(files: Sequence[tuple[Member, bytes]]) -> bytes:
    data = b"".join(header(member) + body + bytes(padding_bytes(len(body))) for member, body in files)
    return data + bytes(end_bytes(len(data)))


def file(name: bytes, size_bytes: int = 0, mode: int = 0o644, mtime_ns: int = 10**18) -> Member:
    return Member(name, Kind.FILE, size_bytes, mode, mtime_ns, os.geteuid(), os.getegid())


@given(MEMBERS)
@example(Member(b"a", Kind.FILE, 1, 0o644, -1, 0, 0))
@example(Member(b"a", Kind.FILE, 1, 0o644, -1_250_000_000, 0, 0))
@example(Member(b"d" * 99, Kind.DIRECTORY, 0, 0o755, 0, 0, 0))
@example(Member(b"d" * 100, Kind.DIRECTORY, 0, 0o755, 0, 0, 0))
def test_tarfile_reads_a_header(member: Member) -> None:
    made = header(member)
    assert len(made) == header_bytes(member)
    assert len(made) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(made), encoding="utf-8", errors="surrogateescape") as opened:
        read = opened.next()
        assert read is not None
    assert read.name.encode("utf-8", "surrogateescape") == member.name
    assert read.linkname.encode("utf-8", "surrogateescape") == member.link
    assert read.type == TYPES[member.kind]
    assert (read.size, read.mode, read.uid, read.gid) == (member.size_bytes, member.mode, member.uid, member.gid)
    assert read.mtime == member.mtime_ns / NS_PER_S
    assert read.offset_data == len(made)


@pytest.mark.parametrize(("name", "charset"), [(b"\xff", "BINARY"), ("é".encode(), None), (b"n" * 101, None)])
def test_names_that_are_not_utf8_are_declared(name: bytes, charset: str | None) -> None:
    with tarfile.open(fileobj=io.BytesIO(header(file(name)))) as opened:
        read = opened.next()
        assert read is not None
    assert read.pax_headers.get("hdrcharset") == charset


@given(st.lists(st.tuples(st.text("abc/ ", min_size=1, max_size=200), st.binary(max_size=1100)), max_size=25))
def test_the_same_bytes_as_tarfile(files: list[tuple[str, bytes]]) -> None:
    """Where tarfile writes what we do: ASCII, whole seconds."""
    theirs = io.BytesIO()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.PAX_FORMAT) as written:
        for name, body in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.uid, info.gid = len(body), 0o640, 1_700_000_000, 1000, 100
            written.addfile(info, io.BytesIO(body))
    ours = archive(
        [
            (Member(name.encode(), Kind.FILE, len(body), 0o640, 1_700_000_000 * NS_PER_S, 1000, 100), body)
            for name, body in files
        ]
    )
    assert ours == theirs.getvalue()


def _tree() -> list[tuple[Member, bytes]]:
    """All that a tree may hold, in the order of a walk: GNU tar sets a directory's time when it leaves it."""
    owner = (os.geteuid(), os.getegid())
    names = [b"plain", b"new\nline", "é☄".encode(), b"not utf-8 \xff\xfe", b"x" * 255, b"\xff" * 255,
             b" ", b"back\\slash", b"/".join([b"deep", b"d" * 200, b"e" * 200, b"f" * 200]), b"=",
             b"21 hdrcharset=BINARY\n"]  # fmt: skip
    deep = [b"deep", b"deep/" + b"d" * 200, b"deep/" + b"d" * 200 + b"/" + b"e" * 200]
    entries = [
        (Member(name, Kind.DIRECTORY, 0, 0o750, 1_600_000_000_000_000_001 + number, *owner), b"")
        for number, name in enumerate([*deep, b"empty", b"n" * 100, b"\xfe"])
    ]
    sizes = [0, 1, 511, 512, 513, 1024, 10_000, 3, 5, 7, 9]
    times_ns = [0, 1, -1, -1_250_000_000, 10**18, 10**18 + 1, 2**31 * NS_PER_S, -(10**18), 10**18 + 999_999_999, 5, 6]
    for number, (name, size_bytes, mtime_ns) in enumerate(zip(names, sizes, times_ns, strict=True)):
        member = file(name, size_bytes, [0o644, 0o755, 0o400][number % 3], mtime_ns)
        entries.append((member, content(size_bytes, number + 1)))
    entries.sort(key=lambda entry: entry[0].name + (b"/" if entry[0].kind is Kind.DIRECTORY else b""))
    for number, name in enumerate(names):
        entries.append((Member(b"symbolic%d" % number, Kind.SYMLINK, 0, 0o777, 10**18 + number, *owner, name), b""))
        entries.append((Member(b"hard%d" % number, Kind.HARDLINK, 0, 0o644, 10**18, *owner, name), b""))
    return entries


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_gnu_tar_extracts_the_tree(tmp_path: Path, locale: str) -> None:
    entries = _tree()
    packed = tmp_path / "packed.tar"
    packed.write_bytes(archive(entries))
    root = tmp_path / "root"
    root.mkdir()
    told = subprocess.run(
        ["tar", "-xpf", packed, "--numeric-owner", "-C", root], capture_output=True, check=True, env={"LC_ALL": locale}
    )
    # Of POSIX's keywords it doesn't know this one, and it warns of times before 1970 and after today.
    harmless = (b"hdrcharset", b"implausibly old", b"in the future")
    assert [text for text in told.stderr.splitlines() if not any(word in text for word in harmless)] == []
    by_name = {member.name: (member, body) for member, body in entries}
    found = {
        os.path.relpath(os.path.join(directory, name), os.fsencode(root))
        for directory, directories, files in os.walk(os.fsencode(root))
        for name in directories + files
    }
    assert found == by_name.keys()
    for name, (member, body) in by_name.items():
        path = os.path.join(os.fsencode(root), name)
        status = os.lstat(path)
        if member.kind is Kind.HARDLINK:
            assert status.st_ino == os.lstat(os.path.join(os.fsencode(root), member.link)).st_ino
            continue
        assert status.st_mtime_ns == member.mtime_ns, name
        assert (status.st_uid, status.st_gid) == (member.uid, member.gid)
        if member.kind is Kind.SYMLINK:
            assert os.readlink(path) == member.link
            continue
        assert stat.S_IMODE(status.st_mode) == member.mode
        assert stat.S_ISDIR(status.st_mode) == (member.kind is Kind.DIRECTORY)
        if member.kind is Kind.FILE:
            assert Path(os.fsdecode(path)).read_bytes() == body


@pytest.mark.parametrize("size_bytes", [8**11 - 1, 8**11, 8**11 + 1, 10**12])
def test_large_files(tmp_path: Path, size_bytes: int) -> None:
    """With holes: the member behind is found where it is."""
    packed = tmp_path / "packed.tar"
    with packed.open("wb") as written:
        written.write(header(file(b"large", size_bytes)))
        written.seek(size_bytes + padding_bytes(size_bytes), os.SEEK_CUR)
        written.write(header(file(b"behind", 3)) + b"abc" + bytes(padding_bytes(3)))
        written.write(bytes(end_bytes(written.tell())))
    with tarfile.open(packed) as opened:
        assert [(info.name, info.size) for info in opened] == [("large", size_bytes), ("behind", 3)]
        behind = opened.extractfile("behind")
        assert behind is not None
        assert behind.read() == b"abc"
    listed = subprocess.run(["tar", "-tvf", packed], capture_output=True, check=True, text=True)
    assert [text.split()[2] for text in listed.stdout.splitlines()] == [str(size_bytes), "3"]
    assert packed.stat().st_size % 10240 == 0
    assert listed.stderr == ""


@given(st.integers(0, 2**60).map(lambda blocks: blocks * 512))
def test_the_end_fills_a_record(offset_bytes: int) -> None:
    assert (offset_bytes + end_bytes(offset_bytes)) % 10240 == 0
    assert 1024 <= end_bytes(offset_bytes) < 1024 + 10240
