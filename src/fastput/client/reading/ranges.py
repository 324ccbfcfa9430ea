"""Ranges of content as people write them. Pure."""

from __future__ import annotations

import re

from fastput.errors import UsageError

_RANGE = re.compile(r"([0-9]*)-([0-9]*)", re.ASCII)


def parse_range(text: str, size_bytes: int) -> tuple[int, int]:
    """(offset, length) of "A-B", the last byte included, "A-", or "-N": the last N bytes; as in HTTP's Range.

    Raises:
        UsageError: it is none, or has no byte of so many.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        raise UsageError(f"{text!r} is not a range; write 0-1023, 1024- or -512")
    if not match[1]:
        begin, end = max(size_bytes - int(match[2]), 0), size_bytes
    else:
        begin, end = int(match[1]), min(int(match[2]) + 1, size_bytes) if match[2] else size_bytes
        if match[2] and int(match[2]) < begin:
            raise UsageError(f"{text!r} ends before it begins")
    if begin >= end:
        raise UsageError(f"{text!r}: there are {size_bytes:,} bytes")
    return begin, end - begin
