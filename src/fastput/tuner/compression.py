"""How hard a transfer compresses. Pure.

Through all cores content becomes frames at c(level) bytes a second, and shrinks to 1 / r(level). On a link that takes b
bytes a second a transfer goes at min(c(level), r(level) * b) bytes of content a second: the level is the one for which
that is most. Level 0 doesn't compress: r = 1, c as fast as bytes are read. Of levels that differ by little the lower
one is taken.

c and r are measured while it goes on; b only while the link is what limits. While it waits for frames it may take more
than it gets: the estimate grows by itself then, until not compressing would be better if it were true, and is put right
by the next interval in which the link is busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEVELS = (0, 1, 3, 6, 9, 12, 15, 19)
# What is so close isn't worth more work.
_TIE = 1.03
# Of one core, beside level 1, measured on 16-bit samples and text with zstd 1.5: only for levels that weren't tried.
_SPEED = {0: 5.0, 1: 1.0, 3: 0.55, 6: 0.2, 9: 0.11, 12: 0.05, 15: 0.02, 19: 0.006}
# Hoped for from a level that wasn't tried: else none above would ever be.
_HOPE = 1.06
_SMOOTHING = 0.3
_GROWTH, _LEAST_GROWTH = 0.10, 0.005
# Intervals until a link that waits has got going: what it takes before says nothing.
_BEGINNING = 10


@dataclass(frozen=True, slots=True)
class Rate:
    """Of one level. speed: bytes of content a second of one core; ratio: of content to what it becomes."""

    speed_bytes_per_s: float
    ratio: float

    def with_more(self, more: Rate) -> Rate:
        """After another measurement."""
        return Rate(_smooth(self.speed_bytes_per_s, more.speed_bytes_per_s), _smooth(self.ratio, more.ratio))


@dataclass(frozen=True, slots=True)
class LinkRate:
    """What a link takes.

    Attributes:
        bytes_per_s: None: nothing is known yet.
        growth: of the estimate, in an interval in which the link was waiting.
        is_busy: it was what limited, in the last interval.
        waited: intervals one after another in which it did not.
    """

    bytes_per_s: float | None = None
    growth: float = _GROWTH
    is_busy: bool = False
    waited: int = 0

    def seen(self, bytes_per_s: float, is_busy: bool) -> LinkRate:
        """After an interval in which it took so much."""
        known = self.bytes_per_s
        if is_busy:
            # It had waited, was hoped to take more, and is busy again: the next hope is a slower one.
            growth = self.growth if self.is_busy or known is None else max(_LEAST_GROWTH, self.growth / 2)
            return LinkRate(bytes_per_s if known is None else _smooth(known, bytes_per_s), growth, True)
        waited = self.waited + 1
        if known is None and waited < _BEGINNING:
            return LinkRate(None, self.growth, False, waited)
        return LinkRate(max((known or 0.0) * (1 + self.growth), bytes_per_s), self.growth, False, waited)


def choose(
    measured: Mapping[int, Rate], link_bytes_per_s: float | None, cores: int, level: int, may_try: bool = True
) -> int:
    """The level for what comes next.

    Args:
        measured: of the levels that were tried; at least of 1.
        link_bytes_per_s: None: unknown: the level stays.
        level: the one before.
        may_try: the answer may be a level that wasn't tried yet: the next one above those that were.
    """
    if link_bytes_per_s is None:
        return level
    candidates = sorted({0, *measured})
    if may_try and candidates[-1] != LEVELS[-1]:
        candidates.append(LEVELS[LEVELS.index(candidates[-1]) + 1])
    best, best_speed = 0, 0.0
    for candidate in candidates:
        rate = expected(measured, candidate)
        speed = min(cores * rate.speed_bytes_per_s, rate.ratio * link_bytes_per_s)
        if speed > best_speed * (_TIE if best_speed else 1.0):
            best, best_speed = candidate, speed
    return best


def expected(measured: Mapping[int, Rate], level: int) -> Rate:
    """What a level does, or may be hoped to do."""
    if level in measured:
        return measured[level]
    first = measured[1]
    speed = first.speed_bytes_per_s * _SPEED[level]
    if level == 0:
        return Rate(speed, 1.0)
    below = max(known for known in measured if known < level)
    return Rate(speed, measured[below].ratio * (_HOPE if measured[below].ratio > 1 else 1.0))


def _smooth(before: float, now: float) -> float:
    return before + _SMOOTHING * (now - before)
