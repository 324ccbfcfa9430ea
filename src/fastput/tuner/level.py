"""What a window has given: samples in, one Level out. Pure.

Goodput is what the other end has acknowledged: over 0.3 s it varies by 0-7%, where counted parts vary by 60-120%.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean, stdev

from fastput.tuner.sample import Sample

# On shorter ways the round-trip time tells of this machine's scheduling, not of queues.
LONG_RTT_S = 1.5e-3
# Of the time in which requests were in flight, spent waiting for the other end to take bytes: 0.98 at a store that is
# the limit, 0 on a link.
_STORE_SHARE = 0.5
# Round-trip times above the least: 1.46-1.7 where a link is full.
FULL_INFLATION = 1.35
_BUSY_CPU = 0.9
_IDLE_CONNECTIONS = 0.3
_MOST_LOOKS = 6


class Limit(StrEnum):
    """What holds a transfer back."""

    WINDOW = "window"  # nothing else: more requests would give more
    LINK = "link"
    STORE = "store"
    DISK = "disk"
    CPU = "cpu"
    MEMORY = "memory"
    RATE = "rate"  # --limit-rate
    SOURCE = "source"  # a pipe that gives no more, or the end


@dataclass(frozen=True, slots=True)
class Level:
    """
    Attributes:
        window: requests in flight.
        goodput_bytes_per_s: mean.
        error: of that, relative: one standard deviation.
        inflation: of the round-trip time, over the least; 1 where it says nothing.
        limit: what it looked like. WINDOW: unknown.
        looks: how often it was looked at.
    """

    window: int
    goodput_bytes_per_s: float
    error: float
    inflation: float
    limit: Limit
    looks: int = 1

    def again(self, newer: Level) -> Level:
        """Seen once more. Older looks fade. Whether a link is full is seen over several."""
        looks = min(self.looks, _MOST_LOOKS)
        weight = looks / (looks + 1)
        goodput_bytes_per_s = weight * self.goodput_bytes_per_s + (1 - weight) * newer.goodput_bytes_per_s
        error = math.hypot(weight * self.error, (1 - weight) * newer.error)
        inflation = weight * self.inflation + (1 - weight) * newer.inflation
        limit = newer.limit
        if limit in (Limit.LINK, Limit.WINDOW):
            limit = Limit.LINK if inflation >= FULL_INFLATION else Limit.WINDOW
        return Level(newer.window, goodput_bytes_per_s, error, inflation, limit, looks + 1)

    @property
    def each_bytes_per_s(self) -> float:
        """A request's share."""
        return self.goodput_bytes_per_s / self.window


def settle_s(sample: Sample) -> float:
    """After a change of the window what is seen doesn't count for so long: new connections fill their buffers."""
    return max(0.3, 2 * (sample.rtt_s or 0.0))


def is_steady(samples: Sequence[Sample], least_s: float) -> bool:
    """Whether a window shows what it gives: its two halves agree, or it has taken long."""
    span_s, rtt_s = span(samples), samples[-1].rtt_s or 0.0
    if not _has_kernel(samples):
        # Whole parts only: several windows of them, or the few seconds that a decision may take.
        confirmed = sum(sample.confirmed for sample in samples)
        return span_s >= 2 * least_s and (confirmed >= 3 * samples[-1].window or span_s >= 10 * least_s)
    if span_s < max(least_s, 2 * rtt_s) - 1e-6:
        return False
    middle = len(samples) // 2
    halves = [_goodput(samples[:middle]), _goodput(samples[middle:])]
    return abs(halves[0] - halves[1]) <= 0.08 * max(halves) or span_s >= max(4 * least_s, 6 * rtt_s)


def span(samples: Sequence[Sample]) -> float:
    """Seconds."""
    return sum(sample.elapsed_s for sample in samples)


def level_of(samples: Sequence[Sample], window: int, cpus: int) -> Level:
    """Of at least one sample."""
    inflation = _inflation(samples)
    return Level(window, _goodput(samples), _error(samples), inflation, _limit(samples, inflation, cpus))


def _has_kernel(samples: Sequence[Sample]) -> bool:
    return all(sample.goodput_bytes is not None for sample in samples)


def _goodput(samples: Sequence[Sample]) -> float:
    span_s = sum(sample.elapsed_s for sample in samples)
    if _has_kernel(samples):
        moved_bytes = sum(sample.goodput_bytes or 0 for sample in samples)
    else:
        moved_bytes = sum(sample.confirmed_bytes for sample in samples)
    return max(1.0, moved_bytes / span_s) if span_s else 1.0


def _error(samples: Sequence[Sample]) -> float:
    """From how much fifths of the time differ: what lies nearer together isn't independent."""
    count = min(5, len(samples))
    if count < 2:
        return 0.5
    fifths = [_goodput(samples[len(samples) * i // count : len(samples) * (i + 1) // count]) for i in range(count)]
    return stdev(fifths) / mean(fifths) / math.sqrt(count)


def _inflation(samples: Sequence[Sample]) -> float:
    pairs = [(sample.rtt_s, sample.min_rtt_s) for sample in samples if sample.rtt_s and sample.min_rtt_s]
    if not pairs or _is_store(samples):
        return 1.0
    least_s = min(min_rtt_s for _, min_rtt_s in pairs)
    mean_s = math.fsum(rtt_s for rtt_s, _ in pairs) / len(pairs)
    return max(1.0, mean_s / least_s) if least_s >= LONG_RTT_S else 1.0


def _is_store(samples: Sequence[Sample]) -> bool:
    busy_s = sum(sample.busy_s for sample in samples)
    return busy_s > 0 and sum(sample.receiver_limited_s for sample in samples) > _STORE_SHARE * busy_s


def _limit(samples: Sequence[Sample], inflation: float, cpus: int) -> Limit:
    span_s = sum(sample.elapsed_s for sample in samples)
    in_flight_s = sum(sample.in_flight * sample.elapsed_s for sample in samples)
    busy_s = sum(sample.busy_s for sample in samples)
    is_idle = in_flight_s > 0 and busy_s < (1 - _IDLE_CONNECTIONS) * in_flight_s
    read_s, waited_s = sum(sample.read_s for sample in samples), sum(sample.read_waited_s for sample in samples)
    if _has_kernel(samples) and is_idle and waited_s > read_s / 2 and waited_s > span_s / 2:
        return Limit.DISK
    if sum(sample.cpu_s for sample in samples) > _BUSY_CPU * cpus * span_s:
        return Limit.CPU
    if any(sample.slow_downs for sample in samples) or _is_store(samples):
        return Limit.STORE
    return Limit.LINK if inflation >= FULL_INFLATION else Limit.WINDOW
