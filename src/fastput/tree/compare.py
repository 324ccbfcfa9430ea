"""Whether a file has to be sent, from what is known of its object. Pure.

    what an earlier run has confirmed -> the listing -> HEAD -> the file's own bytes

Each step costs more than the one before, and is asked only where those have left it open.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from fastput.model import ConfirmedFile, SourceStat
from fastput.native.scan import Entry


class How(StrEnum):
    """What has to agree."""

    TIMES = "size and mtime"
    SIZES = "size"
    CHECKSUMS = "checksum"


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing has it. modified_at: seconds since the epoch."""

    path: bytes
    size_bytes: int
    etag: str
    modified_at: float


class Verdict(Enum):
    SAME = "the same"
    SEND = "to be sent"
    ASK = "to be asked for"


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    reason: str


def stat_of(entry: Entry) -> SourceStat:
    return SourceStat(entry.device, entry.inode, entry.size_bytes, entry.mtime_ns, entry.ctime_ns)


def is_as_known(entry: Entry, known: ConfirmedFile) -> bool:
    """Whether a file is as it was when it was sent: nobody can set a ctime back."""
    return known.stat == stat_of(entry)


def judge(entry: Entry, listed: Listed | None, known: ConfirmedFile | None, how: How) -> Judged:
    """
    Args:
        listed: None: there is no such object.
        known: what an earlier run has confirmed of this file and this key.
    """
    if listed is None:
        return Judged(Verdict.SEND, "new")
    if entry.size_bytes != listed.size_bytes:
        return Judged(Verdict.SEND, "another size")
    if how is How.SIZES:
        return Judged(Verdict.SAME, "the same size")
    if known is not None and known.etag == listed.etag and is_as_known(entry, known):
        return Judged(Verdict.SAME, "as it was sent")
    return Judged(Verdict.ASK, "the size agrees")


def judge_time(entry: Entry, is_kept_time: bool | None, listed: Listed, is_exact: bool) -> Judged:
    """After HEAD.

    Args:
        is_kept_time: whether the object's metadata has the file's time; None: it has none.
        is_exact: an object that has no time of its own isn't taken for the file, however young it is.
    """
    if is_kept_time:
        return Judged(Verdict.SAME, "the same size and mtime")
    if is_kept_time is not None:
        return Judged(Verdict.SEND, "another mtime")
    # As aws s3 sync: an object that is younger than the file was made of it.
    if not is_exact and entry.mtime_ns / 1e9 <= listed.modified_at:
        return Judged(Verdict.SAME, "the same size, and the object is younger")
    return Judged(Verdict.SEND, "no mtime is kept with the object" if is_exact else "younger than the object")
