"""No name leaves the directory."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastput.formats.safe import Refused, below

HOSTILE = [b"", b"/", b"//", b"/etc/passwd", b"..", b"../x", b"a/../../x", b"a/..", b".", b"./x", b"a//b", b"a/./b",
           b"a\0b", b"\0", b"a//", b"../"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: bytes) -> None:
    with pytest.raises(Refused):
        below(name)


@given(st.lists(st.sampled_from([b"..", b".", b"", b"a", b"b", b"...", b"\xff", b"a\0"]), max_size=6).map(b"/".join))
@example(b"..../x")
def test_what_is_taken_stays_below(name: bytes) -> None:
    try:
        path = below(name)
    except Refused:
        return
    root = b"/some/where"
    assert os.path.normpath(os.path.join(root, path)) == root + b"/" + path
    assert path == name.removesuffix(b"/")
    assert b"\0" not in path


def test_nothing_goes_through_a_link() -> None:
    links = {b"a/link"}
    assert below(b"a/link", links) == b"a/link"
    assert below(b"a/link2/x", links) == b"a/link2/x"
    for name in (b"a/link/x", b"a/link/x/y", b"a/link/x/"):
        with pytest.raises(Refused, match="a/link, a link"):
            below(name, links)
