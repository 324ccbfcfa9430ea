"""What became of what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastput.errors import FastputError, Interrupted

# (source as in Got, bytes of it that have arrived, bytes of all of it); called on any thread.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Got:
    """One object or member.

    Attributes:
        path: of the file, or of the link.
        crc64nvme: of the file's bytes, base64.
        proof: by what it was found to be what was written, e.g. "crc64nvme"; empty: nothing is known that decides.
        error: why there is no such file; ObjectExists: there is one, which was left alone.
    """

    source: str
    path: str
    size_bytes: int = 0
    crc64nvme: str = ""
    proof: str = ""
    error: FastputError | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; without the error, which has a form of its own."""
        return {name: getattr(self, name) for name in ("source", "path", "size_bytes", "crc64nvme", "proof")}


def tried(source: str, path: Path, work: Callable[[], Got]) -> Got:
    """
    Raises:
        Interrupted: nothing is wanted any more.
    """
    try:
        return work()
    except Interrupted:
        raise
    except FastputError as error:
        return Got(source, str(path), error=error)
