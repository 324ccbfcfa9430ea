"""Counters in, samples out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fastput.engine.meter import Counted, Meter, together
from fastput.native.slicer import MemoryBody
from fastput.transport import Traffic
from fastput.tuner import Lack

TRAFFIC = Traffic(1000, 2000, 30, 4_000_000, 500_000, 6, 7, 8, 90_000, 10_000)


def test_differences() -> None:
    counted = Counted()
    meter = Meter(counted)
    assert meter.sample(10.0, TRAFFIC, 4, 100, 8, Lack.NOTHING, None) is None
    body = MemoryBody(bytes(50))
    assert body.readinto(bytearray(50)) == 50
    counted.part(50, 2.0, body)
    counted.part(150, 4.0, body)
    counted.failed(is_throttling=True)
    counted.failed(is_throttling=False)
    later = replace(TRAFFIC, acknowledged_bytes=1700, sent_bytes=2900, busy_us=4_250_000, receiver_limited_us=600_000)
    sample = meter.sample(10.5, later, 8, 100, 9, Lack.MEMORY, 0)
    assert sample is not None
    assert (sample.elapsed_s, sample.goodput_bytes, sample.sent_bytes) == (0.5, 700, 900)
    assert (sample.confirmed_bytes, sample.confirmed, sample.latency_s) == (200, 2, 3.0)
    assert (sample.busy_s, sample.receiver_limited_s, sample.buffer_limited_s) == (0.25, 0.1, 0.0)
    assert (sample.rtt_s, sample.min_rtt_s, sample.connections) == (0.09, 0.01, 8)
    assert (sample.slow_downs, sample.failures) == (1, 1)
    assert (sample.in_flight, sample.window, sample.lack, sample.is_tail) == (8, 9, Lack.MEMORY, True)
    assert 0 < sample.read_s < 1
    assert 0 <= sample.read_waited_s <= sample.read_s
    again = meter.sample(10.6, later, 0, 0, 9, Lack.SOURCE, None)
    assert again is not None
    assert (again.goodput_bytes, again.confirmed, again.latency_s, again.slow_downs) == (0, 0, None, 0)


def test_where_the_kernel_says_nothing() -> None:
    meter = Meter(Counted())
    meter.sample(1.0, None, 0, 0, 8, Lack.NOTHING, None)
    sample = meter.sample(1.1, None, 0, 0, 8, Lack.NOTHING, None)
    assert sample is not None
    assert (sample.goodput_bytes, sample.rtt_s, sample.min_rtt_s, sample.busy_s) == (None, None, None, 0.0)


def test_several_ways_together() -> None:
    assert together([]) is None
    assert together([TRAFFIC]) == TRAFFIC
    other = replace(TRAFFIC, active_connections=24, rtt_us=10_000, min_rtt_us=0)
    both = together([TRAFFIC, other])
    assert both is not None
    assert (both.acknowledged_bytes, both.active_connections) == (2000, 32)
    assert both.rtt_us == pytest.approx((8 * 90_000 + 24 * 10_000) / 32)
    assert both.min_rtt_us == 10_000
