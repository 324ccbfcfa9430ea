"""What lies in a tree as members of archives: in order, and cut where an archive would become too large. Pure."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Iterable, Iterator

from fastput.formats.tar import Kind, Member, end_bytes, member_bytes
from fastput.source.tar import PackedFile
from fastput.tree.walk import Found


def archives(
    found: Iterable[Found], path_of: Callable[[bytes], str], most_bytes: int | None
) -> Iterator[list[PackedFile]]:
    """The members of each archive, in the order of what was found.

    Args:
        found: regular files, links and directories; a directory before what lies in it.
        path_of: where a file is, by its path below the root.
        most_bytes: a new archive begins before the member with which one would become larger, but for one that is
            too large by itself; None: all go into one.

    Raises:
        OSError: a link can't be read.
    """
    archive: list[PackedFile] = []
    length_bytes = 0
    first_names: dict[tuple[int, int], bytes] = {}  # of files with several names, in this archive
    for each in found:
        packed = _packed(each, path_of(each.path), first_names)
        if most_bytes is not None:
            behind_bytes = length_bytes + member_bytes(packed.member)
            if archive and behind_bytes + end_bytes(behind_bytes) > most_bytes:
                yield archive
                archive, first_names = [], {}
                packed = _packed(each, packed.path, first_names)
                behind_bytes = member_bytes(packed.member)
            length_bytes = behind_bytes
        archive.append(packed)
    if archive:
        yield archive


def _packed(found: Found, path: str, first_names: dict[tuple[int, int], bytes]) -> PackedFile:
    """A second name of a file in the same archive is a link to the first."""
    entry, kind, link, size_bytes = found.entry, Kind.FILE, b"", 0
    if entry.is_directory:
        kind = Kind.DIRECTORY
    elif entry.is_link:
        kind, link = Kind.SYMLINK, os.fsencode(os.readlink(path))
    else:
        first = found.path
        if entry.links > 1:
            first = first_names.setdefault((entry.device, entry.inode), found.path)
        if first != found.path:
            kind, link = Kind.HARDLINK, first
        else:
            size_bytes = entry.size_bytes
    mode = stat_module.S_IMODE(entry.mode)
    return PackedFile(path, Member(found.path, kind, size_bytes, mode, entry.mtime_ns, entry.uid, entry.gid, link))
