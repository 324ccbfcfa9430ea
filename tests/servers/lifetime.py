"""That nothing of a server stays: what the tests of each of them share."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.servers.base import Server

ROOT = Path(__file__).parents[2]
GONE_WITHIN_S = 20
POLL_S = 0.02
ENDINGS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

# A shell's background job may have been handed SIGINT switched off.
_SERVE_UNTIL_KILLED = """
import signal
from bench.servers import {name}
signal.signal(signal.SIGINT, signal.default_int_handler)
with {name}.serve() as server:
    print(server.pid, server.directory, flush=True)
    signal.pause()
"""


def living_pids(group: int) -> list[int]:
    """The processes of a group. Zombies don't count: reaping an orphan is the work of process 1."""
    return [pid for pid, pgrp, state in _processes() if pgrp == group and state not in "ZX"]


def _processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name, in parentheses, may hold anything.
            state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # ended since the listing
        yield int(stat.parent.name), int(group), state


def is_gone(group: int, directory: Path) -> bool:
    """Whether a server's processes and files go in time."""
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while living_pids(group) or directory.exists():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def expect_two_side_by_side(serve: Callable[[], AbstractContextManager[Server]]) -> None:
    """They don't know of each other, and leave nothing."""
    with serve() as one, serve() as other:
        one.client().create_bucket(Bucket="only-in-one")
        assert other.client().list_buckets()["Buckets"] == []
        assert living_pids(one.pid)
        assert living_pids(other.pid)
    for server in (one, other):
        assert is_gone(server.pid, server.directory)


def expect_end_with_parent(name: str, number: signal.Signals) -> None:
    """bench.servers.<name>.serve() in a process that a signal ends."""
    command = [sys.executable, "-c", _SERVE_UNTIL_KILLED.format(name=name)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout
        pid, directory = parent.stdout.readline().decode().strip().split(" ", 1)
        assert living_pids(int(pid))
        parent.send_signal(number)
    assert is_gone(int(pid), Path(directory))
