"""A tuner to try the simulator with, simple on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastput.tuner.sample import Lack, Sample
from fastput.tuner.settings import Settings


@dataclass(frozen=True, slots=True)
class Climb:
    """
    Attributes:
        seen_bytes: since the last decision.
        best: the best second so far, slowly forgotten.
    """

    window: int = 4
    samples: int = 0
    seen_bytes: int = 0
    best: float = 0.0


def climb(state: Climb, sample: Sample) -> tuple[Climb, Settings]:
    """More by a quarter each second while that brings a twentieth, a tenth less when a fifth is lost."""
    seen_bytes = sample.confirmed_bytes if sample.goodput_bytes is None else sample.goodput_bytes
    state = replace(state, samples=state.samples + 1, seen_bytes=state.seen_bytes + seen_bytes)
    if state.samples % 10 or sample.is_tail or sample.lack is not Lack.NOTHING:
        return state, Settings(state.window)
    if state.seen_bytes > 1.05 * state.best:
        window = state.window * 5 // 4 + 1
    else:
        window = max(1, state.window * 9 // 10) if state.seen_bytes < 0.8 * state.best else state.window
    return Climb(window, 0, 0, max(float(state.seen_bytes), 0.98 * state.best)), Settings(window)


@dataclass(frozen=True, slots=True)
class Plan:
    """Windows to take at given samples, whatever is seen."""

    windows: tuple[tuple[int, int], ...]
    samples: int = 0


def follow(state: Plan, sample: Sample) -> tuple[Plan, Settings]:
    samples = state.samples + 1
    return replace(state, samples=samples), Settings([w for at, w in state.windows if at <= samples][-1])
