"""How far the window shrinks when the store asks for less: additive increase, multiplicative decrease; pure."""

from __future__ import annotations

# One cut for all the refusals of one moment: they answer requests that were sent before the last cut.
CUT_INTERVAL_S = 1.0


class Throttle:
    """A ceiling over the window that SlowDown lowers and success lifts again. now_s is any monotonic clock."""

    def __init__(self) -> None:
        self._ceiling: float | None = None
        self._cut_at_s = -CUT_INTERVAL_S

    def window(self, wanted: int) -> int:
        """The most requests in flight now; at least one."""
        return wanted if self._ceiling is None else min(wanted, max(1, int(self._ceiling)))

    def slow_down(self, now_s: float, in_flight: int) -> None:
        """The store asked for less while so many requests were in flight."""
        if now_s - self._cut_at_s < CUT_INTERVAL_S:
            return
        self._cut_at_s = now_s
        # At least half a request more than one in flight: one that is refused alone mustn't stop everything.
        most = in_flight if self._ceiling is None else min(float(in_flight), self._ceiling)
        self._ceiling = max(1.0, most / 2)

    def succeeded(self, wanted: int) -> None:
        """A request was taken: one more in flight for every window that was."""
        if self._ceiling is None:
            return
        self._ceiling += 1 / self._ceiling
        if self._ceiling >= wanted:
            self._ceiling = None
