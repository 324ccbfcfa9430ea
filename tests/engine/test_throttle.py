"""The window under SlowDown and success: halved once a second, lifted slowly, never below one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.engine.throttle import Throttle


def cut(wanted: int, times: int = 1) -> Throttle:
    throttle = Throttle()
    for second in range(times):
        throttle.slow_down(float(second), throttle.window(wanted))
    return throttle


def successes_until(throttle: Throttle, wanted: int, window: int) -> int:
    """How many requests have to be taken until the window is so wide."""
    for count in range(100 * wanted * wanted):
        if throttle.window(wanted) >= window:
            return count
        throttle.succeeded(wanted)
    raise AssertionError("it never recovers")


def test_without_a_refusal_the_window_is_what_is_wanted() -> None:
    throttle = Throttle()
    for wanted in (1, 16, 300, 2):
        throttle.succeeded(wanted)
        assert throttle.window(wanted) == wanted


@pytest.mark.parametrize(("in_flight", "window"), [(1, 1), (2, 1), (3, 1), (4, 2), (15, 7), (16, 8), (300, 150)])
def test_a_refusal_halves_what_is_in_flight(in_flight: int, window: int) -> None:
    throttle = Throttle()
    throttle.slow_down(0.0, in_flight)
    assert throttle.window(300) == window


def test_refusals_of_one_moment_are_one_cut() -> None:
    throttle = Throttle()
    for place in range(16):
        throttle.slow_down(place / 20, 16 - place)
    assert throttle.window(16) == 8
    throttle.slow_down(0.999, 8)
    assert throttle.window(16) == 8
    throttle.slow_down(1.0, 8)
    assert throttle.window(16) == 4


def test_a_second_is_counted_from_the_last_cut_not_from_the_last_refusal() -> None:
    """A store that refuses all the time must not be pressed for ever because refusals keep arriving."""
    throttle = Throttle()
    for tenth in range(41):
        throttle.slow_down(tenth / 10, throttle.window(256))
    assert throttle.window(256) == 256 >> 5


def test_a_later_refusal_with_more_in_flight_than_the_ceiling_does_not_lift_it() -> None:
    """What was sent before the cut is still in flight and counts no more."""
    throttle = Throttle()
    throttle.slow_down(0.0, 16)
    throttle.slow_down(1.0, 100)
    assert throttle.window(100) == 4


@pytest.mark.parametrize("wanted", [1, 2, 3, 16, 64])
def test_never_below_one(wanted: int) -> None:
    throttle = cut(wanted, times=20)
    assert throttle.window(wanted) == 1


def test_many_cuts_are_recovered_from_as_slowly_as_few() -> None:
    """From one to 64 in single steps: each takes a window of successes."""
    for times in (6, 20, 100):
        count = successes_until(cut(64, times), 64, 64)
        assert 64 * 63 / 2 - 64 <= count <= 64 * 65 / 2


@pytest.mark.parametrize("wanted", [2, 3, 16, 64])
@pytest.mark.parametrize("cuts", [1, 2, 10])
def test_it_recovers_to_exactly_what_is_wanted(wanted: int, cuts: int) -> None:
    throttle = cut(wanted, cuts)
    successes_until(throttle, wanted, wanted)
    for _ in range(1000):
        throttle.succeeded(wanted)
        assert throttle.window(wanted) == wanted


def test_a_window_of_successes_lifts_it_by_about_one() -> None:
    throttle = cut(64)
    for window in range(33, 64):
        count = successes_until(throttle, 64, window)
        assert window - 3 <= count <= window + 1, f"{count} successes from {window - 1} to {window}"


def test_a_window_of_one_recovers_with_the_first_success() -> None:
    """Nothing less can be asked of it."""
    throttle = cut(1, times=3)
    throttle.succeeded(1)
    assert throttle.window(5) == 5


events = st.lists(
    st.one_of(
        st.tuples(st.just("slow"), st.floats(0, 2), st.integers(1, 400)),
        st.tuples(st.just("ok"), st.floats(0, 2), st.integers(1, 400)),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(events)
def test_whatever_happens_the_window_is_between_one_and_what_is_wanted(happened: list[tuple[str, float, int]]) -> None:
    throttle, now_s = Throttle(), 0.0
    last_cut_s: float | None = None
    for kind, later_s, number in happened:
        now_s += later_s
        before = throttle.window(10**6)
        if kind == "slow":
            throttle.slow_down(now_s, number)
            after = throttle.window(10**6)
            is_cut = after != before or (before == 1 and (last_cut_s is None or now_s - last_cut_s >= 1.0))
            if is_cut:
                assert after <= max(1, before // 2 + 1)
                assert last_cut_s is None or now_s - last_cut_s >= 1.0, "two cuts within a second"
                last_cut_s = now_s
        else:
            throttle.succeeded(number)
            assert throttle.window(10**6) >= before
        for wanted in (1, 2, 16, 300):
            assert 1 <= throttle.window(wanted) <= wanted
