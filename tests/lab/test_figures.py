"""What is read out of the samples of a run."""

from __future__ import annotations

import pytest

from bench.lab.series import Sample
from bench.links.figures import arrived_s, goodput, jain, settled_s, steady_goodput


def run(*seconds: tuple[float, float]) -> list[Sample]:
    """(duration, bytes/s) one after another, in tenths of a second."""
    samples, at_s = [Sample(0.0, 0.0, 0, 0)], 0.0
    for duration_s, rate in seconds:
        for _ in range(round(duration_s * 10)):
            at_s += 0.1
            samples.append(Sample(round(at_s, 1), rate, 8, 8))
    return samples


def test_goodput_is_the_mean_between_two_times() -> None:
    samples = run((5, 10.0), (5, 30.0))
    assert goodput(samples, 0, 10) == pytest.approx(20.0)
    assert goodput(samples, 5, 10) == pytest.approx(30.0)
    assert goodput(samples, 20, 30) == 0.0


def test_when_a_share_had_arrived() -> None:
    assert arrived_s(run((10, 1.0)), 0.9) == pytest.approx(9.0, abs=0.11)
    assert arrived_s(run((5, 9.0), (45, 1.0)), 0.5) == pytest.approx(5.0, abs=0.11)


def test_steady_leaves_out_the_beginning_and_the_tail() -> None:
    assert steady_goodput(run((8, 1.0), (30, 100.0), (5, 5.0))) == pytest.approx(100.0)


@pytest.mark.parametrize(("seconds", "expected_s"), [
    ([(30, 100.0)], 1.0), ([(4, 10.0), (26, 100.0)], 4.9), ([(4, 300.0), (26, 100.0)], 5.0),
])  # fmt: skip
def test_settled_is_a_whole_second_near_the_steady_goodput(
    seconds: list[tuple[float, float]], expected_s: float
) -> None:
    assert settled_s(run(*seconds), 100.0) == pytest.approx(expected_s, abs=0.11)


def test_settled_after_a_change() -> None:
    assert settled_s(run((15, 100.0), (3, 80.0), (12, 50.0)), 50.0, 15.0) == pytest.approx(4.0, abs=0.2)
    assert settled_s(run((15, 100.0)), 50.0) is None


def test_jain() -> None:
    assert jain([5.0, 5.0, 5.0]) == pytest.approx(1.0)
    assert jain([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert jain([]) == 0.0
