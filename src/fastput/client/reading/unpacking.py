"""What becomes of the members of an archive, in which order, and which of them are read together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fastput.formats.members import IndexedMember
from fastput.formats.safe import Refused, below
from fastput.formats.tar import Kind
from fastput.limits import MIB

# Members that lie closer together than this are read with what lies between.
_MOST_GAP_BYTES = MIB // 4
_ENOUGH_BYTES, _MOST_BYTES = 4 * MIB, 16 * MIB


@dataclass(frozen=True, slots=True)
class Placed:
    """A member, and its path below the target; why: it goes nowhere."""

    member: IndexedMember
    path: bytes
    why: str = ""


def place(members: Iterable[IndexedMember], directory: bytes, links: Iterable[IndexedMember]) -> Iterator[Placed]:
    """Where the members below a directory go, in their order.

    Args:
        directory: b"": the archive itself.
        links: of the archive; what lies behind a symbolic one goes nowhere.
    """
    skipped_bytes = len(directory) + 1 if directory else 0
    barred = {link.name[skipped_bytes:] for link in links if link.kind is Kind.SYMLINK}
    for member in members:
        path = member.name[skipped_bytes:]
        try:
            yield Placed(member, below(path, barred))
        except Refused as error:
            yield Placed(member, path, str(error))


def groups(files: Iterable[Placed], frame_at: Callable[[int], int]) -> Iterator[list[Placed]]:
    """Files that are read with one request; a large one is alone.

    Args:
        frame_at: the number of the frame that holds a place of the content.
    """
    group: list[Placed] = []
    begin_bytes = end_bytes = 0
    for placed in files:
        member = placed.member
        length_bytes = member.offset_bytes + member.size_bytes - begin_bytes
        if group and (
            member.size_bytes > _ENOUGH_BYTES
            or member.offset_bytes - end_bytes > _MOST_GAP_BYTES
            or length_bytes > _MOST_BYTES
            # At a frame's border, so that no frame is read twice.
            or (length_bytes > _ENOUGH_BYTES and frame_at(end_bytes - 1) != frame_at(member.offset_bytes))
        ):
            yield group
            group = []
        if not group:
            begin_bytes = member.offset_bytes
        group.append(placed)
        end_bytes = max(member.offset_bytes + member.size_bytes, 1)
    if group:
        yield group
