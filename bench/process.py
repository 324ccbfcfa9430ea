"""A command as a process that is measured whole, and of which nothing stays.

with process.start(command, environment, directory) as running:
    if running.ended_within(timeout_s):
        running.cost()
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.build import build
from bench.lab.namespace import HERE, Namespace

OUTPUT_TAIL_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and the children that it waited for have used."""

    start_s: float
    """Seconds since the epoch."""
    wall_s: float
    user_s: float
    sys_s: float
    max_rss_bytes: int
    """Of the largest single process, if there are several."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that was started; it may have ended."""

    process: subprocess.Popen[bytes]
    report: Path
    log: Path

    def ended_within(self, timeout_s: float) -> bool:
        try:
            self.process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def cost(self) -> Cost | None:
        """None if it has not ended, or was killed."""
        text = self.report.read_text()
        return Cost(**json.loads(text)) if text else None

    def output_tail(self, characters: int) -> str:
        return self.log.read_text(errors="replace").strip()[-characters:]


@contextlib.contextmanager
def start(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, namespace: Namespace = HERE
) -> Iterator[Running]:
    """Starts a program, given with its path; leaving ends it, and what it left behind.

    It also ends with the thread that enters the block.

    Args:
        environment: the whole of it.
        directory: an empty one, where its output and its costs go.
    """
    report, log = directory / "report.json", directory / "log"
    report.touch()
    with log.open("wb") as output:
        process = subprocess.Popen(
            namespace.command([str(build("timed")), str(report), *command]),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with process:
        try:
            yield Running(process, report, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def cost_of(command: Sequence[str], environment: Mapping[str, str], directory: Path, timeout_s: float) -> Cost:
    """What a command has cost that has to end well.

    Args:
        directory: made here, for what start() keeps.

    Raises:
        TimeoutError: it takes longer.
        RuntimeError: it failed.
    """
    directory.mkdir()
    with start(command, environment, directory) as running:
        if not running.ended_within(timeout_s):
            raise TimeoutError(f"{' '.join(command)} takes longer than {timeout_s:.0f} s")
        cost = running.cost()
        if running.process.returncode or cost is None:
            raise RuntimeError(running.output_tail(OUTPUT_TAIL_CHARACTERS))
        return cost
