"""Plain functions over what a run left: how soon, how well and how steadily a tuner did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.simulator.connections import Bools, Floats
from bench.simulator.trace import INTERVAL_S, ClientTrace

# A median over so many samples bridges PROBE_RTT and the moments between parts.
_SMOOTH_SAMPLES = 11


def between(client: ClientTrace, from_s: float = 0.0, to_s: float = math.inf) -> Bools:
    """Which samples lie there; the tail doesn't count."""
    in_tail = np.array([sample.is_tail for sample in client.samples], np.bool_)
    return (client.time_s > from_s + INTERVAL_S / 2) & (client.time_s < to_s + INTERVAL_S / 2) & ~in_tail


def smooth(values: Floats, samples: int = _SMOOTH_SAMPLES) -> Floats:
    """Running median, centred; at the ends over what there is."""
    half = samples // 2
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def mean_goodput(client: ClientTrace, from_s: float = 0.0, to_s: float = math.inf) -> float:
    """Bytes a second, true, the tail left out."""
    values = client.goodput[between(client, from_s, to_s)]
    return float(values.mean()) if values.size else 0.0


def steady_goodput(client: ClientTrace, from_s: float = 0.0, to_s: float = math.inf) -> float:
    """Bytes a second in the last third of the interval."""
    values = client.goodput[between(client, from_s, to_s)]
    return float(values[-max(1, len(values) // 3) :].mean()) if values.size else 0.0


def settling_s(client: ClientTrace, from_s: float | None = None, to_s: float = math.inf, band: float = 0.1) -> float:
    """From `from_s` (its start) until the goodput stays within the band around its steady state; infinity: never.

    A recovery time is the settling time from a step on.
    """
    from_s = client.start_s if from_s is None else from_s
    chosen = between(client, from_s, to_s)
    values, time_s = smooth(client.goodput[chosen]), client.time_s[chosen]
    if not values.size:
        return math.inf
    steady = float(np.median(values[-max(1, len(values) // 3) :]))
    outside = np.flatnonzero(np.abs(values - steady) > band * steady)
    if not outside.size:
        return 0.0
    last = int(outside[-1])
    return math.inf if last == len(values) - 1 else float(time_s[last] - from_s)


def recovery_s(client: ClientTrace, step_s: float, level: float, to_s: float = math.inf, band: float = 0.1) -> float:
    """From a step until the goodput has come near a known level (bytes a second) to stay; infinity: never.

    Unlike settling_s() it doesn't forgive a client that settles below what there is.
    """
    chosen = between(client, step_s, to_s)
    values, time_s = smooth(client.goodput[chosen]), client.time_s[chosen]
    below = np.flatnonzero(values < (1 - band) * level)
    if not values.size or (below.size and int(below[-1]) == len(values) - 1):
        return math.inf
    return float(time_s[below[-1]] - step_s) if below.size else 0.0


def window_cv(client: ClientTrace, from_s: float, to_s: float = math.inf) -> float:
    """Coefficient of variation of the window: how much it oscillates."""
    values = client.window[between(client, from_s, to_s)]
    return float(values.std() / values.mean()) if values.size else 0.0


def direction_changes(client: ClientTrace, from_s: float = 0.0, to_s: float = math.inf) -> int:
    """How often the window turned from growing to shrinking or back."""
    steps = np.diff(client.window[between(client, from_s, to_s)])
    signs = np.sign(steps[steps != 0])
    return int(np.count_nonzero(np.diff(signs)))


def overshoot(client: ClientTrace, best_window: int, from_s: float = 0.0, to_s: float = math.inf) -> float:
    """The largest window as a multiple of the best."""
    values = client.window[between(client, from_s, to_s)]
    return float(values.max()) / best_window if values.size else 0.0


def jain(clients: Sequence[ClientTrace], from_s: float, to_s: float) -> float:
    """Jain's index of their shares: 1 if all are equal, 1 / n if one has everything."""
    shares = np.array([mean_goodput(client, from_s, to_s) for client in clients])
    return float(shares.sum() ** 2 / (len(shares) * (shares**2).sum())) if shares.any() else 0.0


def total_goodput(clients: Sequence[ClientTrace], from_s: float, to_s: float) -> float:
    """Bytes a second of all together."""
    return sum(mean_goodput(client, from_s, to_s) for client in clients)
