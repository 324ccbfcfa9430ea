"""Which file goes next, of those that are known: a bounded look ahead, not a list of all."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastput.tree.decide import Send

# 10,000 take 5 MB, and are what a walk finds in a tenth of a second.
MOST_WAITING = 10_000


class Order(StrEnum):
    """LARGEST, of what is known so far, is the default: a large file that is begun last would be sent alone."""

    LARGEST = "largest"
    SMALLEST = "smallest"
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"


_KEYS: dict[Order, Callable[[Send], int]] = {
    Order.LARGEST: lambda send: -send.found.entry.size_bytes,
    Order.SMALLEST: lambda send: send.found.entry.size_bytes,
    Order.NEWEST: lambda send: -send.found.entry.mtime_ns,
    Order.OLDEST: lambda send: send.found.entry.mtime_ns,
    Order.NAME: lambda send: 0,
}


class Waiting:
    """Files in the order in which they go; equals as they came."""

    def __init__(self, order: Order) -> None:
        self._key = _KEYS[order]
        self._heap: list[tuple[int, int, Send]] = []
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def is_full(self) -> bool:
        return len(self._heap) >= MOST_WAITING

    def add(self, send: Send) -> None:
        heapq.heappush(self._heap, (self._key(send), next(self._count), send))

    def pop(self) -> Send:
        """The next one."""
        return heapq.heappop(self._heap)[2]
