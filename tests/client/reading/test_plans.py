"""What people name, which bytes are asked for, and where members go: the pure parts of reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.client.reading.pieces import pieces
from fastput.client.reading.ranges import parse_range
from fastput.client.reading.unpacking import Placed, groups, place
from fastput.client.reading.uris import Location
from fastput.errors import UsageError
from fastput.formats.members import parse
from fastput.formats.seekable import Frame, SeekTable
from fastput.formats.tar import Kind
from fastput.limits import MIB
from fastput.model import ObjectUri
from tests.support.archives import Packing, entry, tar


@pytest.mark.parametrize(
    ("text", "key", "member"),
    [
        ("s3://bucket/a.tar.zst//b/c.fits", "a.tar.zst", "b/c.fits"),
        ("s3://bucket/a.tar//", "a.tar", ""),
        ("s3://bucket/x//y/a.tzst//b//c", "x//y/a.tzst", "b//c"),
        ("s3://bucket/a.tar//b.tar//c", "a.tar", "b.tar//c"),
        ("s3://bucket/a.csv.zst//x", "a.csv.zst", "x"),
        ("s3://bucket/a//b", "a//b", None),
        ("s3://bucket/a.tar/b", "a.tar/b", None),
        ("s3://bucket/.tar", ".tar", None),
        ("s3://bucket/a.tarx//b", "a.tarx//b", None),
        ("s3://bucket/a.tar//\udcff", "a.tar", "\udcff"),
        ("s3://bucket", "", None),
    ],
)
def test_locations(text: str, key: str, member: str | None) -> None:
    location = Location.parse(text)
    assert (location.uri, location.member) == (ObjectUri("bucket", key), member)
    assert location.is_prefix == (member == "" or not key)


def test_the_name_of_a_member() -> None:
    assert Location.parse("s3://bucket/a.tar//b/\udcff/").name == b"b/\xff"
    assert Location.parse("s3://bucket/a.tar//b/c").last_name == "c"
    below = Location.parse("s3://bucket/a.tar//b/c/")
    assert (below.last_name, below.is_prefix) == ("c", True)
    assert Location.parse("s3://bucket/a.tar//").last_name == "a.tar"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-0", (0, 1)), ("2-5", (2, 4)), ("5-", (5, 5)), ("-3", (7, 3)), ("-30", (0, 10)), ("9-99", (9, 1))],
)
def test_ranges(text: str, expected: tuple[int, int]) -> None:
    assert parse_range(text, 10) == expected


@pytest.mark.parametrize("text", ["", "-", "x", "10-", "5-4", "-0", "1-2-3", "+1-2", "1_0-", "\u0661-"])
def test_no_ranges(text: str) -> None:
    with pytest.raises(UsageError):
        parse_range(text, 10)


SIZES = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 60)), max_size=20)


@given(SIZES, st.data())
def test_pieces_hold_the_range_and_no_frame_besides(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    table = SeekTable([Frame(*pair) for pair in sizes]) if data.draw(st.booleans()) else None
    total_bytes = sum(content for _, content in sizes)
    offset_bytes = data.draw(st.integers(0, total_bytes))
    length_bytes = data.draw(st.integers(0, total_bytes - offset_bytes))
    most_bytes = data.draw(st.integers(1, 100))
    found = list(pieces(table, offset_bytes, length_bytes, most_bytes))
    covered = [byte for piece in found for byte in range(piece.offset_bytes, piece.offset_bytes + piece.length_bytes)]
    wanted = range(offset_bytes, offset_bytes + length_bytes)
    assert covered == list(range(covered[0], covered[0] + len(covered))) if covered else not wanted
    assert set(wanted) <= set(covered)
    for piece in found:
        assert piece.length_bytes <= most_bytes or len(piece.frames) == 1
        if table is not None:
            first, last = table.frame(piece.frames[0]), table.frame(piece.frames[-1])
            assert first.content_offset_bytes + first.content_bytes > offset_bytes
            assert last.content_offset_bytes < offset_bytes + length_bytes
            assert piece.stored_offset_bytes == first.compressed_offset_bytes
            assert piece.stored_bytes == sum(table.frame(number).compressed_bytes for number in piece.frames)
        else:
            assert (piece.stored_offset_bytes, piece.stored_bytes) == (piece.offset_bytes, piece.length_bytes)


def placed(packings: list[Packing], directory: bytes = b"") -> list[Placed]:
    _, lines = tar(packings)
    members = list(parse(lines.splitlines(keepends=True)))
    return list(place(members, directory, [member for member in members if member.link]))


def test_where_members_go() -> None:
    tree = placed([
        entry(b"d/a", b"x"), entry(b"d/../b"), entry(b"d/link", kind=Kind.SYMLINK, link=b"/etc"), entry(b"d/link/x"),
    ], b"d")  # fmt: skip
    assert [(each.path, bool(each.why)) for each in tree] == [
        (b"a", False), (b"../b", True), (b"link", False), (b"link/x", True),
    ]  # fmt: skip
    assert [bool(each.why) for each in placed([entry(b"/etc/passwd"), entry(b"ok")])] == [True, False]


@given(st.lists(st.integers(0, 6 * MIB), max_size=12))
def test_groups_take_each_file_once(sizes: list[int]) -> None:
    offset_bytes, files = 512, []
    for number, size_bytes in enumerate(sizes):
        found = placed([entry(b"%d" % number)])[0]
        member = type(found.member)(
            found.member.name, Kind.FILE, offset_bytes - 512, offset_bytes, size_bytes, 0, 0, 0, 0, b"", 0, True
        )
        files.append(Placed(member, found.path))
        offset_bytes += size_bytes + -size_bytes % 512 + 512
    grouped = list(groups(iter(files), lambda place_bytes: place_bytes // MIB))
    assert [each for group in grouped for each in group] == files
    for group in grouped:
        first, last = group[0].member, group[-1].member
        assert len(group) == 1 or last.offset_bytes + last.size_bytes - first.offset_bytes <= 16 * MIB
