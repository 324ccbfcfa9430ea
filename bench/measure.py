"""One run of one command, as a whole process: what it cost, and what the sink saw of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process
from bench.servers.sink import Sink

# Signed 64 KiB chunks, the most wordy framing that is in use, add 0.14%.
FRAMING_SHARE = 0.01
# A chunk's length and its checksum behind it.
FRAMING_BYTES = 256
OUTPUT_TAIL_CHARACTERS = 800


@dataclass(frozen=True, slots=True)
class Row:
    """A run. `error` is empty if all objects arrived whole."""

    peer: str
    run: int
    """0 is the warm-up round."""
    error: str
    wall_s: float = 0.0
    user_s: float = 0.0
    sys_s: float = 0.0
    max_rss_bytes: int = 0
    """Of the largest single process, if there are several."""
    first_byte_s: float = 0.0
    """From the start of the process to the first body byte at the sink."""
    body_bytes: int = 0
    most_connections: int = 0
    sink_cpu_s: float = 0.0
    requests: Mapping[str, int] | None = None

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.sys_s


@dataclass(frozen=True, slots=True)
class Job:
    """A command and what it has to bring about."""

    peer: str
    run: int
    command: Sequence[str]
    environment: Mapping[str, str]
    object_bytes: int
    timeout_s: float
    objects: int = 1


def measure(job: Job, sink: Sink) -> Row:
    """Runs the command and ends all that it started."""
    sink.reset()
    with (
        tempfile.TemporaryDirectory(prefix="fastput-run-") as directory,
        process.start(job.command, job.environment, Path(directory)) as running,
    ):
        if not running.ended_within(job.timeout_s):
            return Row(job.peer, job.run, f"not done after {job.timeout_s:g} s")
        status, cost = running.process.returncode, running.cost()
        if status or not cost:
            return Row(job.peer, job.run, f"status {status}: {running.output_tail(OUTPUT_TAIL_CHARACTERS)}")
    error = ""
    seen = sink.stats()
    most_bytes = job.object_bytes * (1 + FRAMING_SHARE) + job.objects * FRAMING_BYTES
    if (seen.objects, seen.object_bytes) != (job.objects, job.object_bytes):
        error = (
            f"the sink has {seen.objects} objects of {seen.object_bytes} bytes, "
            f"not {job.objects} of {job.object_bytes}"
        )
    elif not job.object_bytes <= seen.body_bytes <= most_bytes:
        error = f"{seen.body_bytes} bytes were sent for {job.object_bytes}"
    elif seen.bad_requests:
        error = f"{seen.bad_requests} requests were cut short"
    return Row(
        job.peer,
        job.run,
        error,
        wall_s=cost.wall_s,
        user_s=cost.user_s,
        sys_s=cost.sys_s,
        max_rss_bytes=cost.max_rss_bytes,
        first_byte_s=seen.first_body_s - cost.start_s,
        body_bytes=seen.body_bytes,
        most_connections=seen.most_connections,
        sink_cpu_s=seen.cpu_s,
        requests=seen.requests,
    )
