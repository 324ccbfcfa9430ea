"""Sizes, rates and durations as people write and read them."""

from __future__ import annotations

import re
from fractions import Fraction

from fastput.errors import UsageError

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<prefix>[kmgtp]?)(?P<suffix>i?b?)", re.IGNORECASE)
# Far above any file, far below what a float can print.
_MAX_BYTES = 10**30
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

# A bare "M" could be either: a rate says whether it means bits or bytes.
_RATE = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(?P<prefix>[kKmMgGtT]?)(?P<binary>i?)"
    r"(?:(?P<bits>bps|bit/s|bits/s)|(?:B/s|Bps))"
)

_DURATION = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(?P<unit>[smhdw])", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def parse_size(text: str) -> int:
    """Bytes from "8MiB", "2G", "500MB", "1.5TiB" or "4096".

    As in dd and GNU coreutils: a bare letter and the iB form are powers of 1,024, the B form powers of 1,000.

    Raises:
        UsageError: the text isn't a size, or isn't a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a size; write it as 8MiB, 2G or 500MB")
    base = 1000 if match["prefix"] and match["suffix"].lower() == "b" else 1024
    size_bytes = Fraction(match["number"]) * base ** _POWER[match["prefix"].lower()]
    if size_bytes.denominator != 1 or size_bytes > _MAX_BYTES:
        raise UsageError(f"{text[:40]!r} is not a whole number of bytes")
    return int(size_bytes)


def parse_duration(text: str) -> float:
    """Seconds from "45s", "30m", "12h", "7d" or "2w".

    Raises:
        UsageError: the text isn't a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text[:40]!r} is not a duration; write it as 45s, 30m, 12h or 7d")
    return float(match["number"]) * _SECONDS[match["unit"].lower()]


def parse_rate(text: str) -> float:
    """Bytes a second from "400Mbps", "400 Mbit/s", "50MB/s", "50MiB/s" or "1.5Gbps".

    Bits come in powers of 1,000, as links are sold; bytes as in parse_size().

    Raises:
        UsageError: the text isn't a rate.
    """
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text[:40]!r} is not a rate; write it as 400Mbps, 1.5Gbps, 50MB/s or 50MiB/s")
    is_bits = match["bits"] is not None
    if is_bits and match["binary"]:
        raise UsageError(f"{text[:40]!r} is not a rate: bits come in powers of 1,000; write it as 400Mbps or 50MiB/s")
    base = 1024 if match["binary"] else 1000
    prefix: int = base ** _POWER[match["prefix"].lower()]
    return float(match["number"]) * prefix / (8 if is_bits else 1)


def format_rate(bytes_per_s: float) -> str:
    """ "400 Mbps" or "1.5 Gbps"."""
    for unit, size in (("Gbps", 1e9), ("Mbps", 1e6), ("kbps", 1e3)):
        if 8 * bytes_per_s >= size:
            return f"{8 * bytes_per_s / size:.4g} {unit}"
    return f"{8 * bytes_per_s:.4g} bps"


def format_size(size_bytes: float) -> str:
    """ "8.0 MiB", with three significant digits at most."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def format_goodput(bytes_per_s: float) -> str:
    """ "1,234.5 MB/s": goodput in decimal megabytes a second, the unit of links and disks."""
    return f"{bytes_per_s / 1e6:,.1f} MB/s"


def format_duration(duration_s: float) -> str:
    """ "3.2 s", "4m05s", "2h03m" or "7d04h"."""
    if duration_s < 60:
        return f"{duration_s:.1f} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"
