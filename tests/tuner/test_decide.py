"""Decisions, one sample at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.tuner import Bounds, Lack, Limit, Sample, Settled, State, begin, decide
from fastput.tuner.decide import Phase, elasticity, price
from fastput.tuner.level import Level
from tests.tuner.samples import sample

seconds = st.floats(0, 1)
counts = st.integers(0, 10**9)
anything = st.builds(
    Sample,
    elapsed_s=st.floats(0.01, 2), goodput_bytes=st.none() | counts, confirmed_bytes=counts,
    confirmed=st.integers(0, 100), latency_s=st.none() | seconds, in_flight=st.integers(0, 500),
    window=st.integers(1, 500), connections=st.integers(0, 500), rtt_s=st.none() | st.floats(1e-6, 5),
    min_rtt_s=st.none() | st.floats(1e-6, 5), sent_bytes=counts, retransmitted_bytes=counts,
    busy_s=st.floats(0, 50), receiver_limited_s=st.floats(0, 50), buffer_limited_s=st.floats(0, 50),
    slow_downs=st.sampled_from([0, 0, 0, 0, 1, 7]), failures=st.integers(0, 3), read_s=seconds, read_waited_s=seconds,
    cpu_s=seconds, lack=st.sampled_from([Lack.NOTHING, Lack.NOTHING, Lack.NOTHING, *Lack]),
    left_bytes=st.sampled_from([None, None, 0, 100 << 20]),
)  # fmt: skip


def after(state: State, samples: list[Sample]) -> State:
    for each in samples:
        state, _ = decide(state, each)
    return state


def settled(window: int = 32) -> State:
    """At rest, knowing what its window gives."""
    state = after(begin(Bounds(cpus=2), Settled(window, 100e6)), [sample(100.0, window)] * 8)
    assert state.phase is Phase.HOLD
    assert state.best is not None
    return state


@given(st.lists(anything, max_size=60), st.integers(1, 50), st.integers(0, 200), st.none() | st.integers(1, 400))
def test_whatever_comes_the_window_stays_in_its_bounds(
    samples: list[Sample], least: int, more: int, known: int | None
) -> None:
    bounds = Bounds(least, least + more, cpus=2)
    state = begin(bounds, Settled(known, 1e6) if known is not None else None)
    for each in samples:
        before = state
        state, settings = decide(state, each)
        assert bounds.least_window <= settings.window == state.window <= bounds.most_window
        assert decide(before, each) == (state, settings), "the same again"
        if each.is_tail or (each.lack is not Lack.NOTHING and not each.slow_downs):
            assert state.window == before.window


def test_it_doubles_while_that_shows() -> None:
    state, windows = begin(Bounds(cpus=2)), []
    for _ in range(40):
        state, settings = decide(state, sample(5.0 * state.window, state.window, rtt_s=None, min_rtt_s=None))
        windows.append(settings.window)
    assert list(dict.fromkeys(windows))[:4] == [8, 16, 32, 64]


@pytest.mark.parametrize(("mb_per_s", "window"), [(1200.0, 44), (300.0, 22), (75.0, 11), (3.0, 8)])
def test_a_full_link_gets_the_root_of_what_is_on_its_way(mb_per_s: float, window: int) -> None:
    """A quarter of the goodput, half of the window: so who has more comes nearer to who has less."""
    full = sample(mb_per_s, 8, rtt_s=0.064, min_rtt_s=0.04, part_bytes=8_000_000)
    state = after(begin(Bounds(cpus=2)), [full] * 15)
    assert state.window == window  # 18 times the root of 0.04 s * goodput / 8 MB
    state = after(state, [replace(full, in_flight=window)] * 300)
    assert (state.window, state.phase) == (window, Phase.HOLD), "there is nothing to be tried"


@pytest.mark.parametrize(("left_parts", "window"), [(None, 24), (1000, 24), (96, 24), (95, 23), (43, 10), (9, 8)])
def test_a_long_way_begins_with_what_there_is_enough_for(left_parts: int | None, window: int) -> None:
    left_bytes = None if left_parts is None else left_parts * 8_000_000
    first = sample(0.0, 8, rtt_s=0.1, min_rtt_s=0.1, part_bytes=8_000_000, left_bytes=left_bytes)
    assert after(begin(Bounds(cpus=2)), [first]).window == window
    assert after(begin(Bounds(most_window=12, cpus=2)), [first]).window == min(12, window)


def test_nothing_is_added_to_a_full_link_shortly_before_the_end() -> None:
    """What begins late there gets little, and ends last."""
    full = sample(300.0, 8, rtt_s=0.064, min_rtt_s=0.04, part_bytes=8_000_000, left_bytes=22 * 4 * 8_000_000 - 1)
    assert after(begin(Bounds(cpus=2)), [full] * 30).window == 8
    assert after(begin(Bounds(cpus=2)), [replace(full, left_bytes=22 * 4 * 8_000_000)] * 30).window == 22


def test_a_step_up_that_makes_it_far_worse_is_taken_back_at_once() -> None:
    store = {"rtt_s": None, "min_rtt_s": None, "receiver_limited_s": 8.0, "busy_s": 8.0}
    state = begin(Bounds(cpus=2))
    while state.window == 8:
        state, _ = decide(state, sample(320.0, 8, **store))
    assert after(state, [sample(80.0, 16, **store)] * 2).window == 8


def test_an_end_is_no_reason_to_change() -> None:
    before = settled()
    state = after(before, [sample(1.0, 32, left_bytes=0)] * 100)
    assert (state.window, state.phase, state.best) == (before.window, before.phase, before.best)


def test_memory_and_sources_are_named() -> None:
    assert after(settled(), [sample(lack=Lack.MEMORY)]).limit is Limit.MEMORY
    assert after(settled(), [sample(lack=Lack.SOURCE)]).limit is Limit.SOURCE


def test_slow_down_is_heeded_at_once_and_once() -> None:
    refused = sample(100.0, 32, slow_downs=9)
    state = after(settled(), [refused])
    assert state.window == 22
    assert after(state, [replace(refused, in_flight=22)] * 5).window == 22, "they answer what was sent before"
    most = max(after(state, [sample(100.0, 22)] * count).window for count in range(50))
    assert most == 22, "nothing more for some seconds"


def test_no_more_requests_shortly_before_the_end() -> None:
    """They wouldn't be seen any more, and take longer to end."""
    state, left_bytes = settled(), 31 * sample().part_bytes
    for _ in range(300):
        state, settings = decide(state, sample(100.0, state.window, left_bytes=left_bytes))
        assert (settings.window, state.phase) == (32, Phase.HOLD)
    windows = [(state := decide(state, sample(100.0, state.window))[0]).window for _ in range(300)]
    assert max(windows) > 32


def test_a_cpu_that_is_busy_gets_no_more_requests() -> None:
    state = begin(Bounds(cpus=2), Settled(32, 100e6))
    for _ in range(300):
        state, settings = decide(state, sample(100.0, state.window, cpu_s=0.2))
        assert settings.window <= 32
    assert state.limit is Limit.CPU


def level(window: int, mb_per_s: float, limit: Limit = Limit.WINDOW) -> Level:
    return Level(window, mb_per_s * 1e6, 0.01, 1.0, limit)


def test_elasticity() -> None:
    assert elasticity(level(10, 100), level(20, 200)) == 1.0
    assert elasticity(level(10, 100), level(20, 100)) == 0.0


def test_connections_cost_more_on_a_link_that_has_many_and_at_a_store_that_gives_each_little() -> None:
    prices = [price(level(window, 100), 0) for window in (8, 24, 40, 100)]
    assert prices == sorted(prices)
    assert prices[0] == prices[1] < prices[2] < prices[3]
    assert price(level(100, 500, Limit.STORE), 5e6) == prices[0], "it gives each as much as ever"
    assert price(level(100, 100, Limit.STORE), 5e6) == prices[3]
