"""What is decided, path by path: beside dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.model import ConfirmedFile, SourceStat
from fastput.native.scan import Entry
from fastput.tree.compare import How, Listed, Verdict, judge_time
from fastput.tree.decide import Ask, Decision, Delete, Fail, Forget, Policy, Send, Skip, decide
from fastput.tree.join import Unordered, join
from fastput.tree.keys import Keys
from fastput.tree.select import Rule, Selection
from fastput.tree.walk import Found, Passed
from tests.tree.trees import names


def file(path: bytes, size_bytes: int = 1, mtime_s: int = 0, inode: int = 1) -> Found:
    entry = Entry(path, 0o100644, size_bytes, 0, mtime_s * 10**9, mtime_s * 10**9, inode, 1, 1, 0, 0)
    return Found(path, path, entry)


def listed(path: bytes, size_bytes: int = 1, etag: str = "e") -> Listed:
    return Listed(path, size_bytes, etag, 0.0)


def known(path: bytes, size_bytes: int = 1, etag: str = "e", inode: int = 1) -> ConfirmedFile:
    return ConfirmedFile(path, SourceStat(1, inode, size_bytes, 0, 0), etag, 0)


def decided(
    local: list[Found | Passed],
    there: Sequence[Listed] = (),
    before: Sequence[ConfirmedFile] = (),
    *,
    how: How | None = How.TIMES,
    rules: Sequence[Rule] = (),
    continues: bool = False,
    selection: Selection | None = None,
) -> list[Decision]:
    policy = Policy(Keys("p/"), selection or Selection(rules), how, continues, now_ns=10**18)
    return list(decide(join(iter(local), iter(there), iter(before)), policy))


paths = st.lists(names, unique=True).map(sorted)


@given(paths, paths, paths)
def test_rows_of_all_paths(one: list[bytes], two: list[bytes], three: list[bytes]) -> None:
    rows = list(join(iter(map(file, one)), iter(map(listed, two)), iter(map(known, three))))
    assert [row.path for row in rows] == sorted({*one, *two, *three})
    for row in rows:
        there = (row.local is not None, row.listed is not None, row.known is not None)
        assert there == (row.path in one, row.path in two, row.path in three)


@pytest.mark.parametrize("paths", [[b"b", b"a"], [b"a", b"a"], [b"a/b", b"a-b"]])
def test_an_order_of_ones_own_is_noticed(paths: list[bytes]) -> None:
    """The last: how a store lists that looks at a directory after the other."""
    with pytest.raises(Unordered):
        list(join(iter([]), iter(map(listed, paths)), iter([])))


def test_a_new_file_and_one_of_another_size() -> None:
    assert decided([file(b"a"), file(b"b", 2)], [listed(b"b", 1)]) == [
        Send(file(b"a"), "p/a", "new"),
        Send(file(b"b", 2), "p/b", "another size"),
    ]


def kinds(decisions: list[Decision]) -> list[tuple[str, bytes | str]]:
    found: list[tuple[str, bytes | str]] = []
    for decision in decisions:
        match decision:
            case Send() | Ask():
                found.append((type(decision).__name__, decision.found.path))
            case Skip() | Fail():
                found.append((type(decision).__name__, decision.path))
            case Delete():
                found.append(("Delete", decision.key))
            case Forget():
                found.append(("Forget", decision.known.path))
    return found


def test_the_same_size() -> None:
    assert kinds(decided([file(b"a")], [listed(b"a")])) == [("Ask", b"a")]
    assert kinds(decided([file(b"a")], [listed(b"a")], how=How.SIZES)) == [("Skip", b"a")]
    assert kinds(decided([file(b"a")], [listed(b"a")], how=How.CHECKSUMS)) == [("Ask", b"a")]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (known(b"a"), "Skip"),
        (known(b"a", etag="another"), "Ask"),
        (known(b"a", etag=""), "Ask"),
        (known(b"a", inode=2), "Ask"),
        (known(b"b"), "Ask"),
    ],
)
def test_what_an_earlier_run_knew(record: ConfirmedFile, kind: str) -> None:
    assert (kind, b"a") in kinds(decided([file(b"a")], [listed(b"a")], [record]))


def test_the_second_time_only_what_has_no_file_is_told_of() -> None:
    """A directory that can't be read still keeps what lies in it."""
    local = [file(b"a"), Passed(b"d", "can't be read", is_failure=True, is_directory=True), file(b"e"), file(b"f")]
    there = [listed(b"b"), listed(b"d/x"), listed(b"z")]
    rows = join(iter(local), iter(there), iter([known(b"c")]))
    policy = Policy(Keys("p/"), Selection(), How.TIMES, False, now_ns=10**18)
    assert kinds(list(decide(rows, policy, told_until=b"e"))) == [
        ("Delete", "p/b"),
        ("Send", b"f"),
        ("Delete", "p/z"),
    ]


