"""Which level the next frames get: measures what compressing does, and asks tuner/compression.py. Any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastput.tuner.compression import LinkRate, Rate, choose

# What doesn't shrink by so much is sent as it is.
_WORTHWHILE = 1.02
# While nothing is compressed, how often it is tried whether that has come to be worth something.
_TRIED_EVERY = 16


class Leveler:
    """
    Args:
        level: that all frames get; None: it follows the link and the data.
        cores: that compress.
        link_rate: what the link is known to take now.
    """

    def __init__(self, level: int | None, cores: int, link_rate: Callable[[], LinkRate]) -> None:
        self._is_fixed = level is not None
        self._level = 1 if level is None else level
        self._cores = cores
        self._link_rate = link_rate
        self._lock = threading.Lock()  # guards all below
        self._measured: dict[int, Rate] = {}
        self._tried: int | None = None  # by one frame, which isn't ready yet
        self._uncompressed = 0

    @property
    def needs_sample(self) -> bool:
        """Nothing is known of the data yet."""
        return not self._is_fixed and not self._measured

    def sampled(self, content_bytes: int, made_bytes: int, took_s: float) -> None:
        """What level 1 has made of some of the content."""
        self.note(1, content_bytes, made_bytes, took_s)
        if content_bytes < _WORTHWHILE * made_bytes:
            self._level = 0

    def next(self) -> int:
        """The level for what is compressed now."""
        if self._is_fixed:
            return self._level
        with self._lock:
            if 1 in self._measured:
                link_rate, may_try = self._link_rate().bytes_per_s, self._tried is None
                level = choose(self._measured, link_rate, self._cores, self._level, may_try)
                if level not in self._measured and level:
                    self._tried = level
                    return level
                self._level = level
            if self._level:
                return self._level
            self._uncompressed += 1
            return 0 if self._uncompressed % _TRIED_EVERY else 1

    def note(self, level: int, content_bytes: int, made_bytes: int, took_s: float) -> None:
        """One core has made so much out of so much, in so long."""
        if self._is_fixed or not (content_bytes and made_bytes and took_s > 0):
            return
        rate = Rate(content_bytes / took_s, content_bytes / made_bytes)
        with self._lock:
            if level == self._tried:
                self._tried = None
            known = self._measured.get(level)
            self._measured[level] = rate if known is None else known.with_more(rate)
