"""The index of members, as lines and as CSV, read by Python's own json and csv."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.formats.damaged import Damaged
from fastput.formats.members import IndexedMember, csv_lines, line, line_bytes, parse, sidecar_line
from fastput.formats.tar import Kind

# As docs/decisions/0016-virtual-tar.md shows it.
EXAMPLE = (
    b'{"name":"run7/a.fits","type":"file","header":0,"offset":1536,"size":2880,"mode":420,"mtime_ns":1,'
    b'"uid":0,"gid":0,"crc64nvme":"AAAAAAAAAAA=","ok":1}\n'
)
MEMBER = IndexedMember(b"run7/a.fits", Kind.FILE, 0, 1536, 2880, 420, 1, 0, 0, b"", 0, True)
SECOND = EXAMPLE.replace(b'"header":0', b'"header":512')
LINK = MEMBER._replace(name=b"b", kind=Kind.SYMLINK, size_bytes=0, link=b"\xff")

NAMES = st.one_of(st.binary(min_size=1, max_size=80), st.text(min_size=1, max_size=40).map(str.encode))


@st.composite
def indexes(draw: st.DrawFn) -> list[IndexedMember]:
    members = []
    end_bytes = 0
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(Kind))
        header_offset_bytes = end_bytes + draw(st.integers(0, 600))
        offset_bytes = header_offset_bytes + draw(st.integers(1, 2000))
        size_bytes = draw(st.integers(0, 2**44)) if kind is Kind.FILE else 0
        end_bytes = offset_bytes + size_bytes
        is_ok = draw(st.booleans())
        members.append(
            IndexedMember(
                name=draw(NAMES),
                kind=kind,
                header_offset_bytes=header_offset_bytes,
                offset_bytes=offset_bytes,
                size_bytes=size_bytes,
                mode=draw(st.integers(0, 0o177777)),
                mtime_ns=draw(st.integers(-(2**62), 2**62)),
                uid=draw(st.integers(0, 2**32 - 1)),
                gid=draw(st.integers(0, 2**32 - 1)),
                link=draw(NAMES) if kind in (Kind.SYMLINK, Kind.HARDLINK) else b"",
                crc64nvme=draw(st.integers(0, 2**64 - 1)),
                is_ok=is_ok,
                error="" if is_ok else draw(st.text(max_size=20)),
            )
        )
    return members


def test_the_line_of_the_decision() -> None:
    assert line(MEMBER) == EXAMPLE
    assert list(parse([EXAMPLE])) == [MEMBER]


@given(indexes())
def test_lines_are_read_back(members: list[IndexedMember]) -> None:
    assert list(parse(sidecar_line(member) for member in members)) == members
    assert list(parse(line(member) for member in members)) == [member._replace(error="") for member in members]


@given(indexes())
def test_others_read_the_lines(members: list[IndexedMember]) -> None:
    for member in members:
        text = sidecar_line(member)
        assert text.isascii()
        assert text.count(b"\n") == 1
        read = json.loads(text)
        assert read["name"].encode("utf-8", "surrogateescape") == member.name
        assert read.get("link", "").encode("utf-8", "surrogateescape") == member.link
        assert base64.b64decode(read["crc64nvme"]) == member.crc64nvme.to_bytes(8, "big")
        assert (read["header"], read["offset"]) == (member.header_offset_bytes, member.offset_bytes)
        assert (read["ok"], read.get("error", "")) == (int(member.is_ok), member.error)


@given(indexes(), st.integers(0, 2**64 - 1))
def test_the_length_is_known_beforehand(members: list[IndexedMember], crc64nvme: int) -> None:
    for member in members:
        unread = member._replace(crc64nvme=crc64nvme, is_ok=True, error="")
        assert line_bytes(unread) == len(line(member))


@given(indexes(), st.data())
def test_what_is_read_is_what_was_written(members: list[IndexedMember], data: st.DataObject) -> None:
    """Bytes that were changed are found, or are such lines as well."""
    text = bytearray(b"".join(map(sidecar_line, members)) or EXAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    read = []
    try:
        read.extend(parse(io.BytesIO(text)))
        end_bytes = len(text)
    except Damaged as damage:
        end_bytes = damage.offset_bytes or 0
    if end_bytes == len(text):
        assert b"".join(map(sidecar_line, read)) == text
    else:
        assert end_bytes in itertools.accumulate(map(len, io.BytesIO(text)), initial=0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"file"', b'"socket"'),
        (b'"file"', b'"dir"'),  # with a size
        (b'"file"', b'["file"]'),
        (b'"size":2880', b'"size":-1'),
        (b'"size":2880', b'"size":2880.5'),
        (b'"size":2880', b'"size":true'),
        (b'"size":2880', b'"size":[]'),
        (b'"size":2880', b'"size":null'),
        (b'"size":2880', b'"size":Infinity'),
        (b'"size":2880', b'"size":"2880"'),
        (b'"size":2880', b'"size":2880,"more":1'),
        (b'"size":2880', b'"size":1,"size":2880'),
        (b'"size":2880', b'"size":9223372036854775808'),
        (b'"size":2880', b'"size":' + b"9" * 5000),
        (b'"mtime_ns":1,', b'"mtime_ns":' + b"9" * 400 + b","),
        (b'"mtime_ns":1,', b""),
        (b'"header":512', b'"header":-512'),
        (b'"uid":0', b'"uid":-1'),
        (b'"mode":420', b'"mode":0420'),
        (b'"gid":0', b'"gid":0,"link":"x"'),
        (b'"ok":1', b'"ok":true'),
        (b'"ok":1', b'"ok":2'),
        (b'"ok":1', b'"ok":1,"error":5'),
        (b'"ok":1', b'"ok":1,"error":""'),
        (b'"run7/a.fits"', b'"\\ud800"'),
        (b'"run7/a.fits"', b'"\\udcc3\\udca9"'),
        (b'"run7/a.fits"', b'"\\u0041"'),
        (b'"run7/a.fits"', "é".encode().join([b'"', b'"'])),
        (b'"run7/a.fits"', b"7"),
        (b"AAAAAAAAAAA=", b"AAAA"),
        (b"AAAAAAAAAAA=", b"AAAAAAAAAAB="),
        (b"AAAAAAAAAAA=", b"AAAAAAAAAAAAAAAA"),
        (b'"AAAAAAAAAAA="', b"0"),
        (b"\n", b""),
        (b"\n", b"\r\n"),
        (b"{", b" {"),
        (SECOND, b"\n"),
        (SECOND, b"[]\n"),
        (SECOND, b'"name"\n'),
        (SECOND, b"[" * 100_000 + b"\n"),
        (SECOND, SECOND.replace(b'"file"', b'"symlink"').replace(b"2880", b"0")),  # to nowhere
    ],
)
def test_what_no_line_is(old: bytes, new: bytes) -> None:
    first = line(LINK._replace(header_offset_bytes=0, offset_bytes=512))
    assert old in SECOND
    lines = parse([first, SECOND.replace(old, new)])
    next(lines)
    with pytest.raises(Damaged, match=r"line 2 .* isn't one") as raised:
        next(lines)
    assert raised.value.offset_bytes == len(first)


@pytest.mark.parametrize(("header_offset_bytes", "offset_bytes"), [(4415, 5000), (0, 1536), (5000, 5000), (6000, 5000)])
def test_places_ascend(header_offset_bytes: int, offset_bytes: int) -> None:
    behind = LINK._replace(header_offset_bytes=header_offset_bytes, offset_bytes=offset_bytes)
    with pytest.raises(Damaged, match=r"line 2 .* place"):
        list(parse([line(MEMBER), line(behind)]))
    touching = behind._replace(header_offset_bytes=4416, offset_bytes=4417)
    assert list(parse([line(MEMBER), line(touching)])) == [MEMBER, touching]


@pytest.mark.parametrize("name", [b"", b"/etc/passwd", b"../../x", b"."])
def test_hostile_names_are_given_as_they_stand(name: bytes) -> None:
    member = MEMBER._replace(name=name)
    assert list(parse([line(member)])) == [member]


@given(indexes())
def test_csv(members: list[IndexedMember]) -> None:
    table = io.StringIO(b"".join(csv_lines(members)).decode("utf-8", "surrogateescape"), newline="")
    assert [
        (row["name"].encode("utf-8", "surrogateescape"), int(row["offset"]), int(row["length"]), row["crc64nvme"])
        for row in csv.DictReader(table, strict=True)
    ] == [
        (
            member.name,
            member.offset_bytes,
            member.size_bytes,
            base64.b64encode(member.crc64nvme.to_bytes(8, "big")).decode(),
        )
        for member in members
        if member.kind is Kind.FILE and member.is_ok
    ]
