"""Drives the pump through windows and part sizes. What to make of the samples is judge.py's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from fastput.client.measure.facts import MOST_WINDOW, PART_SIZES_BYTES, Measured
from fastput.client.measure.judge import fits, has_knee, late_part, measured, steady_part
from fastput.client.measure.machine import CpuShare
from fastput.client.measure.pump import TICK_S, Pump
from fastput.limits import DEFAULT_PART_BYTES
from fastput.tuner import Sample
from fastput.units import format_goodput, format_size

# What a window shows is looked at for so long at least, and at most.
_LEAST_S = 1.0
# A connection that has lost a packet takes this long to be itself again, and a lucky second isn't a rate: with 100 ms
# and 1e-4 of the packets lost, one second showed 110 MB/s of four requests, and the next ones 69.
_LEAST_ROUND_TRIPS = 30
_MOST_S = 6.0
# In less, what fills the buffers of 16 new connections, 2 MiB, looks like goodput: 17 MB/s at a store that takes 12.
_LEAST_LOOK_S = 1.5
_LEAST_ON_A_FAST_LINK_S = 2 * TICK_S
# A new connection doubles its rate each round trip: ten from 14 KiB are a window of 14 MiB.
_GROWTH_ROUND_TRIPS = 10
# New connections fill the buffers on their way faster than any store takes bytes.
_LEAST_QUIET_S = 0.5
# What is left of a larger window may take so long to be sent; then it is cancelled.
_SHRINK_WITHIN_S = 2.0
# Windows of 1, 2, 4, ... 256.
_STEPS = 9
# The part sizes have the rest.
_WINDOWS_SHARE = 0.55


class Sweep:
    """For one pump. `until_s` is of the monotonic clock."""

    def __init__(self, pump: Pump, memory_bytes: int, until_s: float, say: Callable[[str], None]) -> None:
        self._pump = pump
        self._memory_bytes = memory_bytes
        self._until_s = until_s
        self._say = say
        self._cpus = len(os.sched_getaffinity(0))

    def windows(self) -> tuple[list[Measured], str]:
        """Doubles the window while that helps; what each gave, and why it ended."""
        levels: list[Measured] = []
        pump, window = self._pump, 1
        ends_s = time.monotonic() + _WINDOWS_SHARE * (self._until_s - time.monotonic())
        reserved_bytes = int((1 - _WINDOWS_SHARE) * pump.left_bytes)
        while window <= MOST_WINDOW:
            left_bytes = pump.left_bytes - reserved_bytes
            left_s = ends_s - time.monotonic()
            ended_by = fits(window, DEFAULT_PART_BYTES, self._memory_bytes, left_bytes)
            if levels and ended_by is not None:
                return levels, ended_by
            if levels and left_s < _LEAST_LOOK_S:
                return levels, "time"
            steps_left = _STEPS - len(levels)
            most_s = max(_LEAST_LOOK_S, min(_MOST_S, left_s / min(steps_left, 4)))
            found = self._measure(window, DEFAULT_PART_BYTES, most_s, left_bytes // min(steps_left, 5))
            if found is None:
                return levels, "time" if pump.left_bytes > reserved_bytes else "budget"
            levels.append(found)
            self._say(f"{window} in flight: {format_goodput(found.goodput_bytes_per_s)}")
            if found.slow_downs:
                return levels, "slow_down"
            if has_knee(levels):
                return levels, "knee"
            window *= 2
        return levels, "most_window"

    def part_sizes(self, knee: Measured) -> list[Measured]:
        """At the window of the knee, as far as time, bytes and memory go; the knee's own is the first."""
        levels = [knee]
        window, goodput_bytes_per_s = knee.window, knee.goodput_bytes_per_s
        self._shrink(window, goodput_bytes_per_s)
        for place, part_bytes in enumerate(PART_SIZES_BYTES):
            # What is sent of the old size, and twice what is in flight of the new one.
            needed_bytes = 3 * window * part_bytes
            left_s = self._until_s - time.monotonic()
            if fits(window, part_bytes, self._memory_bytes, 2 * self._pump.left_bytes // 3) is not None:
                continue
            if left_s < _LEAST_LOOK_S + needed_bytes / max(goodput_bytes_per_s, 1.0):
                continue
            most_bytes = max(needed_bytes, self._pump.left_bytes // (len(PART_SIZES_BYTES) - place))
            found = self._measure(window, part_bytes, min(_MOST_S, left_s / 2), most_bytes, 2 * window)
            if found is not None:
                levels.append(found)
                self._say(f"parts of {format_size(part_bytes)}: {format_goodput(found.goodput_bytes_per_s)}")
        return levels

    def _measure(
        self, window: int, part_bytes: int, most_s: float, most_bytes: int, least_parts: int = 0
    ) -> Measured | None:
        """What a window gives; None: time or bytes ended before anything could be seen.

        Args:
            most_s: quiet time, in which nothing counts, included.
            most_bytes: to be sent.
            least_parts: that must have been confirmed, unless the time is up.
        """
        pump = self._pump
        pump.window, pump.part_bytes = window, part_bytes
        stops_bytes = pump.sent_bytes + most_bytes
        began_s = time.monotonic()
        ends_s = min(began_s + most_s, self._until_s)
        last = self._quiet(ends_s - most_s / 2, pump.sent_bytes + most_bytes // 2)
        samples: list[Sample] = []
        busy = CpuShare()
        # As long as nothing has moved there is nothing to be said: a store may stall for seconds.
        while (now_s := time.monotonic()) < ends_s or (now_s < self._until_s and not _shows(samples)):
            sample = pump.tick()
            if sample is None:
                continue
            if pump.is_starved and pump.in_flight < window:
                break  # the tail
            samples.append(sample)
            least_s = max(_LEAST_S, _LEAST_ROUND_TRIPS * (sample.rtt_s or 0.0))
            counted = steady_part(samples, min(least_s, most_s / 2), least_parts)
            if counted:
                return measured(counted, window, part_bytes, self._cpus, busy.share())
            if pump.sent_bytes >= stops_bytes and len(samples) * TICK_S >= _LEAST_ON_A_FAST_LINK_S:
                break
        samples = samples or ([last] if last is not None else [])
        if not _shows(samples):
            return None
        return measured(late_part(samples), window, part_bytes, self._cpus, busy.share())

    def _quiet(self, until_s: float, until_bytes: int, round_trips: int = _GROWTH_ROUND_TRIPS) -> Sample | None:
        """Waits until connections have grown and what was sent before has ended; the last sample."""
        began_s, last = time.monotonic(), None
        while time.monotonic() < until_s and not (self._pump.is_starved and last is not None):
            sample = self._pump.tick()
            if sample is None:
                continue
            last = sample
            rest_s = max(_LEAST_QUIET_S, round_trips * (sample.rtt_s or 0.0))
            is_over = time.monotonic() - began_s >= rest_s or self._pump.sent_bytes >= until_bytes
            if self._pump.has_settled and is_over:
                break
        return last

    def _shrink(self, window: int, goodput_bytes_per_s: float) -> None:
        """Goes back to a smaller window, and waits until the losses that the larger one has brought are forgotten."""
        pump = self._pump
        pump.window = window
        extra_bytes = max(0, pump.in_flight - window) * pump.part_bytes
        if extra_bytes > _SHRINK_WITHIN_S * goodput_bytes_per_s:
            pump.cancel()
        left_s = self._until_s - time.monotonic()
        self._quiet(time.monotonic() + left_s / 6, pump.sent_bytes + pump.left_bytes // 8, _LEAST_ROUND_TRIPS)


def _shows(samples: Sequence[Sample]) -> bool:
    """Whether anything has moved."""
    return any(sample.goodput_bytes or sample.confirmed for sample in samples)
