"""When a request is late: learned from the others, and never from the clock alone."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.engine.pace import Pace

MIB = 1 << 20
durations = st.lists(st.tuples(st.integers(0, 64 * MIB), st.floats(0, 1000)), max_size=100)


def learned(count: int, duration_s: float, length_bytes: int = MIB) -> Pace:
    pace = Pace()
    for _ in range(count):
        pace.note(length_bytes, duration_s)
    return pace


def test_three_answers_teach_nothing_and_four_do() -> None:
    assert learned(3, 5.0).usual_s(MIB) is None
    assert learned(4, 5.0).usual_s(MIB) == 5.0
    assert not learned(3, 5.0).is_overdue(MIB, 59.0, 1000, 1, is_tail=False)


def test_at_the_end_one_answer_is_enough() -> None:
    assert learned(1, 5.0).is_overdue(MIB, 15.1, 0, 1, is_tail=True)
    assert not learned(0, 5.0).is_overdue(MIB, 59.0, 0, 1, is_tail=True)


def test_an_answer_that_drips_ends_though_nothing_was_learned() -> None:
    assert Pace().is_overdue(MIB, 60.0, 0, 16, is_tail=False)
    assert not Pace().is_overdue(64 * MIB, 1000.0, 0, 16, is_tail=False), "a thin link takes as long"
    assert not learned(10, 60.0).is_overdue(MIB, 599.0, 0, 16, is_tail=False), "all take long"


def test_small_requests_do_not_tell_of_large_ones_but_large_ones_of_small() -> None:
    pace = learned(64, 1.0, length_bytes=MIB)
    assert pace.usual_s(2 * MIB) == 1.0
    assert pace.usual_s(2 * MIB + 1) is None
    assert pace.usual_s(0) == 1.0


def test_what_is_long_ago_is_forgotten() -> None:
    """A link that has become slower for good is judged by what it does now."""
    pace = learned(64, 1.0)
    for _ in range(33):
        pace.note(MIB, 100.0)
    assert pace.usual_s(MIB) == 100.0
    for _ in range(64):
        pace.note(MIB, 2.0)
    assert pace.usual_s(MIB) == 2.0


@settings(deadline=None)
@given(durations, st.integers(0, 64 * MIB))
def test_usual_is_the_median_of_those_that_are_comparable(noted: list[tuple[int, float]], length_bytes: int) -> None:
    pace = Pace()
    for known_bytes, duration_s in noted:
        pace.note(known_bytes, duration_s)
    assert pace.answered_count == len(noted)
    like = [duration_s for known_bytes, duration_s in noted[-64:] if known_bytes * 2 >= length_bytes]
    assert pace.usual_s(length_bytes) == (median(like) if len(like) >= 4 else None)


def test_one_slow_answer_among_many_does_not_move_it() -> None:
    pace = learned(20, 2.0)
    pace.note(MIB, 500.0)
    assert pace.is_overdue(MIB, 6.0, 0, 4, is_tail=True)


@pytest.mark.parametrize(("usual_s", "late_s"), [(0.0, 3.0), (0.9, 3.0), (1.0, 3.0), (1.1, 3.3), (60.0, 180.0)])
def test_late_is_three_times_the_usual_and_three_seconds_at_least(usual_s: float, late_s: float) -> None:
    pace = learned(10, usual_s)
    assert not pace.is_overdue(MIB, late_s - 0.01, 1000, 4, is_tail=True)
    assert pace.is_overdue(MIB, late_s + 0.01, 0, 4, is_tail=True)


@pytest.mark.parametrize("window", [1, 2, 16, 300])
def test_before_the_end_only_one_that_was_overtaken_by_two_windows_is_late(window: int) -> None:
    pace = learned(10, 1.0)
    assert not pace.is_overdue(MIB, 59.0, 2 * window - 1, window, is_tail=False)
    assert pace.is_overdue(MIB, 59.0, 2 * window, window, is_tail=False)


@settings(deadline=None)
@given(durations, st.integers(0, 64 * MIB), st.floats(0, 59.0), st.integers(1, 300), st.data())
def test_a_link_that_is_slow_for_all_makes_nobody_late(
    noted: list[tuple[int, float]], length_bytes: int, elapsed_s: float, window: int, data: st.DataObject
) -> None:
    """All of a window were sent together: each can be overtaken by the others of it at most."""
    pace = Pace()
    for known_bytes, duration_s in noted:
        pace.note(known_bytes, duration_s)
    answered_since = data.draw(st.integers(0, window - 1))
    assert not pace.is_overdue(length_bytes, elapsed_s, answered_since, window, is_tail=False)


def test_what_little_is_known_counts_before_the_end_too() -> None:
    """Was a bug: with fewer than four answers a request was hopeless where at the end it wasn't even late."""
    pace = learned(1, 1000.0)
    for elapsed_s in (61.0, 2999.0):
        assert not pace.is_overdue(MIB, elapsed_s, 0, 4, is_tail=True)
        assert not pace.is_overdue(MIB, elapsed_s, 0, 4, is_tail=False)


@settings(deadline=None)
@given(durations, st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_what_is_late_stays_late(
    noted: list[tuple[int, float]], elapsed_s: float, more_s: float, since: int, more: int, is_tail: bool
) -> None:
    pace = Pace()
    for known_bytes, duration_s in noted:
        pace.note(known_bytes, duration_s)
    if pace.is_overdue(MIB, elapsed_s, since, 4, is_tail):
        assert pace.is_overdue(MIB, elapsed_s + more_s, since + more, 4, is_tail)
        assert pace.is_overdue(MIB, elapsed_s, since, 4, is_tail=True)
