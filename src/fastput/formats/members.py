"""The index of an archive's members, as lines of JSON and as CSV. Pure: bytes out, bytes in.

docs/decisions/0016-virtual-tar.md shows a line and says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii
from typing import NamedTuple

from fastput.formats.damaged import Damaged
from fastput.formats.tar import Kind
from fastput.model import Checksum, decode_crc, encode_crc

_NAMES = {Kind.FILE: "file", Kind.DIRECTORY: "dir", Kind.SYMLINK: "symlink", Kind.HARDLINK: "hardlink"}
_KINDS = {name: kind for kind, name in _NAMES.items()}
_LINKS = (Kind.SYMLINK, Kind.HARDLINK)
_MAX_NUMBER = 2**63 - 1


class IndexedMember(NamedTuple):
    """A member and its place in the archive. (There may be millions: a frozen dataclass takes five times as long.)

    Attributes:
        header_offset_bytes: where its headers begin.
        offset_bytes: where its content begins.
        crc64nvme: of what stands there.
        is_ok: False: zeros stand there instead of the file's content.
        error: why; only sidecars have it.
    """

    name: bytes
    kind: Kind
    header_offset_bytes: int
    offset_bytes: int
    size_bytes: int
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    link: bytes
    crc64nvme: int
    is_ok: bool
    error: str = ""


def line(member: IndexedMember) -> bytes:
    """A line of the index that the archive ends with; without the error, so that its length is known beforehand."""
    link = f',"link":{_json(member.link)}' if member.kind in _LINKS else ""
    return (
        f'{{"name":{_json(member.name)},"type":"{_NAMES[member.kind]}","header":{member.header_offset_bytes:d},'
        f'"offset":{member.offset_bytes:d},"size":{member.size_bytes:d},"mode":{member.mode:d},'
        f'"mtime_ns":{member.mtime_ns:d},"uid":{member.uid:d},"gid":{member.gid:d}{link},'
        f'"crc64nvme":"{encode_crc(member.crc64nvme, Checksum.CRC64NVME)}","ok":{member.is_ok:d}}}\n'
    ).encode("ascii")


def line_bytes(member: IndexedMember) -> int:
    """How long line() is; whatever crc64nvme, is_ok and error are."""
    link_bytes = len(',"link":') + len(_json(member.link)) if member.kind in _LINKS else 0
    numbers = (
        member.header_offset_bytes, member.offset_bytes, member.size_bytes, member.mode, member.mtime_ns, member.uid,
        member.gid,
    )  # fmt: skip
    digits = sum(map(len, map(str, numbers)))
    return _FIXED_BYTES + len(_json(member.name)) + len(_NAMES[member.kind]) + digits + link_bytes


def sidecar_line(member: IndexedMember) -> bytes:
    """A line of the sidecar: with the error, if there is one."""
    return line(member)[:-2] + f',"error":{json.dumps(member.error)}}}\n'.encode() if member.error else line(member)


def parse(lines: Iterable[bytes]) -> Iterator[IndexedMember]:
    """The members in lines of either form, each with its line end. Names are given as they stand: they may be hostile.

    Raises:
        Damaged: not a line that line() or sidecar_line() writes, or a place that isn't behind the one before it.
    """
    read_bytes = end_bytes = 0
    for number, text in enumerate(lines, 1):
        try:
            member = _parse(text)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            raise Damaged(f"line {number:,} of the member index isn't one", read_bytes) from None
        if member.header_offset_bytes < end_bytes or member.offset_bytes <= member.header_offset_bytes:
            raise Damaged(f"line {number:,} of the member index has an impossible place", read_bytes)
        read_bytes += len(text)
        end_bytes = member.offset_bytes + member.size_bytes
        yield member


def csv_lines(members: Iterable[IndexedMember]) -> Iterator[bytes]:
    """A header and a row for each file, but not for one that zeros stand for; quoted as RFC 4180 says.

    Directories and links have no bytes of their own, and so no row. Names are as they are on disk.
    """
    yield b"name,offset,length,crc64nvme\r\n"
    for member in members:
        if member.kind is Kind.FILE and member.is_ok:
            crc = encode_crc(member.crc64nvme, Checksum.CRC64NVME).encode()
            yield b"%b,%d,%d,%b\r\n" % (_quoted(member.name), member.offset_bytes, member.size_bytes, crc)


def _quoted(name: bytes) -> bytes:
    if any(special in name for special in (b",", b'"', b"\r", b"\n")):
        return b'"' + name.replace(b'"', b'""') + b'"'
    return name


def _json(name: bytes) -> str:
    return encode_basestring_ascii(name.decode("utf-8", "surrogateescape"))


def _parse(text: bytes) -> IndexedMember:
    document = json.loads(text.decode("ascii"))
    member = IndexedMember(
        name=_name(document["name"]),
        kind=_KINDS[document["type"]],
        header_offset_bytes=document["header"],
        offset_bytes=document["offset"],
        size_bytes=document["size"],
        mode=document["mode"],
        mtime_ns=document["mtime_ns"],
        uid=document["uid"],
        gid=document["gid"],
        link=_name(document.get("link", "")),
        crc64nvme=decode_crc(document["crc64nvme"]),
        is_ok=document["ok"] == 1,
        error=document.get("error", ""),
    )
    # Whatever else may be wrong with it (order, types, spaces, further keys): it wouldn't be written like that.
    if not isinstance(member.error, str) or sidecar_line(member) != text:
        raise ValueError
    numbers = (member.header_offset_bytes, member.offset_bytes, member.size_bytes, member.mode, member.uid, member.gid)
    if min(numbers) < 0 or max(*numbers, abs(member.mtime_ns)) > _MAX_NUMBER:
        raise ValueError
    if member.size_bytes and member.kind is not Kind.FILE:
        raise ValueError
    return member


def _name(text: str) -> bytes:
    return str.encode(text, "utf-8", "surrogateescape")


_EMPTY = IndexedMember(b"", Kind.FILE, 0, 0, 0, 0, 0, 0, 0, b"", 0, True)
# Of a line, without what is of any length.
_FIXED_BYTES = len(line(_EMPTY)) - len('""') - len("file") - 7
