"""What was measured, judged: the pure half of fastput bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fastput.client.measure.facts import Machine, Measured
from fastput.client.measure.judge import (
    best_part_bytes,
    fits,
    has_knee,
    knee_of,
    late_part,
    measured,
    steady_part,
    verdict,
)
from fastput.client.measure.numbers import PartNumbers
from fastput.limits import MIB
from fastput.tuner import Lack, Sample

MB = 1e6
MACHINE = Machine(cpus=2)


def levels(*goodputs_mb_per_s: float, **others: float) -> list[Measured]:
    """Windows of 1, 2, 4, ..."""
    return [Measured(1 << i, 8 * MIB, rate * MB, 0.01, 1.0, True, **others)  # type: ignore[arg-type]
            for i, rate in enumerate(goodputs_mb_per_s)]  # fmt: skip


def sizes(**goodputs_mb_per_s: float) -> list[Measured]:
    """By "s5" for 5 MiB."""
    return [Measured(4, int(name[1:]) * MIB, rate * MB, 0.01, 1.0, True) for name, rate in goodputs_mb_per_s.items()]


def sample(goodput_mb_per_s: float | None, confirmed: int = 1, elapsed_s: float = 0.1) -> Sample:
    kernel_bytes = None if goodput_mb_per_s is None else int(goodput_mb_per_s * MB * elapsed_s)
    return Sample(
        elapsed_s=elapsed_s, goodput_bytes=kernel_bytes, confirmed_bytes=confirmed * 8 * MIB, confirmed=confirmed,
        latency_s=0.1, in_flight=4, part_bytes=8 * MIB, window=4, connections=4, rtt_s=0.02, min_rtt_s=0.01,
        sent_bytes=1000, retransmitted_bytes=50, busy_s=elapsed_s, receiver_limited_s=0.0, buffer_limited_s=0.0,
        slow_downs=0, failures=0, read_s=0.0, read_waited_s=0.0, cpu_s=0.0, lack=Lack.NOTHING, left_bytes=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "knee"),
    [
        ((100.0,), 1),
        ((100.0, 200.0, 400.0), 4),
        ((100.0, 104.0, 103.0), 1),
        ((100.0, 106.0, 106.0), 2),
        ((50.0, 96.0, 100.0, 60.0), 2),
        ((50.0, 94.0, 100.0, 60.0), 4),
    ],
)
def test_the_knee_is_the_smallest_window_within_5_percent_of_the_best(rates: Sequence[float], knee: int) -> None:
    assert knee_of(levels(*rates)).window == knee


def test_what_is_known_badly_makes_no_knee() -> None:
    noisy = [replace(level, error=0.4) for level in levels(50.0, 90.0, 100.0)]
    assert knee_of(noisy).window == 2
    assert knee_of([noisy[0], noisy[2]]).window == 4  # half of it is another matter


@pytest.mark.parametrize(
    ("rates", "is_over"),
    [
        ((100.0,), False),
        ((100.0, 200.0), False),
        ((100.0, 101.0), False),  # once may be bad luck
        ((100.0, 101.0, 102.0), True),
        ((100.0, 101.0, 150.0), False),
        ((100.0, 190.0, 195.0), False),
        ((100.0, 190.0, 195.0, 180.0), True),
        ((100.0, 60.0), True),  # but this isn't
        ((100.0, 200.0, 400.0, 800.0), False),
    ],
)
def test_a_sweep_ends_when_more_no_longer_helps(rates: Sequence[float], is_over: bool) -> None:
    assert has_knee(levels(*rates)) == is_over


@pytest.mark.parametrize(
    ("found", "chosen_mib"),
    [
        ([], 8),
        (sizes(s5=100, s8=100, s16=100), 8),
        (sizes(s5=100, s8=92, s16=95), 8),
        (sizes(s5=100, s8=80, s16=110), 16),
        (sizes(s8=80, s16=99, s32=100), 16),
        (sizes(s5=110, s8=80, s16=108), 5),
    ],
)
def test_the_part_size_is_fastputs_own_unless_another_is_clearly_better(
    found: list[Measured], chosen_mib: int
) -> None:
    assert best_part_bytes(found) == chosen_mib * MIB


@pytest.mark.parametrize(
    ("windows", "machine", "ended_by", "limit", "words"),
    [
        (levels(100, 200, 201, 202), MACHINE, "knee", "path", "no more than 202.0 MB/s"),
        (levels(100, 200, 400), MACHINE, "budget", "requests", "--budget"),
        (levels(100, 200, 400), MACHINE, "time", "requests", "--time"),
        (levels(100, 200, 201), MACHINE, "time", "path", "201.0 MB/s"),
        (levels(100, 200, limit="link"), MACHINE, "knee", "link", "packets queue"),  # type: ignore[arg-type]
        (levels(100, 200, limit="store"), MACHINE, "knee", "store", "no faster"),  # type: ignore[arg-type]
        (levels(100, 200), MACHINE, "slow_down", "store", "fewer requests"),
        (levels(100, 200, retransmitted_share=0.03), MACHINE, "knee", "link", "3.0%"),
        (levels(100, 200, cpu_busy_share=0.97), MACHINE, "knee", "cpu", "2 CPUs, as far"),
        (levels(100, 200, limit="cpu"), MACHINE, "knee", "cpu", "2 CPUs: they are busy"),  # type: ignore[arg-type]
        # Others may keep them busy: what was seen of the way itself comes first.
        (levels(100, 200, cpu_busy_share=0.97, limit="link"), MACHINE, "knee", "link", ""),  # type: ignore[arg-type]
        (levels(100, 200), replace(MACHINE, loopback_bytes_per_s=210 * MB), "knee", "machine", "to itself"),
        (levels(100, 200), replace(MACHINE, loopback_bytes_per_s=300 * MB), "knee", "path", ""),
        (levels(100, 200), replace(MACHINE, disk_bytes_per_s=150 * MB, is_disk_cold=True), "knee", "disk", "150.0 MB"),
        (levels(100, 200), replace(MACHINE, disk_bytes_per_s=150 * MB), "knee", "path", ""),  # who knows what it read
        (levels(100, 200), replace(MACHINE, disk_bytes_per_s=250 * MB, is_disk_cold=True), "knee", "path", ""),
    ],
)
def test_one_thing_limits(
    windows: list[Measured], machine: Machine, ended_by: str, limit: str, words: str
) -> None:
    found = verdict(windows, [], machine, ended_by)
    assert found.limit == limit
    assert words in found.sentence
    assert found.window == knee_of(windows).window
    assert found.sentence.endswith(f"would send {found.window} parts of 8.0 MiB at a time")


def test_connections_that_grow_dont_count() -> None:
    growing = [sample(10.0 * i) for i in range(1, 10)]
    level = [sample(100.0) for _ in range(10)]
    assert steady_part(growing, 0.8) == ()
    assert steady_part([*growing, *level], 1.0) == level
    assert steady_part(level[:5], 1.0) == ()  # too short
    assert steady_part([], 1.0) == ()
    assert steady_part(level, 1.0, least_parts=11) == ()


def test_without_the_kernel_whole_parts_count_over_a_longer_time() -> None:
    parts = [sample(None) for _ in range(30)]
    assert steady_part(parts[:11], 1.0) == ()
    assert steady_part(parts, 1.0) == parts
    found = measured(parts, 4, 8 * MIB, 2)
    assert not found.is_from_kernel
    assert found.goodput_bytes_per_s == pytest.approx(8 * MIB / 0.1)


def test_when_the_time_is_up_what_is_late_has_to_do() -> None:
    samples = [sample(float(i)) for i in range(12)]
    assert late_part(samples) == samples[6:]
    assert late_part(samples[:3]) == samples[:3]


def test_what_is_measured_says_its_numbers() -> None:
    found = measured([sample(100.0) for _ in range(10)], 4, 8 * MIB, 2, 0.5)
    assert found.goodput_bytes_per_s == pytest.approx(100 * MB)
    assert found.error == pytest.approx(0)
    assert (found.window, found.is_from_kernel, found.cpu_busy_share) == (4, True, 0.5)
    assert found.seconds == pytest.approx(1.0)
    assert (found.rtt_s, found.min_rtt_s, found.retransmitted_share) == (0.02, 0.01, 0.05)


@pytest.mark.parametrize(
    ("window", "memory_mib", "left_mib", "lack"),
    [(1, 9, 16, None), (1, 8, 16, "memory"), (1, 9, 15, "budget"), (4, 34, 64, None), (4, 33, 64, "memory")],
)
def test_a_window_has_to_fit(window: int, memory_mib: int, left_mib: int, lack: str | None) -> None:
    assert fits(window, 8 * MIB, memory_mib * MIB, left_mib * MIB) == lack


def test_part_numbers_are_fresh_as_long_as_there_are_any() -> None:
    numbers = PartNumbers(most=4)
    assert [numbers.take() for _ in range(6)] == [1, 2, 3, 4, 1, 2]


def test_part_numbers_that_failed_come_first() -> None:
    numbers = PartNumbers()
    taken = [numbers.take() for _ in range(5)]
    numbers.give_back(4)
    numbers.give_back(2)
    assert ([numbers.take() for _ in range(3)], taken[-1]) == ([2, 4, 6], 5)


def test_part_numbers_of_a_store_that_stops_at_1000() -> None:
    numbers = PartNumbers()
    taken = [numbers.take() for _ in range(1003)]
    assert not numbers.refused(7)  # that isn't about its height
    assert numbers.refused(taken[1001])
    assert numbers.refused(taken[1000])  # under way at the same time
    numbers.give_back(1002)
    again = [numbers.take() for _ in range(1001)]
    assert (again[0], again[999], again[1000]) == (1, 1000, 1)
