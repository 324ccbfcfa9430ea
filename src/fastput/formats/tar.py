"""The bytes of PAX archives: what stands before, behind and after the content of their members. Pure.

https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13
"""

from __future__ import annotations

import enum
import functools
import struct
from typing import NamedTuple

BLOCK_BYTES = 512
RECORD_BYTES = 10240

_NS_PER_S = 10**9
_MAX_TEXT_BYTES = 100
_MAX_ID = 8**7 - 1
_MAX_NUMBER = 8**11 - 1


class Kind(enum.Enum):
    """What a member is; the value is its type flag."""

    FILE = b"0"
    HARDLINK = b"1"
    SYMLINK = b"2"
    DIRECTORY = b"5"


class Member(NamedTuple):
    """What an archive says of a file, a directory or a link.

    Attributes:
        name: as it stands in the archive; a directory's without "/" at the end.
        size_bytes: 0 for all but files.
        mode: the permissions; what else st_mode has is left out.
        link: where a symbolic link points to; the name of the member that a hard link is the same file as.
    """

    name: bytes
    kind: Kind
    size_bytes: int
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    link: bytes = b""


def header(member: Member) -> bytes:
    """All that stands before the content: an extended header where ustar can't say it, and the ustar header."""
    path = _path(member)
    records = _records(member, path)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        member.mode & 0o7777,
        _fitting(member.uid, _MAX_ID),
        _fitting(member.gid, _MAX_ID),
        _fitting(member.size_bytes, _MAX_NUMBER),
        _fitting(member.mtime_ns // _NS_PER_S, _MAX_NUMBER),
    )
    ustar = _ustar(path[:_MAX_TEXT_BYTES], numbers, member.kind.value, member.link[:_MAX_TEXT_BYTES])
    if not records:
        return ustar
    return _extended(len(records)) + records + bytes(padding_bytes(len(records))) + ustar


def member_bytes(member: Member) -> int:
    """From the beginning of its header() to the end of its padding."""
    return header_bytes(member) + member.size_bytes + padding_bytes(member.size_bytes)


def header_bytes(member: Member) -> int:
    """How long header() is."""
    records_bytes = len(_records(member, _path(member)))
    return (2 * BLOCK_BYTES + records_bytes + padding_bytes(records_bytes)) if records_bytes else BLOCK_BYTES


def padding_bytes(size_bytes: int) -> int:
    """How many zeros follow a content."""
    return -size_bytes % BLOCK_BYTES


def end_bytes(offset_bytes: int) -> int:
    """How many zeros follow the last member, which ends here with its padding: two blocks, and up to a record's end."""
    return 2 * BLOCK_BYTES + -(offset_bytes + 2 * BLOCK_BYTES) % RECORD_BYTES


def _path(member: Member) -> bytes:
    return member.name + b"/" if member.kind is Kind.DIRECTORY else member.name


def _records(member: Member, path: bytes) -> bytes:
    records = b""
    if not _fits_ustar(path):
        records += _record(b"path", path)
    if not _fits_ustar(member.link):
        records += _record(b"linkpath", member.link)
    if records and not _is_utf8(records):
        records = _record(b"hdrcharset", b"BINARY") + records
    seconds, nanoseconds = divmod(member.mtime_ns, _NS_PER_S)
    if nanoseconds or not 0 <= seconds <= _MAX_NUMBER:
        sign = b"-" if member.mtime_ns < 0 else b""
        records += _record(b"mtime", b"%b%d.%09d" % (sign, *divmod(abs(member.mtime_ns), _NS_PER_S)))
    if member.size_bytes > _MAX_NUMBER:
        records += _record(b"size", b"%d" % member.size_bytes)
    if member.uid > _MAX_ID:
        records += _record(b"uid", b"%d" % member.uid)
    if member.gid > _MAX_ID:
        records += _record(b"gid", b"%d" % member.gid)
    return records


def _record(keyword: bytes, value: bytes) -> bytes:
    """A record begins with its own length, whose digits are part of it."""
    rest_bytes = len(keyword) + len(value) + len(b" =\n")
    digits = len(str(rest_bytes))
    digits = len(str(rest_bytes + digits))
    return b"%d %b=%b\n" % (rest_bytes + digits, keyword, value)


def _fits_ustar(text: bytes) -> bool:
    return len(text) <= _MAX_TEXT_BYTES and text.isascii()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fitting(number: int, largest: int) -> int:
    """What doesn't fit stands in the extended header, and here is 0, as others write it."""
    return number if 0 <= number <= largest else 0


# Name, numbers, checksum, type, link, magic with version; names of owners, devices and prefix are empty.
_USTAR = struct.Struct("100s48s8sc100s8s247x")
_MAGIC = b"ustar\x0000"
# The checksum's own field counts as eight spaces.
_FIXED_SUM = sum(_MAGIC) + sum(b" " * 8)


def _ustar(name: bytes, numbers: bytes, flag: bytes, link: bytes) -> bytes:
    checksum = _FIXED_SUM + sum(name) + sum(numbers) + sum(flag) + sum(link)
    return _USTAR.pack(name, numbers, b"%06o\0 " % checksum, flag, link, _MAGIC)


@functools.lru_cache(maxsize=2048)
def _extended(records_bytes: int) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (0, 0, 0, records_bytes, 0)
    return _ustar(b"././@PaxHeader", numbers, b"x", b"")
