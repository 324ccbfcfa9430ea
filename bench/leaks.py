"""What a process holds: descriptors, threads. For comparing before and after."""

from __future__ import annotations

import collections
import contextlib
import gc
import os
import threading
import time
from pathlib import Path

# The runtime's event loops end by themselves when the last of their objects has gone.
GONE_WITHIN_S = 15.0
POLL_S = 0.02


class Held:
    """Descriptors by what they are, threads by their name, at one moment. Linux only: of /proc."""

    def __init__(self) -> None:
        self.descriptors: collections.Counter[str] = collections.Counter()
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the directory's own, or one that was closed meanwhile
                self.descriptors[os.readlink(f"/proc/self/fd/{number}").partition(":[")[0]] += 1
        self.tasks: collections.Counter[str] = collections.Counter()
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                self.tasks[(task / "comm").read_text().strip()] += 1
        self.threads = {thread.name for thread in threading.enumerate()}

    def more_than(self, before: Held) -> str:
        """What there is now and wasn't before; empty: nothing."""
        found = {
            "descriptors": dict(self.descriptors - before.descriptors),
            "threads": sorted(self.threads - before.threads),
            "tasks": dict(self.tasks - before.tasks),
        }
        return ", ".join(f"{what}: {more}" for what, more in found.items() if more)

    def wait_until_released(self) -> str:
        """Until nothing is held that wasn't when this was made; what still is after a while, or empty."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while (more := Held().more_than(self)) and time.monotonic() < deadline:
            gc.collect()
            time.sleep(POLL_S)
        return more
