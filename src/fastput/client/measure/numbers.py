"""Part numbers for requests that are never completed: pure."""

from __future__ import annotations

import heapq

from fastput.limits import AMAZON_S3

# What stores stop at that don't take Amazon's 10,000.
_FEWER_PARTS = 1_000


class PartNumbers:
    """Each fresh as long as there are any: rclone takes no other bytes for a part that it has, and needs them all.

    Behind the last one they begin anew, and what the store has is overwritten.
    """

    def __init__(self, most: int = AMAZON_S3.max_parts) -> None:
        self._most = most
        self._next = 1
        self._again: list[int] = []

    def take(self) -> int:
        """The next number; the least of those that came back first."""
        if self._again:
            return heapq.heappop(self._again)
        number = self._next
        self._next = number % self._most + 1
        return number

    def give_back(self, number: int) -> None:
        """Its request has failed, or was cancelled."""
        if number <= self._most:
            heapq.heappush(self._again, number)

    def refused(self, number: int) -> bool:
        """A 400 for it: whether that may be its height. Then there are no more above 1,000."""
        if self._most <= _FEWER_PARTS or number <= _FEWER_PARTS:
            return number > self._most  # one that was under way when the first was refused
        self._most = _FEWER_PARTS
        self._next = 1
        self._again = [other for other in self._again if other <= _FEWER_PARTS]
        heapq.heapify(self._again)
        return True
