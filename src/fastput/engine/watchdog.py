"""Whether anything moves: pure."""

from __future__ import annotations

from dataclasses import dataclass

# How often it is said that nothing moves before the end: at a quarter, a half and three quarters of the time-out.
_SAYINGS = 4


@dataclass(frozen=True, slots=True)
class Judgement:
    """idle_s: how long nothing has moved."""

    idle_s: float = 0.0
    should_say: bool = False
    is_stalled: bool = False


class Watchdog:
    """Looks now and then. now_s is any monotonic clock."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._moved_at_s: float | None = None
        self._seen: tuple[int, int] = (-1, -1)
        self._said = 0

    def look(self, now_s: float, activity: int, moved_bytes: int, is_waiting: bool) -> Judgement:
        """
        Args:
            activity: changes whenever anything is answered.
            moved_bytes: changes while the other end takes bytes.
            is_waiting: something could be late.
        """
        if self._moved_at_s is None or not is_waiting or (activity, moved_bytes) != self._seen:
            self._moved_at_s, self._seen, self._said = now_s, (activity, moved_bytes), 0
            return Judgement()
        idle_s = now_s - self._moved_at_s
        if idle_s >= self._timeout_s:
            self._moved_at_s, self._said = now_s, 0  # what is left begins anew
            return Judgement(idle_s, is_stalled=True)
        due = int(idle_s * _SAYINGS / self._timeout_s)
        should_say, self._said = due > self._said, max(due, self._said)
        return Judgement(idle_s, should_say)
