"""Adding up the files of a tree in constant memory: batches of rows in, shares out. Pure.

The variance is joined batch by batch as in Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for
computing sample variances (Stanford, STAN-CS-79-773): the plain sum of squares loses its digits where files are large
and alike. The median comes from a histogram with 128 places in each power of two.
"""

from __future__ import annotations

import math
import stat as stat_module
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastput.tree.survey.facts import AGES, OTHERS, Share, Sizes

# log2 of the places in a power of two.
_FINE = 7
_POWERS = 64
# So many names are kept apart: files may be called x.000001, x.000002, ...
_MOST_NAMES = 10_000
_TYPE = 0o170000


class Tally:
    """One tree or several.

    Args:
        now_ns: since the Unix epoch: ages count back from here.
    """

    def __init__(self, now_ns: int) -> None:
        self.files = self.size_bytes = self.disk_bytes = self.hard_links = 0
        self.directories = self.links = self.special = 0
        self._now_ns = now_ns
        self._mean = self._squares = 0.0
        self._fine = np.zeros(_POWERS << _FINE, np.int64)
        self._counts, self._bytes = np.zeros(_POWERS, np.int64), np.zeros(_POWERS, np.int64)
        self._age_counts, self._age_bytes = np.zeros(len(AGES) + 1, np.int64), np.zeros(len(AGES) + 1, np.int64)
        self._smallest: tuple[int, str] | None = None
        self._largest: tuple[int, str] | None = None

    def add(
        self, rows: NDArray[Any], path_of: Callable[[int], str], takes: Callable[[int], bool] | None = None
    ) -> NDArray[np.intp]:
        """Counts entries (native.scan.ROW) that could be looked at.

        Args:
            path_of: the path of a row, for the few that are named.
            takes: whether a row that is a regular file counts; None: all do.

        Returns:
            The indices of the regular files among them.
        """
        kinds = rows["mode"] & _TYPE
        is_file = kinds == stat_module.S_IFREG
        directories = int(np.count_nonzero(kinds == stat_module.S_IFDIR))
        links = int(np.count_nonzero(kinds == stat_module.S_IFLNK))
        self.directories += directories
        self.links += links
        indices = np.flatnonzero(is_file)
        looked_at = int(np.count_nonzero(rows["mode"]))
        self.special += looked_at - directories - links - len(indices)
        if takes is not None:
            indices = np.array([i for i in indices.tolist() if takes(i)], np.intp)
        if len(indices):
            files = rows[indices]
            self._add_files(files, lambda i: path_of(int(indices[i])))
        return indices

    def _add_files(self, files: NDArray[Any], path_of: Callable[[int], str]) -> None:
        sizes = files["size_bytes"]
        count, total = len(sizes), int(sizes.sum())
        self.disk_bytes += int(files["disk_bytes"].sum())
        self.hard_links += int(np.count_nonzero(files["links"] > 1))
        mean = total / count
        squares = float(np.square(sizes - mean).sum())
        apart = mean - self._mean
        both = self.files + count
        self._squares += squares + apart * apart * self.files * count / both
        self._mean += apart * count / both
        self.files, self.size_bytes = both, self.size_bytes + total
        powers = _power(sizes)
        self._counts += np.bincount(powers, minlength=_POWERS)
        self._bytes += _sums(powers, sizes, _POWERS)
        self._fine += np.bincount(_place(sizes, powers), minlength=len(self._fine))
        ages_s = (self._now_ns - files["mtime_ns"]) / 1e9
        classes = np.searchsorted([age_s for _, age_s in AGES], ages_s, side="right")
        self._age_counts += np.bincount(classes, minlength=len(self._age_counts))
        self._age_bytes += _sums(classes, sizes, len(self._age_bytes))
        low, high = int(sizes.argmin()), int(sizes.argmax())
        if self._smallest is None or sizes[low] < self._smallest[0]:
            self._smallest = (int(sizes[low]), path_of(low))
        if self._largest is None or sizes[high] > self._largest[0]:
            self._largest = (int(sizes[high]), path_of(high))

    def sizes(self) -> Sizes | None:
        """None: there were no files."""
        if self._smallest is None or self._largest is None:
            return None
        last = int(np.flatnonzero(self._counts)[-1])
        return Sizes(
            mean_bytes=self.size_bytes / self.files,
            median_bytes=min(max(self._median(), self._smallest[0]), self._largest[0]),
            deviation_bytes=math.sqrt(self._squares / self.files),
            smallest=self._smallest,
            largest=self._largest,
            powers=_shares(self._counts[: last + 1], self._bytes[: last + 1]),
        )

    def ages(self) -> tuple[Share, ...]:
        return _shares(self._age_counts, self._age_bytes)

    def _median(self) -> int:
        """The middle of the place in which the lower of the two middle files lies."""
        place = int(np.searchsorted(np.cumsum(self._fine), (self.files + 1) // 2))
        power, step = divmod(place, 1 << _FINE)
        if power <= _FINE + 1:  # places of one size
            return (1 << (power - 1)) + step if power else 0
        width = 1 << (power - 1 - _FINE)
        return (1 << (power - 1)) + step * width + width // 2


def _power(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many binary digits a size has: 0 for 0, k for 2^(k-1) to 2^k - 1."""
    powers = np.frexp(sizes.astype(np.float64))[1].astype(np.int64)
    # Above 2^53 the nearest double of 2^k - 1 is 2^k.
    too_high = (sizes > 0) & (sizes < np.left_shift(1, np.maximum(powers - 1, 0)))
    return powers - too_high


def _place(sizes: NDArray[np.int64], powers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of the fine histogram: power, and the next seven digits."""
    highest = np.maximum(powers - 1, 0)
    rest = sizes - np.where(powers > 0, np.left_shift(1, highest), 0)
    step = np.where(highest >= _FINE, rest >> np.maximum(highest - _FINE, 0), rest)
    return (powers << _FINE) + step


def _sums(classes: NDArray[np.int64], sizes: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Exact, where bincount's weights are doubles."""
    sums = np.zeros(length, np.int64)
    np.add.at(sums, classes, sizes)
    return sums


def _shares(counts: Iterable[int], sums: Iterable[int]) -> tuple[Share, ...]:
    return tuple(Share(int(count), int(total)) for count, total in zip(counts, sums, strict=True))


class Groups:
    """Files by a name that they share, e.g. their extension."""

    def __init__(self) -> None:
        self._counts: dict[bytes, int] = {}
        self._bytes: dict[bytes, int] = {}
        self._others = Share(0, 0)

    def add(self, name: bytes, files: int, size_bytes: int) -> None:
        """Counts files."""
        if name in self._counts:
            self._counts[name] += files
            self._bytes[name] += size_bytes
        elif len(self._counts) < _MOST_NAMES:
            self._counts[name], self._bytes[name] = files, size_bytes
        else:
            self._others = Share(self._others.files + files, self._others.size_bytes + size_bytes)

    def largest(self, most: int) -> dict[str, Share]:
        """By bytes, then by name; what is left under OTHERS."""
        names = sorted(self._counts, key=lambda name: (-self._bytes[name], name))
        found = {_text(name): Share(self._counts[name], self._bytes[name]) for name in names[:most]}
        files = self._others.files + sum(self._counts[name] for name in names[most:])
        if files:
            rest_bytes = self._others.size_bytes + sum(self._bytes[name] for name in names[most:])
            found[OTHERS] = Share(files, rest_bytes)
        return found


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
