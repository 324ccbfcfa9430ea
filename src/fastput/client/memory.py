"""How much memory parts in flight may take when nobody says."""

from __future__ import annotations

import os
from pathlib import Path

from fastput.limits import GIB, MIB

_FLOOR_BYTES = 128 * MIB
# Four parts of S3's largest size; the window, not this, bounds what is usually in flight.
_CEILING_BYTES = 20 * GIB
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def default_memory_bytes() -> int:
    """A quarter of what this machine, or the container around us, has; 128 MiB at least, 20 GiB at most."""
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            machine_bytes = min(machine_bytes, int(Path(path).read_text()))
        except (OSError, ValueError):
            pass  # no such limit, or "max"
    return max(_FLOOR_BYTES, min(_CEILING_BYTES, machine_bytes // 4))
