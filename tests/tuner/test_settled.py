"""What a transfer settled on, and what the next one makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from fastput.tuner import Bounds, Sample, Settled, State, begin, decide, settled
from tests.tuner.samples import sample

BOUNDS = Bounds(cpus=2)


def after(state: State, samples: list[Sample]) -> State:
    for each in samples:
        state, _ = decide(state, each)
    return state


def test_it_begins_where_the_earlier_one_settled() -> None:
    state = begin(BOUNDS, Settled(40, 100e6))
    assert state.window == 40
    # No ramp from there: what comes first is a look at that window.
    assert after(state, [sample(100.0, 40)] * 6).window == 40


def test_it_keeps_within_the_bounds() -> None:
    assert begin(Bounds(4, 24, 2), Settled(40, 100e6)).window == 24


def test_where_it_gives_far_less_than_then_it_begins_anew() -> None:
    state = after(begin(BOUNDS, Settled(120, 600e6)), [sample(100.0, 120)] * 15)
    assert state == begin(BOUNDS)


def test_nobody_settles_in_the_ramp() -> None:
    assert settled(begin(BOUNDS)) is None
    assert settled(after(begin(BOUNDS), [sample(40.0, 8)] * 6)) is None


def test_what_it_settled_on_is_said_and_read_again() -> None:
    state = begin(BOUNDS, Settled(24, 100e6))
    state = after(state, [sample(100.0, 24, rtt_s=None, min_rtt_s=None)] * 14)
    found = settled(state)
    assert found is not None
    assert found.window == 24
    assert found.goodput_bytes_per_s == pytest.approx(100e6)
    assert Settled.from_dict(found.to_dict()) == found


@pytest.mark.parametrize("document", [
    {}, {"window": 0, "goodput_bytes_per_s": 1.0}, {"window": "8", "goodput_bytes_per_s": 1.0},
    {"window": True, "goodput_bytes_per_s": 1.0}, {"window": 8}, {"window": 8, "goodput_bytes_per_s": -1.0},
])  # fmt: skip
def test_nonsense_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"window|goodput"):
        Settled.from_dict(document)
