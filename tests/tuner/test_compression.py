"""The level that is chosen, in worlds with known links, cores and data."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.tuner.compression import LEVELS, LinkRate, Rate, choose, expected

MB = 1e6


@dataclass(frozen=True)
class World:
    """link: bytes a second; levels: what each does on one core."""

    link: float
    cores: int
    levels: dict[int, Rate]

    def content_rate(self, level: int) -> float:
        rate = self.levels[level]
        return min(self.cores * rate.speed_bytes_per_s, rate.ratio * self.link)

    def is_busy(self, level: int) -> bool:
        rate = self.levels[level]
        return rate.ratio * self.link <= self.cores * rate.speed_bytes_per_s


def live(world: World, intervals: int = 400) -> float:
    """The mean speed of the second half of a transfer, in bytes of content a second."""
    measured = {1: world.levels[1]}
    link, level, speeds = LinkRate(), 1, []
    for _ in range(intervals):
        level = choose(measured, link.bytes_per_s, world.cores, level)
        measured[level] = world.levels[level]
        content = world.content_rate(level)
        speeds.append(content)
        link = link.seen(content / world.levels[level].ratio, world.is_busy(level))
    later = speeds[intervals // 2 :]
    return sum(later) / len(later)


NOISE = {
    level: Rate(600 * MB * share, 1.0 if level == 0 else 1.6 + 0.01 * place)
    for place, (level, share) in enumerate({0: 5, 1: 1, 3: 0.5, 6: 0.2, 9: 0.1, 12: 0.05, 15: 0.02, 19: 0.006}.items())
}
TEXT = {
    level: Rate(400 * MB * share, ratio)
    for level, share, ratio in [
        (0, 5, 1.0), (1, 1, 2.9), (3, 0.6, 3.3), (6, 0.25, 3.7), (9, 0.13, 3.9), (12, 0.05, 4.0), (15, 0.02, 4.1),
        (19, 0.006, 4.5),
    ]
}  # fmt: skip
RANDOM = {level: Rate(rate.speed_bytes_per_s, 1.0) for level, rate in NOISE.items()}


@pytest.mark.parametrize("levels", [NOISE, TEXT, RANDOM], ids=["noise", "text", "random"])
@pytest.mark.parametrize("cores", [1, 2, 16])
@pytest.mark.parametrize("link", [1 * MB, 10 * MB, 25 * MB, 125 * MB, 1_250 * MB, 12_500 * MB])
def test_close_to_the_best_level_and_never_slower_than_none(
    levels: dict[int, Rate], cores: int, link: float
) -> None:
    world = World(link, cores, levels)
    got = live(world)
    assert got >= 0.97 * world.content_rate(0)
    # Levels above one that gains nothing aren't tried: what lies behind isn't known.
    reachable = [level for level in LEVELS if level <= 12]
    assert got >= 0.85 * max(world.content_rate(level) for level in reachable)


def test_nothing_is_known_of_the_link_yet() -> None:
    assert choose({1: Rate(600 * MB, 1.6)}, None, 2, 1) == 1


def test_one_step_at_a_time_upwards() -> None:
    assert choose({1: Rate(600 * MB, 1.6)}, 1.0, 2, 1) == 3
    assert choose({1: Rate(600 * MB, 1.6)}, 1.0, 2, 1, may_try=False) == 1


def test_what_comes_in_the_beginning_says_nothing_of_a_link() -> None:
    link = LinkRate()
    for _ in range(9):
        link = link.seen(1e5, False)
        assert link.bytes_per_s is None
    assert link.seen(25 * MB, True).bytes_per_s == 25 * MB
    assert link.seen(25 * MB, False).bytes_per_s == 25 * MB


@given(st.floats(1e3, 1e11), st.sampled_from(LEVELS), st.integers(1, 256), st.floats(1e6, 1e10), st.floats(0.9, 100))
@settings(max_examples=200)
def test_a_level_there_is(link: float, level: int, cores: int, speed: float, ratio: float) -> None:
    chosen = choose({1: Rate(speed, ratio)}, link, cores, level)
    assert chosen in LEVELS
    assert expected({1: Rate(speed, ratio)}, chosen).speed_bytes_per_s > 0


def test_a_link_that_waits_may_take_more() -> None:
    link = LinkRate().seen(100 * MB, True)
    for _ in range(50):
        link = link.seen(50 * MB, False)
    assert link.bytes_per_s is not None
    assert link.bytes_per_s > 1_000 * MB
    for _ in range(50):
        link = link.seen(100 * MB, True)
    assert link.bytes_per_s == pytest.approx(100 * MB, rel=0.01)
