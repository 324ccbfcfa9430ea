"""What is found in an index by searching its bytes is what reading all of it finds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.formats.damaged import Damaged
from fastput.formats.index import Index
from fastput.formats.members import IndexedMember, parse
from fastput.formats.tar import Kind
from tests.support.archives import Packing, entry, tar

# Also what looks like the index's own text.
PARTS = [b"a", b"b", b"a.fits", b"\xff", b'{"name":"a"', b'"', b"\\", b'","type":"symlink",', b"\n", "é".encode()]
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(b"/".join)


def packing(name: bytes, kind: Kind) -> Packing:
    link = b"a" if kind in (Kind.SYMLINK, Kind.HARDLINK) else b""
    return entry(name, name if kind is Kind.FILE else b"", kind, link)


@given(st.lists(st.tuples(NAMES, st.sampled_from(Kind)), unique_by=lambda pair: pair[0], max_size=12), NAMES)
def test_searching_is_reading(members: list[tuple[bytes, Kind]], wanted: bytes) -> None:
    _, lines = tar([packing(name, kind) for name, kind in members])
    index, read = Index(lines), list(parse(lines.splitlines(keepends=True)))
    assert index.count == len(members)
    assert index.find(wanted) == next((member for member in read if member.name == wanted), None)
    assert list(index.below(b"")) == read
    assert list(index.below(wanted)) == [member for member in read if member.name.startswith(wanted + b"/")]
    found = sorted(index.links(), key=lambda member: member.header_offset_bytes)
    assert found == [member for member in read if member.kind in (Kind.SYMLINK, Kind.HARDLINK)]


def test_a_line_that_is_none() -> None:
    _, lines = tar([entry(b"a", b"x"), entry(b"b", b"y")])
    index = Index(lines.replace(b'"name":"b","type":"file"', b'"name":"b","type":"evil"'))
    found = index.find(b"a")
    assert isinstance(found, IndexedMember)
    with pytest.raises(Damaged):
        index.find(b"b")
    with pytest.raises(Damaged):
        list(index.below(b""))
