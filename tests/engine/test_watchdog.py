"""Whether anything moves: a thin link does, a dead one doesn't; and what is said meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.engine.watchdog import Judgement, Watchdog

TICK_S = 0.5


class Clock:
    """Looks twice a second, as the engine does."""

    def __init__(self, timeout_s: float) -> None:
        self.watchdog = Watchdog(timeout_s)
        self.now_s = 1000.0
        self.activity = 0
        self.moved = 0
        self.is_waiting = True

    def tick(self) -> Judgement:
        self.now_s += TICK_S
        return self.watchdog.look(self.now_s, self.activity, self.moved, self.is_waiting)

    def run(self, seconds: float, between: Callable[[], None] = lambda: None) -> Iterator[tuple[float, Judgement]]:
        """(seconds since the beginning, what was found)."""
        begun_s = self.now_s
        while self.now_s - begun_s < seconds:
            between()
            found = self.tick()
            yield self.now_s - begun_s, found


def stalled_after_s(clock: Clock, seconds: float) -> float | None:
    return next((after_s for after_s, found in clock.run(seconds) if found.is_stalled), None)


@pytest.mark.parametrize("timeout_s", [1.0, 5.0, 30.0, 300.0])
def test_nothing_moves(timeout_s: float) -> None:
    clock = Clock(timeout_s)
    clock.tick()
    after_s = stalled_after_s(clock, 2 * timeout_s + 10)
    assert after_s is not None
    # The first look at the kernel's counter only tells what it was.
    assert timeout_s <= after_s <= timeout_s + 2.0 + 2 * TICK_S


def test_the_idle_time_is_said() -> None:
    clock = Clock(20.0)
    clock.tick()
    found = next(found for _, found in clock.run(60) if found.is_stalled)
    assert 20.0 <= found.idle_s <= 20.5


def test_answers_that_come_in_time() -> None:
    clock = Clock(10.0)
    for count in range(200):
        clock.activity += count % 18 == 0
        assert not clock.tick().is_stalled


def test_one_byte_now_and_then_is_a_thin_link_and_not_a_dead_one() -> None:
    clock = Clock(10.0)

    def move() -> None:
        clock.moved += int(clock.now_s) % 9 == 0

    assert not any(found.is_stalled for _, found in clock.run(600, move))


def test_a_counter_that_goes_down_has_moved_too() -> None:
    """A connection was closed, and its bytes are counted no more."""
    clock = Clock(10.0)
    clock.moved = 10**6
    assert not any(found.is_stalled for _, found in clock.run(9))
    clock.moved = 5
    assert not any(found.is_stalled for _, found in clock.run(9))


def test_bytes_that_moved_before_do_not_count() -> None:
    clock = Clock(10.0)
    list(clock.run(30, lambda: setattr(clock, "moved", clock.moved + 1)))
    after_s = stalled_after_s(clock, 30)
    assert after_s is not None
    assert 10.0 - TICK_S <= after_s <= 13.0


def test_who_waits_for_nothing_is_never_late() -> None:
    """A pipe that is silent, or no upload at all."""
    clock = Clock(5.0)
    clock.is_waiting = False
    assert not any(found.is_stalled or found.should_say for _, found in clock.run(600))
    clock.is_waiting = True
    after_s = stalled_after_s(clock, 60)
    assert after_s is not None
    assert after_s >= 5.0, "what was before doesn't count"


@pytest.mark.parametrize("timeout_s", [4.0, 20.0, 300.0])
def test_it_is_said_three_times_before_the_end(timeout_s: float) -> None:
    clock = Clock(timeout_s)
    clock.tick()
    said: list[float] = []
    for _, found in clock.run(3 * timeout_s):
        if found.should_say:
            said.append(found.idle_s / timeout_s)
        if found.is_stalled:
            break
    assert len(said) == 3
    for quarter, share in enumerate(said, start=1):
        assert quarter / 4 <= share < (quarter + 1) / 4


def test_it_is_said_again_when_it_stops_again() -> None:
    clock = Clock(20.0)
    for _ in range(3):
        said = [found for _, found in clock.run(19) if found.should_say]
        assert len(said) == 3
        clock.activity += 1


def test_what_is_left_after_the_end_begins_anew() -> None:
    """Other uploads have their own time, and hear of it again."""
    clock = Clock(20.0)
    clock.tick()
    for _ in range(3):
        said = 0
        for after_s, found in clock.run(60):
            said += found.should_say
            if found.is_stalled:
                assert after_s >= 20.0
                break
        else:
            raise AssertionError("it isn't noticed a second time")
        assert said == 3


steps = st.lists(
    st.tuples(st.sampled_from(["nothing", "answer", "bytes", "idle"]), st.floats(0.01, 20)), min_size=1, max_size=100
)


@settings(deadline=None)
@given(steps, st.floats(0.1, 60))
def test_never_before_the_time_out_and_never_much_after(happened: list[tuple[str, float]], timeout_s: float) -> None:
    watchdog, now_s, activity, moved = Watchdog(timeout_s), 0.0, 0, 0
    last_s: float | None = None  # since when the watchdog has reason to think that nothing moves
    for kind, later_s in happened:
        now_s += later_s
        activity += kind == "answer"
        moved += kind == "bytes"
        found = watchdog.look(now_s, activity, moved, is_waiting=kind != "idle")
        is_news = kind != "nothing" or last_s is None
        if is_news:
            last_s = now_s
            assert found == Judgement()
            continue
        assert last_s is not None
        assert found.is_stalled == (now_s - last_s >= timeout_s)
        if found.is_stalled:
            last_s = now_s
