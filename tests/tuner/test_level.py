"""What a window has given, and what held it back: the signs are those that were measured on links and stores."""

from __future__ import annotations

from typing import Any

import pytest

from fastput.tuner import Limit
from fastput.tuner.level import is_steady, level_of
from tests.tuner.samples import sample

CPUS = 2


@pytest.mark.parametrize(
    ("limit", "signs"),
    [
        (Limit.STORE, {"receiver_limited_s": 0.78}),
        (Limit.STORE, {"receiver_limited_s": 0.78, "rtt_s": 0.05}),  # its round-trip time says nothing then
        (Limit.STORE, {"slow_downs": 1}),
        (Limit.LINK, {"rtt_s": 0.016}),
        (Limit.WINDOW, {"rtt_s": 0.0125, "buffer_limited_s": 0.2}),
        (Limit.WINDOW, {"rtt_s": 0.002, "min_rtt_s": 0.0001}),  # loopback
        (Limit.CPU, {"cpu_s": 0.19, "busy_s": 0.5}),
        (Limit.DISK, {"busy_s": 0.3, "read_s": 0.4, "read_waited_s": 0.35}),
    ],
)
def test_what_limits(limit: Limit, signs: dict[str, Any]) -> None:
    assert level_of([sample(**signs)] * 5, 8, CPUS).limit is limit


def test_goodput_is_of_the_whole_time() -> None:
    level = level_of([sample(100.0), sample(200.0, elapsed_s=0.3, goodput_bytes=60_000_000)], 8, CPUS)
    assert level.goodput_bytes_per_s == pytest.approx(70e6 / 0.4)


def test_the_error_shrinks_with_looks() -> None:
    first = level_of([sample(speed) for speed in (90.0, 110.0, 95.0, 105.0, 100.0)], 8, CPUS)
    assert 0.01 < first.error < 0.1
    level = first
    for _ in range(5):
        level = level.again(first)
    assert level.error < first.error / 2
    assert level.goodput_bytes_per_s == pytest.approx(first.goodput_bytes_per_s)


def test_steady_is_when_both_halves_agree() -> None:
    assert is_steady([sample()] * 3, 0.2)
    assert not is_steady([sample()], 0.2)
    assert not is_steady([sample(50.0)] * 2 + [sample(100.0)] * 2, 0.2)
    assert is_steady([sample(50.0)] * 5 + [sample(100.0)] * 5, 0.2), "it has taken long"
    assert not is_steady([sample(rtt_s=0.3, min_rtt_s=0.3)] * 5, 0.2), "two round trips at least"


def test_without_the_kernel_parts_are_counted() -> None:
    parts = [sample(None, confirmed_bytes=8_000_000)] * 10
    assert level_of(parts, 8, CPUS).goodput_bytes_per_s == pytest.approx(80e6)
    assert not is_steady(parts, 0.2), "ten parts of a window of eight tell little"
    assert is_steady(parts * 3, 0.2)
