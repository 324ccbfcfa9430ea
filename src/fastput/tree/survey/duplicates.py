"""Files that are the same: by size, then by CRC64NVME of those whose size occurs twice. On disk, not in memory."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from fastput.tree.content import hash_file
from fastput.tree.runs import Runs
from fastput.tree.survey.facts import Duplicates, Share

_SHOWN_GROUPS, _SHOWN_PATHS = 20, 5


class Finder:
    """Remembers files, then compares them. One thread at a time."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._runs = Runs(lambda row: row)

    def add(self, size_bytes: int, path: bytes) -> None:
        """One file. Empty ones are all alike and spare nothing."""
        if size_bytes:
            self._runs.append((size_bytes, path))

    def find(self, on_read: Callable[[int], None]) -> Duplicates:
        """Reads what has to be read. Files that can't be, or change meanwhile, aren't counted.

        Args:
            on_read: told how many bytes more were read.
        """
        hashed = Runs(lambda row: row)
        read_bytes = 0
        with contextlib.closing(self._runs), contextlib.closing(hashed):
            for size_bytes, path in _of_same_size(self._runs.merged()):
                if self._stop.is_set():
                    break
                crc = hash_file(path, size_bytes)
                if crc is not None:
                    hashed.append((size_bytes, crc, path))
                    read_bytes += size_bytes
                    on_read(size_bytes)
            return _judge(hashed.merged(), read_bytes)


def _of_same_size(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[int, bytes]]:
    """Those whose size occurs more than once; rows sorted by size."""
    before: tuple[Any, ...] | None = None
    is_told = False
    for row in rows:
        is_same = before is not None and before[0] == row[0]
        if is_same and not is_told:
            assert before is not None
            yield before[0], before[1]
        if is_same:
            yield row[0], row[1]
        before, is_told = row, is_same


def _judge(rows: Iterator[tuple[Any, ...]], read_bytes: int) -> Duplicates:
    """Rows sorted by (size, CRC)."""
    spare_files = spare_bytes = 0
    largest: list[tuple[int, int, tuple[str, ...]]] = []  # a heap by what a group could spare
    for number, ((size_bytes, _), group) in enumerate(itertools.groupby(rows, key=lambda row: (row[0], row[1]))):
        count = 0
        shown: list[str] = []
        for _, _, path in group:
            count += 1
            if len(shown) < _SHOWN_PATHS:
                shown.append(os.fsdecode(path))
        if count > 1:
            spare_files += count - 1
            spare_bytes += (count - 1) * size_bytes
            # The number decides between equals: the first stay.
            heapq.heappush(largest, ((count - 1) * size_bytes, -number, (str(size_bytes), *shown)))
            if len(largest) > _SHOWN_GROUPS:
                heapq.heappop(largest)
    groups = tuple((int(size), tuple(paths)) for _, _, (size, *paths) in sorted(largest, reverse=True))
    return Duplicates(groups, Share(spare_files, spare_bytes), read_bytes)
