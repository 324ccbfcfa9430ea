"""The measures, on traces made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.simulator import (
    WORLDS,
    Client,
    ClientTrace,
    best_fixed,
    direction_changes,
    jain,
    mean_goodput,
    overshoot,
    recovery_s,
    run,
    settling_s,
    steady_goodput,
    window_cv,
)

SAMPLE = run(WORLDS["knee-8"], [Client.fixed(1)], 0.2).clients[0].samples[0]


def trace(goodput: list[float], window: list[float] | None = None) -> ClientTrace:
    values = np.array(goodput)
    time_s = 0.1 * np.arange(1, len(values) + 1)
    windows = np.array(window if window is not None else [4.0] * len(values))
    return ClientTrace(time_s, values, values, windows, windows, values, (SAMPLE,) * len(values), (), 0.0, None, 0.0)


def test_settling_is_when_it_stays_near() -> None:
    assert settling_s(trace([100.0] * 50)) == 0
    assert settling_s(trace([10.0] * 30 + [100.0] * 70)) == pytest.approx(3.0, abs=0.1)
    assert settling_s(trace([100.0] * 20 + [50.0] * 30 + [100.0] * 70)) == pytest.approx(5.0, abs=0.1)
    # A dip of 0.3 s is no relapse.
    assert settling_s(trace([10.0] * 30 + [100.0] * 30 + [20.0] * 3 + [100.0] * 40)) == pytest.approx(3.0, abs=0.1)
    assert settling_s(trace([100.0] * 60 + [20.0] * 10)) == math.inf


def test_recovery_doesnt_forgive_settling_too_low() -> None:
    half = trace([100.0] * 50 + [50.0] * 50)
    assert settling_s(half, 5.0) == pytest.approx(0, abs=0.6)
    assert recovery_s(half, 5.0, 100.0) == math.inf
    assert recovery_s(trace([100.0] * 50 + [50.0] * 20 + [95.0] * 50), 5.0, 100.0) == pytest.approx(2.0, abs=0.1)


def test_oscillation_is_seen() -> None:
    still, saw = trace([1.0] * 40), trace([1.0] * 40, [8.0, 12.0] * 20)
    assert window_cv(still, 0) == 0
    assert window_cv(saw, 0) == pytest.approx(0.2)
    assert direction_changes(still) == 0
    assert direction_changes(saw) == 38
    assert direction_changes(trace([1.0] * 6, [1, 2, 2, 3, 4, 4])) == 0
    assert overshoot(saw, 6) == 2


def test_shares() -> None:
    even, none = trace([100.0] * 20), trace([0.0] * 20)
    assert jain([even, even], 0, 2) == pytest.approx(1)
    assert jain([even, none], 0, 2) == pytest.approx(0.5)
    assert mean_goodput(trace([10.0] * 10 + [20.0] * 10), 0.5, 1.5) == pytest.approx(15)
    assert steady_goodput(trace([10.0] * 20 + [20.0] * 10)) == pytest.approx(20)


@pytest.mark.parametrize(("name", "least", "most"), [("knee-8", 6, 8), ("knee-30", 20, 30), ("1gbps-100ms", 8, 32)])
def test_the_best_fixed_window_lies_where_the_world_has_it(name: str, least: int, most: int) -> None:
    best = best_fixed(WORLDS[name], grid=(1, 2, 4, 6, 8, 12, 16, 20, 24, 30, 48, 64, 128))
    assert least <= best.window <= most
    assert best.efficiency(best.goodput / 2) == 0.5
    assert best.goodput == max(goodput for window, goodput in best.grid)
