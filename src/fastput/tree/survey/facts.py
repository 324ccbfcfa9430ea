"""What a survey of trees found: values only, and how they are written as JSON. Sizes in bytes, ages in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

AGES = (
    ("an hour", 3600.0),
    ("a day", 86_400.0),
    ("a week", 7 * 86_400.0),
    ("30 days", 30 * 86_400.0),
    ("a year", 365.25 * 86_400.0),
)
"""Upper bounds of the classes of ages; the last class has none."""


@dataclass(frozen=True, slots=True)
class Share:
    """A group of files."""

    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of regular files.

    Attributes:
        median_bytes: within 0.4%; exact below 256 bytes.
        deviation_bytes: the standard deviation of the population.
        smallest, largest: (size, path).
        powers: powers[k] holds files of 2^(k-1) to 2^k - 1 bytes; powers[0] empty ones. As long as it needs to be.
    """

    mean_bytes: float
    median_bytes: int
    deviation_bytes: float
    smallest: tuple[int, str]
    largest: tuple[int, str]
    powers: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Compression:
    """How well a sample compresses, chosen at random by bytes.

    Attributes:
        level: of zstd.
        places: how many were read.
        read_bytes, compressed_bytes: in all.
        bytes_per_s: of input, on one core.
        ratio: read_bytes / compressed_bytes.
        by_extension: the same of those with more than one place.
    """

    level: int
    places: int
    read_bytes: int
    compressed_bytes: int
    bytes_per_s: float
    by_extension: Mapping[str, float]

    @property
    def ratio(self) -> float:
        return self.read_bytes / max(1, self.compressed_bytes)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Files of the same size and CRC64NVME as another.

    Attributes:
        groups: (size, paths), those that take the most first; a few of them.
        spare: what would be saved if one of each were sent.
        read_bytes: to find out.
    """

    groups: tuple[tuple[int, tuple[str, ...]], ...]
    spare: Share
    read_bytes: int


@dataclass(frozen=True, slots=True)
class Survey:
    """
    Attributes:
        disk_bytes: what the files take up; below total.size_bytes where they have holes or are compressed.
        hard_links: files with several names, each name counted.
        special: pipes, sockets and devices.
        unreadable: (path, why), the first of them; unreadable_count: all.
        extensions: ".fits" etc., those with the most bytes first; "" without any; OTHERS where there are too many.
        directories: the same of the root's own directories with all that lies below; "" for the root's files.
        ages: as AGES, and one more.
    """

    roots: tuple[str, ...]
    total: Share
    disk_bytes: int
    directory_count: int
    link_count: int
    special_count: int
    hard_links: int
    unreadable_count: int
    unreadable: tuple[tuple[str, str], ...]
    sizes: Sizes | None
    extensions: Mapping[str, Share]
    directories: Mapping[str, Share]
    ages: tuple[Share, ...]
    took_s: float
    compression: Compression | None = None
    duplicates: Duplicates | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; names that aren't UTF-8 with \\x escapes."""
        document = asdict(self)
        if self.compression is not None:
            document["compression"]["ratio"] = self.compression.ratio
        return document


OTHERS = "(others)"
