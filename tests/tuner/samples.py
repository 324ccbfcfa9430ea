"""Samples of a tenth of a second, made by hand."""

from __future__ import annotations

from typing import Any

from fastput.tuner import Lack, Sample

INTERVAL_S = 0.1


def sample(mb_per_s: float | None = 100.0, window: int = 8, **other: Any) -> Sample:
    """A full window that moves so much; None: the kernel says nothing."""
    moved_bytes = None if mb_per_s is None else int(mb_per_s * 1e6 * INTERVAL_S)
    values: dict[str, Any] = {
        "elapsed_s": INTERVAL_S, "goodput_bytes": moved_bytes, "confirmed_bytes": moved_bytes or 0, "confirmed": 1,
        "latency_s": 0.5, "in_flight": window, "part_bytes": 8 << 20, "window": window, "connections": window,
        "rtt_s": 0.01, "min_rtt_s": 0.01, "sent_bytes": moved_bytes or 0, "retransmitted_bytes": 0,
        "busy_s": window * INTERVAL_S,
        "receiver_limited_s": 0.0, "buffer_limited_s": 0.0, "slow_downs": 0, "failures": 0, "read_s": 0.01,
        "read_waited_s": 0.0, "cpu_s": 0.02, "lack": Lack.NOTHING, "left_bytes": None,
    }  # fmt: skip
    return Sample(**values | other)
