"""Packed archives, plain and compressed, made of a directory; the frames by the zstandard library."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zstandard
from awscrt import checksums

from fastput.formats.members import IndexedMember, line
from fastput.formats.seekable import Frame
from fastput.formats.tail import Facts, IndexPlace, tail_bytes
from fastput.formats.tar import Kind, Member, end_bytes, header, padding_bytes
from tests.support.content import MIB, content


@dataclass(frozen=True)
class Packing:
    """A member to be, whatever its name, and its content; is_ok: as the index is to say."""

    member: Member
    content: bytes = b""
    is_ok: bool = True


def entry(name: bytes, data: bytes = b"", kind: Kind = Kind.FILE, link: bytes = b"", is_ok: bool = True) -> Packing:
    return Packing(Member(name, kind, len(data), 0o640, 1_700_000_000_123_456_789, 1, 2, link), data, is_ok)


def of_tree(root: Path) -> list[Packing]:
    """All below a directory, in the order of their names; a second name of a file is a hard link."""
    found: list[Packing] = []
    names: dict[int, bytes] = {}
    for path in sorted(os.fsencode(path) for path in root.rglob("*")):
        name, status = os.path.relpath(path, os.fsencode(root)), os.lstat(path)
        kind, link, data = Kind.FILE, b"", b""
        if stat.S_ISDIR(status.st_mode):
            kind = Kind.DIRECTORY
        elif stat.S_ISLNK(status.st_mode):
            kind, link = Kind.SYMLINK, os.readlink(path)
        elif status.st_ino in names:
            kind, link = Kind.HARDLINK, names[status.st_ino]
        else:
            names[status.st_ino] = name
            data = Path(os.fsdecode(path)).read_bytes()
        mode = stat.S_IMODE(status.st_mode)
        found.append(Packing(Member(name, kind, len(data), mode, status.st_mtime_ns, 1, 2, link), data))
    return found


def tar(packings: Sequence[Packing]) -> tuple[bytes, bytes]:
    """(the archive, the lines of its index)"""
    archive = bytearray()
    lines = b""
    for packing in packings:
        member = packing.member
        begin_bytes = len(archive)
        archive += header(member)
        lines += line(
            IndexedMember(
                member.name, member.kind, begin_bytes, len(archive), member.size_bytes, member.mode, member.mtime_ns,
                member.uid, member.gid, member.link, checksums.crc64nvme(packing.content), packing.is_ok,
            )
        )  # fmt: skip
        archive += packing.content + bytes(padding_bytes(len(packing.content)))
    return bytes(archive) + bytes(end_bytes(len(archive))), lines


def plain(packings: Sequence[Packing]) -> bytes:
    """An archive as `put --pack` makes it."""
    archive, lines = tar(packings)
    place = IndexPlace(0, 0, checksums.crc64nvme(lines), len(packings), "")
    facts = Facts(len(archive), checksums.crc64nvme(archive), index=place)
    return archive + tail_bytes(facts, None, lines, len(archive))


def compressed(data: bytes, frame_bytes: int, lines: bytes | None = None) -> bytes:
    """An object as `put --compress` makes it, of an archive if there are lines of an index."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    pieces = [data[begin : begin + frame_bytes] for begin in range(0, max(len(data), 1), frame_bytes)]
    made = [compressor.compress(piece) for piece in pieces]
    frames = [Frame(len(frame), len(piece)) for frame, piece in zip(made, pieces, strict=True)]
    body, payload, place = b"".join(made), None, None
    if lines is not None:
        payload = compressor.compress(lines)
        place = IndexPlace(0, 0, checksums.crc64nvme(payload), lines.count(b"\n"), "zstd")
    facts = Facts(len(data), checksums.crc64nvme(data), frame_bytes, place)
    return body + tail_bytes(facts, frames, payload, len(body))


def packed(packings: Sequence[Packing], frame_bytes: int) -> bytes:
    """An archive as `put --pack --compress` makes it."""
    archive, lines = tar(packings)
    return compressed(archive, frame_bytes, lines)


def odd_tree(root: Path) -> Path:
    """Files of all sizes, an odd name, links, modes and times."""
    (root / "d" / "deep").mkdir(parents=True)
    (root / "d" / "a.fits").write_bytes(content(700_000, 1))
    (root / "d" / "deep" / "large").write_bytes(content(5 * MIB + 77, 2))
    for number in range(40):
        (root / "d" / f"{number:02d}").write_bytes(content(number * 1_000, number))
    (root / os.fsdecode(b"odd \xff\n")).write_bytes(b"odd")
    (root / "empty").write_bytes(b"")
    (root / "d" / "soft").symlink_to("a.fits")
    (root / "soft").symlink_to("d")
    os.link(root / "d" / "a.fits", root / "hard")
    (root / "empty").chmod(0o400)
    (root / "d" / "deep").chmod(0o750)
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, ns=(1, 1_600_000_000_000_000_000 + len(str(path)) * 1_001), follow_symlinks=False)
    return root


def files_below(root: Path) -> dict[str, bytes]:
    """What lies there, by path."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
