"""What comes out of a comparison: a table for people, JSON for later."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Row

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Column:
    """A measure of a run and how it is printed."""

    title: str
    value: Callable[[Row], float]
    digits: int


COLUMNS = (
    Column("wall s", lambda row: row.wall_s, 2),
    Column("user+sys s", lambda row: row.cpu_s, 2),
    Column("peak RSS MiB", lambda row: row.max_rss_bytes / MIB, 0),
    Column("first byte s", lambda row: row.first_byte_s, 3),
    Column("connections", lambda row: row.most_connections, 0),
    Column("sink CPU s", lambda row: row.sink_cpu_s, 2),
)
RATIOS = (
    Column("wall", lambda row: row.wall_s, 2),
    Column("CPU", lambda row: row.cpu_s, 2),
)


def good(rows: Iterable[Row], peer: str) -> dict[int, Row]:
    """A peer's rows that count, by the number of the run."""
    return {row.run: row for row in rows if row.peer == peer and row.run > 0 and not row.error}


def ratio(rows: Sequence[Row], baseline: str, peer: str, column: Column) -> float | None:
    """Median of baseline/peer over the rounds in which both were measured, one right after the other."""
    ours, theirs = good(rows, baseline), good(rows, peer)
    pairs = [column.value(ours[run]) / column.value(theirs[run]) for run in ours.keys() & theirs.keys()]
    return statistics.median(pairs) if pairs else None


def table(rows: Sequence[Row], baseline: str) -> str:
    """Median [min-max] of each measure, a peer a line."""
    peers = list(dict.fromkeys(row.peer for row in rows))
    ratios = RATIOS if baseline in peers else ()
    lines = [["", *(c.title for c in COLUMNS), *(f"{baseline}/peer {c.title}" for c in ratios)]]
    for peer in peers:
        kept = list(good(rows, peer).values())
        if not kept:
            lines.append([peer, "failed"])
            continue
        cells = [_spread([column.value(row) for row in kept], column.digits) for column in COLUMNS]
        numbers = [ratio(rows, baseline, peer, column) for column in ratios]
        lines.append([peer, *cells, *("-" if n is None else f"{n:.2f}" for n in numbers)])
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() for line in lines
    )


def _spread(values: Sequence[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}-{high:.{digits}f}]"


def machine() -> dict[str, str | int]:
    """What the figures were measured on; not its name."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
