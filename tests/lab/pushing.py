"""push.py as a command of the laboratory, and what to make of its results."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from bench.lab.run import Command, Result

PUSH = str(Path(__file__).with_name("push.py"))


def pushing(connections: int, size_bytes: int, start_at_s: float = 0.0) -> Command:
    """`size_bytes` on each connection."""
    return Command([sys.executable, PUSH, "{url}", str(connections), str(size_bytes)], {}, start_at_s)


def goodput(result: Result, from_s: float, to_s: float) -> float:
    """Bytes a second between two times of the run."""
    return statistics.fmean(each.goodput_bytes_per_s for each in result.samples if from_s < each.at_s <= to_s)
