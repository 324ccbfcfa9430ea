"""What a survey found: values only, and how they are written as JSON. Times in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fastput.limits import MIB

# Beside fastput's own 8 MiB; the largest last, which take most.
PART_SIZES_BYTES = tuple(size * MIB for size in (5, 16, 32, 64))
# Ten thousand parts a store holds; a link that wants more requests than this wants another client.
MOST_WINDOW = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """What a survey may take.

    Attributes:
        budget_bytes: the most that is sent, requests that are cancelled counted in full.
        time_s: until the last measurement ends; making and aborting the upload come on top.
        memory_bytes: the most that parts in flight may take.
        file: whose reading is measured, and whose bytes are compressed.
    """

    budget_bytes: int
    time_s: float
    memory_bytes: int
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What it takes before the first byte. None: there is none of it, e.g. no TLS.

    Attributes:
        name_s: resolving the name.
        tcp_connect_s, tls_handshake_s: the medians of a few connections.
        small_request_s: from sending a part of 1 KiB over an open connection to its answer, median.
    """

    name_s: float | None = None
    tcp_connect_s: float | None = None
    tls_handshake_s: float | None = None
    small_request_s: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Goodput with so many requests of such a size in flight, in the time between set-up and tail.

    Attributes:
        error: of the goodput, relative, one standard deviation.
        is_from_kernel: counted in bytes that the other end has acknowledged, not in whole parts.
        rtt_s, min_rtt_s: the mean at the end, and the least; None: unknown.
        retransmitted_share: of the bytes sent.
        limit: what it looked like: window (nothing to be seen), link, store, cpu, ...
        cpu_busy_share: of all the machine's CPUs, by whomever; None: unknown.
    """

    window: int
    part_bytes: int
    goodput_bytes_per_s: float
    error: float
    seconds: float
    is_from_kernel: bool
    rtt_s: float | None = None
    min_rtt_s: float | None = None
    retransmitted_share: float = 0.0
    slow_downs: int = 0
    failures: int = 0
    limit: str = "window"
    cpu_busy_share: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine could do at best, in bytes a second. None: not measured.

    Attributes:
        disk_bytes_per_s: eight readers of the file; cold only if is_disk_cold.
        cached_bytes_per_s: the same once more.
        hash_bytes_per_s: CRC64NVME, one core.
        zstd_bytes_per_s: by level, one core, of what goes in.
        zstd_ratio: by level: size before over size after.
        loopback_bytes_per_s: one TCP stream from this process to itself.
    """

    cpus: int
    disk_bytes_per_s: float | None = None
    is_disk_cold: bool = False
    cached_bytes_per_s: float | None = None
    hash_bytes_per_s: float | None = None
    zstd_bytes_per_s: Mapping[str, float] = field(default_factory=dict)
    zstd_ratio: Mapping[str, float] = field(default_factory=dict)
    loopback_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Attributes:
        limit: disk, cpu, store, link, path (link or store: it can't be told), requests, machine.
        sentence: the same for people.
        window, part_bytes: what fastput would choose.
    """

    limit: str
    sentence: str
    window: int
    part_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """
    Attributes:
        target, endpoint: the URI or URL that was asked for, and where its requests went.
        windows: by the number of requests in flight, in the order in which they were tried; parts of one size.
        part_sizes: at the knee of those.
        sent_bytes: of bodies, as they were handed over.
        ended_by: why the sweep of the window ended: knee, budget, time, memory, slow_down, most_window.
        left_upload_id: an upload that the store didn't let us abort.
    """

    target: str
    endpoint: str
    setup: Setup
    windows: tuple[Measured, ...]
    part_sizes: tuple[Measured, ...]
    machine: Machine
    knee: Measured
    verdict: Verdict
    plan: Plan
    sent_bytes: int
    seconds: float
    ended_by: str
    left_upload_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """One JSON document; the names carry the units."""
        document = asdict(self)
        document["one_stream"] = asdict(self.windows[0])
        return {"event": "bench", **_rounded(document)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 1 if value > 1e4 else 6)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, (list, tuple)) else value
