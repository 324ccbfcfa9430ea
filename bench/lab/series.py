"""How an upload went on over time, as the sink wrote it down."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Of bench/sink/inflow.c.
INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """About 0.1 s at the sink."""

    at_s: float
    """Its end, since the beginning of the run."""
    goodput_bytes_per_s: float
    """Of bodies, even of those that were cut short or sent twice."""
    connections: int
    receiving: int
    """Of the connections, those in the middle of a body."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the sink wrote: one door at one time. See bench/sink/inflow.h."""

    time_s: float
    body_bytes: int
    connections: int
    receiving: int


def read(path: Path, door: int) -> list[Line]:
    lines = []
    # The last line may be in the middle of being written.
    for text in path.read_text().splitlines(keepends=True):
        if text.endswith("\n"):
            time_s, *doors = text.split()
            body_bytes, connections, receiving = map(int, doors[door * 3 : door * 3 + 3])
            lines.append(Line(float(time_s), body_bytes, connections, receiving))
    return lines


def samples(lines: Sequence[Line], begin_s: float) -> list[Sample]:
    """From the differences between lines. Times count from `begin_s`, in seconds since the epoch."""
    return [
        Sample(
            after.time_s - begin_s,
            (after.body_bytes - before.body_bytes) / (after.time_s - before.time_s),
            after.connections,
            after.receiving,
        )
        for before, after in itertools.pairwise(lines)
    ]
