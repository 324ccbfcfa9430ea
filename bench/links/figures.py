"""What a run shows beside its wall time. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from bench.lab.series import Sample

# What counts as steady begins here: a cold start may take so long.
SETTLED_BY_S = 8.0
# And it ends before the last parts do: the tail is in the wall time.
STEADY_SHARE = 0.9
NEAR = 0.1
LOOK_S = 1.0


def goodput(samples: Sequence[Sample], from_s: float, until_s: float) -> float:
    """Mean, in bytes/s, between two times since the beginning of the run."""
    moved_bytes = span_s = 0.0
    for before, after in itertools.pairwise(samples):
        if from_s <= before.at_s and after.at_s <= until_s:
            moved_bytes += after.goodput_bytes_per_s * (after.at_s - before.at_s)
            span_s += after.at_s - before.at_s
    return moved_bytes / span_s if span_s else 0.0


def arrived_s(samples: Sequence[Sample], share: float) -> float:
    """When such a share of all bytes had arrived."""
    steps = [
        (after.at_s, after.goodput_bytes_per_s * (after.at_s - before.at_s))
        for before, after in itertools.pairwise(samples)
    ]
    left_bytes = share * sum(step_bytes for _, step_bytes in steps)
    for at_s, step_bytes in steps:
        left_bytes -= step_bytes
        if left_bytes <= 0:
            return at_s
    return 0.0


def steady_goodput(samples: Sequence[Sample], from_s: float = SETTLED_BY_S) -> float:
    """Bytes/s, without the beginning and the tail."""
    return goodput(samples, from_s, arrived_s(samples, STEADY_SHARE))


def settled_s(samples: Sequence[Sample], steady_bytes_per_s: float, since_s: float = 0.0) -> float | None:
    """How long after a moment a whole second was within a tenth of the steady goodput; None: never."""
    for sample in samples:
        if sample.at_s >= since_s + LOOK_S:
            mean = goodput(samples, sample.at_s - LOOK_S, sample.at_s)
            if abs(mean / steady_bytes_per_s - 1) <= NEAR:
                return sample.at_s - since_s
    return None


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1: all alike; 1/n: one has it all.

    Source: R. Jain, D. Chiu, W. Hawe, A Quantitative Measure of Fairness, DEC-TR-301, 1984.
    """
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else 0.0