def test_a_put_sends_all() -> None:
    assert kinds(decided([file(b"a")], [listed(b"a")], [known(b"a")], how=None)) == [("Send", b"a")]


def test_a_put_goes_on() -> None:
    local: list[Found | Passed] = [file(b"a"), file(b"b", inode=7), file(b"c")]
    records = [known(b"a"), known(b"b")]
    found = kinds(decided(local, [], records, how=None, continues=True))
    assert found == [("Skip", b"a"), ("Send", b"b"), ("Send", b"c")]


def test_what_has_no_file_is_deleted() -> None:
    found = kinds(decided([file(b"b")], [listed(b"a"), listed(b"c")], [known(b"a")]))
    assert found == [("Forget", b"a"), ("Delete", "p/a"), ("Send", b"b"), ("Delete", "p/c")]


def test_what_can_not_be_seen_is_kept() -> None:
    local: list[Found | Passed] = [
        Passed(b"link", "a symbolic link"),
        Passed(b"off", "can't be read", is_failure=True, is_directory=True),
        file(b"z"),
    ]
    there = [listed(b"link"), listed(b"off"), listed(b"off-x"), listed(b"off/a"), listed(b"off/b/c"), listed(b"offz")]
    found = kinds(decided(local, there, [known(b"off/a")]))
    assert found == [
        ("Skip", b"link"),
        ("Delete", "p/off"),
        ("Delete", "p/off-x"),
        ("Fail", b"off"),
        ("Delete", "p/offz"),
        ("Send", b"z"),
    ]


def test_a_root_that_can_not_be_read_deletes_nothing() -> None:
    root = Passed(b"", "can't be read", is_failure=True, is_directory=True)
    assert kinds(decided([root], [listed(b"a")])) == [("Fail", b"")]


def test_rules_are_for_both_sides() -> None:
    rules = [Rule(False, "*.tmp")]
    there = [listed(b"a.tmp"), listed(b"c.tmp"), listed(b"d")]
    found = kinds(decided([file(b"a.tmp"), file(b"b")], there, rules=rules))
    assert found == [("Send", b"b"), ("Delete", "p/d")]


def test_why_files_are_left_out() -> None:
    selection = Selection(max_size_bytes=10)
    (skip,) = decided([file(b"a", 11)], [listed(b"a")], selection=selection)
    assert skip == Skip(b"a", "larger than 10 B", 11)


def test_names_that_no_key_can_have() -> None:
    (bad, _) = decided([file(b"\xff"), file(b"\xff" * 2)])
    assert isinstance(bad, Fail)
    assert "isn't UTF-8" in bad.reason
    (fail,) = decided([file(b"x/" * 600 + b"y")])
    assert isinstance(fail, Fail)
    assert "1,203 bytes" in fail.reason


@pytest.mark.parametrize(
    ("is_kept", "mtime_s", "is_exact", "verdict"),
    [
        (True, 100, False, Verdict.SAME),
        (False, 0, False, Verdict.SEND),
        (None, 0, False, Verdict.SAME),
        (None, 1, False, Verdict.SEND),
        (None, 0, True, Verdict.SEND),
        (True, 0, True, Verdict.SAME),
    ],
)
def test_times(is_kept: bool | None, mtime_s: int, is_exact: bool, verdict: Verdict) -> None:
    judged = judge_time(file(b"a", mtime_s=mtime_s).entry, is_kept, listed(b"a"), is_exact)
    assert judged.verdict is verdict
