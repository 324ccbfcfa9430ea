"""Rules, ages and sizes. Beside `aws s3 sync`: test_rules_of_aws.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.native.scan import Entry
from fastput.tree.select import Rule, Selection, parse_rules


def rules(text: str) -> list[Rule]:
    """ "-*.tmp +a/*": exclude and include."""
    return [Rule(word[0] == "+", word[1:]) for word in text.split()]


@pytest.mark.parametrize(
    ("text", "taken", "left"),
    [
        ("", ["a", "a/b"], []),
        ("-*", [], ["a", "a/b"]),
        ("-* +*.fits", ["x.fits", "run/x.fits"], ["x.log", "x.fits.tmp"]),
        ("+*.fits -*", [], ["x.fits"]),
        ("-a/*", ["a", "b/a/c"], ["a/b", "a/b/c"]),
        ("-a?c", ["ac", "abbc"], ["abc", "a/c"]),
        ("-[ab]", ["c", "ab"], ["a", "b"]),
        ("-[!ab]", ["a", "b"], ["c", "\n"]),
        ("-* +a\n*", ["a\nb"], ["ab"]),
    ],
)
def test_the_last_rule_decides(text: str, taken: list[str], left: list[str]) -> None:
    selection = Selection([Rule(word[0] == "+", word[1:]) for word in text.split(" ") if word])
    assert [path for path in (*taken, *left) if selection.takes(path)] == taken


words = st.text("ab*?/", min_size=1, max_size=5)


@given(st.lists(st.builds(Rule, st.booleans(), words), max_size=4), st.text("ab/", max_size=5), st.text("ab/"))
def test_what_is_not_entered_holds_nothing(some: list[Rule], directory: str, below: str) -> None:
    selection = Selection(some)
    assert selection.enters(directory) or not selection.takes(f"{directory}/{below}")


def test_directories_that_need_not_be_entered() -> None:
    assert not Selection(rules("-.git/*")).enters(".git")
    assert Selection(rules("-.git/*")).enters("src")
    assert not Selection(rules("+*.h -tmp/*")).enters("tmp")
    assert Selection(rules("-tmp/* +*.h")).enters("tmp")


def entry(size_bytes: int, age_s: float) -> Entry:
    return Entry(b"x", 0o100644, size_bytes, 0, -int(age_s * 1e9), 0, 1, 1, 1, 0, 0)


@pytest.mark.parametrize(
    ("selection", "file", "why"),
    [
        (Selection(), entry(0, 0), None),
        (Selection(min_age_s=60), entry(0, 59), "younger than 1m00s"),
        (Selection(min_age_s=60), entry(0, 60), None),
        (Selection(max_age_s=60), entry(0, 61), "older than 1m00s"),
        (Selection(max_age_s=60), entry(0, 60), None),
        (Selection(min_size_bytes=10), entry(9, 0), "smaller than 10 B"),
        (Selection(min_size_bytes=10), entry(10, 0), None),
        (Selection(max_size_bytes=10), entry(11, 0), "larger than 10 B"),
        (Selection(max_size_bytes=10), entry(10, 0), None),
    ],
)
def test_ages_and_sizes(selection: Selection, file: Entry, why: str | None) -> None:
    assert selection.why_not(file, now_ns=0) == why


def test_rules_of_a_file() -> None:
    text = "# what is no data\n*.tmp\n\n  \nrun */x\r\n#a\n"
    assert parse_rules(text) == [Rule(False, "*.tmp"), Rule(False, "run */x")]
