"""Modification times in metadata, as others write and read them. Pure.

rclone and s3fs: `mtime`, seconds since the epoch; rclone with nine decimals at most, s3fs in whole seconds.
https://rclone.org/s3/#modification-times-and-hashes, https://github.com/s3fs-fuse/s3fs-fuse
FSx for Lustre and DataSync: `file-mtime` in nanoseconds, owner, group, and permissions in octal with the type.
https://docs.aws.amazon.com/fsx/latest/LustreGuide/posix-metadata-support.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastput.native.scan import Entry


_SECONDS = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9})[0-9]*)?")
_NANOSECONDS = re.compile(r"(-?[0-9]{1,19})(?:ns)?")


class Preserve(StrEnum):
    """What of a file goes into its object's metadata."""

    MTIME = "mtime"
    RCLONE = "rclone"
    FSX = "fsx"
    NONE = "none"


def metadata(entry: Entry, preserve: Preserve) -> dict[str, str]:
    """What the object is to carry."""
    if preserve is Preserve.NONE:
        return {}
    if preserve is Preserve.FSX:
        return {
            "file-owner": str(entry.uid),
            "file-group": str(entry.gid),
            "file-permissions": f"0{entry.mode:o}",
            "file-mtime": f"{entry.mtime_ns}ns",
        }
    kept = {"mtime": _seconds(entry.mtime_ns)}
    if preserve is Preserve.RCLONE:
        kept |= {"mode": f"{entry.mode:o}", "uid": str(entry.uid), "gid": str(entry.gid)}
    return kept


def kept_mtime_ns(kept: Mapping[str, str]) -> int | None:
    """The time that an object's metadata has; None: it has none."""
    if (match := _SECONDS.fullmatch(kept.get("mtime", ""))) is not None:
        sign, whole, fraction = match[1], match[2], match[3] or ""
        time_ns = int(whole) * 10**9 + int(fraction.ljust(9, "0"))
        return -time_ns if sign else time_ns
    if (match := _NANOSECONDS.fullmatch(kept.get("file-mtime", ""))) is not None:
        return int(match[1])
    return None


def is_time(mtime_ns: int, kept: Mapping[str, str]) -> bool | None:
    """Whether an object's metadata has this time, as exactly as it says it; None: it says none."""
    kept_ns = kept_mtime_ns(kept)
    if kept_ns is None:
        return None
    match = _SECONDS.fullmatch(kept.get("mtime", ""))
    unit_ns = 10**9 if match is not None and match[3] is None else 1  # s3fs rounds down
    return mtime_ns // unit_ns == kept_ns // unit_ns


def _seconds(time_ns: int) -> str:
    whole, fraction = divmod(abs(time_ns), 10**9)
    return f"{'-' if time_ns < 0 else ''}{whole}.{fraction:09d}"
