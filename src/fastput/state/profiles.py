"""What was learnt of a store, one small JSON file an endpoint. Losing one costs no more than learning it again."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastput.errors import JournalError
from fastput.state.files import read_own
from fastput.state.rows import dump

FORMAT_VERSION = 1
MAX_PROFILE_BYTES = 64 << 10


def load(directory: Path, endpoint: str, now: float, max_age_s: float) -> dict[str, Any] | None:
    """What was saved last for this endpoint. None if nothing was, or not within max_age_s, or it can't be read.

    Args:
        now: seconds since the Unix epoch. What was found later than now isn't believed either.
    """
    try:
        text = read_own(_path(directory, endpoint), MAX_PROFILE_BYTES) or b""
        found = json.loads(text, parse_float=_finite, parse_constant=_finite)
        head = (found["format"], found["endpoint"])
        age_s, document = now - found["found_at"], found["profile"]
    except (JournalError, OSError, ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return None
    is_fresh = 0 <= age_s <= max_age_s
    return document if head == (FORMAT_VERSION, endpoint) and is_fresh and isinstance(document, dict) else None


def save(directory: Path, endpoint: str, document: dict[str, Any], now: float) -> None:
    """Keeps a JSON document for load(). What can't be written is let go: it will be found anew.

    Raises:
        TypeError, ValueError: the document isn't JSON.
    """
    import tempfile

    path = _path(directory, endpoint)
    text = dump({"format": FORMAT_VERSION, "endpoint": endpoint, "found_at": now, "profile": document})
    with suppress(OSError):
        # mkstemp makes it for its owner alone; a reader sees the old file or the new one, never a part of it.
        fd, name = tempfile.mkstemp(prefix=path.name, dir=directory)
        try:
            with open(fd, "wb") as file:
                file.write(text.encode())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def forget(directory: Path, endpoint: str) -> None:
    """Removes what was saved."""
    with suppress(OSError):
        _path(directory, endpoint).unlink()


def _finite(text: str) -> float:
    """JSON has no infinities, but Python's reads them, from 1e999 too; int() then raises OverflowError."""
    if not math.isfinite(value := float(text)):
        raise ValueError("not a finite number")
    return value


def _path(directory: Path, endpoint: str) -> Path:
    import hashlib

    return directory / (hashlib.sha256(endpoint.encode(errors="backslashreplace")).hexdigest()[:32] + ".endpoint")
