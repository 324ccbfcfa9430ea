"""How well a little of the files compresses: places chosen at random by bytes, read, and compressed with zstd.

Weighted sampling without replacement from a stream, in one pass and constant memory: Efraimidis and Spirakis,
Weighted random sampling with a reservoir, Information Processing Letters 97 (2006), algorithm A-Res: of the files those
with the largest u^(1/size) are kept.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastput.limits import MIB
from fastput.tree.survey.facts import Compression

LEVEL = 3
"""zstd's own default."""
_PLACE_BYTES = MIB
_SHOWN_EXTENSIONS = 20


@dataclass(frozen=True, slots=True, order=True)
class _Chosen:
    weight: float
    path: bytes
    size_bytes: int


class Sample:
    """The files of a stream that will be read.

    Args:
        places: so many mebibytes at most: of as many files, or several of one where there are fewer.
        seed: the same files are chosen from the same stream.
    """

    def __init__(self, places: int, seed: int = 0) -> None:
        self._places = places
        self._random = np.random.default_rng(seed)
        self._kept: list[_Chosen] = []  # a heap: the first goes first

    def add(self, sizes: NDArray[Any], path_of: Callable[[int], bytes]) -> None:
        """Looks at files; those that are empty are never chosen."""
        if not self._places:
            return
        with np.errstate(divide="ignore"):
            weights = np.where(sizes > 0, np.log(self._random.random(len(sizes))) / sizes, -np.inf)
        least = self._kept[0].weight if len(self._kept) == self._places else -np.inf
        for i in np.flatnonzero(weights > least):
            chosen = _Chosen(float(weights[i]), path_of(int(i)), int(sizes[i]))
            if len(self._kept) < self._places:
                heapq.heappush(self._kept, chosen)
            elif chosen.weight > self._kept[0].weight:
                heapq.heapreplace(self._kept, chosen)

    def compress(self) -> Compression | None:
        """Reads and compresses them; those that can't be read any more are left out. None: there was nothing."""
        import zstandard  # only who asks for it pays for it

        compressor = zstandard.ZstdCompressor(level=LEVEL)
        read: dict[str, list[tuple[int, int]]] = {}
        took_s = 0.0
        for extension, data in self._read():
            begun_s = time.thread_time()
            compressed_bytes = len(compressor.compress(data))
            took_s += time.thread_time() - begun_s
            read.setdefault(extension, []).append((len(data), compressed_bytes))
        everything = [pair for pairs in read.values() for pair in pairs]
        if not everything:
            return None
        common = sorted((name for name in read if len(read[name]) > 1), key=lambda name: -len(read[name]))
        return Compression(
            level=LEVEL,
            places=len(everything),
            read_bytes=sum(size for size, _ in everything),
            compressed_bytes=sum(size for _, size in everything),
            bytes_per_s=sum(size for size, _ in everything) / max(took_s, 1e-6),
            by_extension={
                name: sum(size for size, _ in read[name]) / max(1, sum(size for _, size in read[name]))
                for name in common[:_SHOWN_EXTENSIONS]
            },
        )

    def _read(self) -> Iterator[tuple[str, bytes]]:
        chosen_at = random.Random(0)
        total_bytes = sum(chosen.size_bytes for chosen in self._kept)
        is_all = len(self._kept) < self._places  # there were no more files
        for chosen in sorted(self._kept, key=lambda chosen: chosen.path):
            # Whole mebibytes from the start: none of them is read twice.
            count = -(-chosen.size_bytes // _PLACE_BYTES)
            wanted = round(self._places * chosen.size_bytes / total_bytes) if is_all else 1
            places = sorted(chosen_at.sample(range(count), min(count, max(1, wanted))))
            extension = os.path.splitext(chosen.path)[1].decode("utf-8", "backslashreplace")
            with contextlib.suppress(OSError):
                descriptor = os.open(chosen.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                try:
                    for place in places:
                        if data := os.pread(descriptor, _PLACE_BYTES, place * _PLACE_BYTES):
                            yield extension, data
                finally:
                    os.close(descriptor)
