"""What a directory holds, for comparing one with another."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple


class Held(NamedTuple):
    """content: a file's bytes or a link's target; links: the other names of the same file below the root."""

    kind: int
    mode: int
    mtime_ns: int
    content: bytes
    links: tuple[bytes, ...]


def held(root: Path | bytes, with_times: bool = True) -> dict[bytes, Held]:
    """Everything below a directory, by its path there; a directory's mtime too."""
    place = os.fsencode(root)
    found: dict[bytes, Held] = {}
    names: dict[tuple[int, int], list[bytes]] = {}
    for directory, directories, files in os.walk(place):
        for name in [*directories, *files]:
            path = os.path.join(directory, name)
            below, status = os.path.relpath(path, place), os.lstat(path)
            content = b""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
                names.setdefault((status.st_dev, status.st_ino), []).append(below)
            kind = stat.S_IFMT(status.st_mode)
            mtime_ns = status.st_mtime_ns if with_times else 0
            found[below] = Held(kind, stat.S_IMODE(status.st_mode), mtime_ns, content, ())
    for same in names.values():
        for name in same:
            found[name] = found[name]._replace(links=tuple(sorted(set(same) - {name})))
    return found
