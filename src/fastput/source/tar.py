"""An archive that is never written: any bytes of it are made when they are asked for.

    head, content, zeros | head, content, zeros | ... | zero blocks | index, facts
    `---------------- the members ---------------'  `------ the rest -----'

The place of every byte follows from the members alone. What was read of their files is noted, and the end is made
of that: docs/decisions/0016-virtual-tar.md.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from fastput.errors import SourceChanged, SourceError
from fastput.formats.members import IndexedMember, line, line_bytes
from fastput.formats.tail import ENCODING_METADATA, FACTS_BYTES, INDEX_HEADER_BYTES, Facts, IndexPlace, tail_bytes
from fastput.formats.tar import Kind, Member, end_bytes, header, member_bytes, padding_bytes
from fastput.limits import MIB
from fastput.model import Part, SourceStat
from fastput.native.crc import crc64nvme, crc64nvme_combine
from fastput.native.pack import PackBody
from fastput.native.slicer import PartBody
from fastput.source.base import SourceBase
from fastput.text import printable

if TYPE_CHECKING:
    from fastput.native.pack import Entry, Piece

# What is read for the end only isn't kept.
_WINDOW_BYTES = MIB


class PackedFile(NamedTuple):
    """A member, and where its content is to be opened: a link there is followed. Only files are opened."""

    path: str
    member: Member


class TarSource(SourceBase):
    """An archive of these members, in this order.

    A file that can't be read, or isn't what its member says, has zeros in its place, and failures() tells of it.

    Args:
        has_tail: False: the archive ends with its zero blocks, and its index goes elsewhere.
    """

    def __init__(self, name: str, members: Sequence[PackedFile], has_tail: bool = True) -> None:
        self.name = name
        self._layout = _Layout(members)
        self._found = _Found(self._layout)
        self._has_tail = has_tail
        self.size_bytes: int | None = self._layout.archive_bytes
        if has_tail:
            self.size_bytes += INDEX_HEADER_BYTES + sum(map(line_bytes, self._layout.indexed())) + FACTS_BYTES
        self._stat: SourceStat | None = None
        self._rest: bytes | None = None
        self._told: _All | None = None
        self._payload: bytes | None = None
        self._rest_lock = threading.Lock()

    @property
    def begins_bytes(self) -> Sequence[int]:
        """Where each member begins, and where the last one ends."""
        return self._layout.begins_bytes

    def stat(self) -> SourceStat:
        """Stands for all that the archive is laid out by: another one has another inode and mtime_ns."""
        if self._stat is None:
            digest = self._layout.digest()
            inode, mtime_ns = (int.from_bytes(digest[at : at + 8], "big") >> 1 for at in (0, 8))
            self._stat = SourceStat(0, inode, self.size_bytes or 0, mtime_ns)
        return self._stat

    def check_unchanged(self) -> None:
        """Members that failed are no exception, but the end has to tell of them.

        Raises:
            SourceChanged: a member was found otherwise than the end says.
        """
        if self._told is not None:
            differing = self._whole().differing(self._told)
        else:
            # If the end is one that an earlier run has sent, it knows of no failure of this one.
            differing = min(self._found.failures(), default=None) if self._has_tail else None
        if differing is not None:
            name = printable(os.fsdecode(self._layout.members[differing].member.name))
            raise SourceChanged(
                f"{self.name}: {name} changed after the archive's index was made: send the archive again"
            )

    def body(self, part: Part, trailer: str | None) -> PartBody:
        content = _Range(self._layout, self._found, self._behind_members, part)
        return PackBody(content, part.length_bytes, trailer)

    def failure_of(self, body: PartBody) -> SourceError | None:
        if body.failure is not None:
            raise body.failure  # files that fail don't fail their archive: a mistake of ours, or no memory
        return None

    def cut(self, begin_bytes: int, end_bytes: int) -> int:
        begins_bytes = self._layout.begins_bytes
        border_bytes = begins_bytes[bisect_right(begins_bytes, end_bytes) - 1]
        return border_bytes if 2 * (border_bytes - begin_bytes) >= end_bytes - begin_bytes else end_bytes

    def index(self) -> tuple[bytes, int] | None:
        return None if self._has_tail else (self.index_payload(), len(self._layout.members))

    def metadata(self) -> Mapping[str, str]:
        return {ENCODING_METADATA: "tar"} if self._has_tail else {}

    def failures(self) -> dict[int, str]:
        """Why members, by their number from 0, aren't what they were, as far as is known now."""
        return self._found.failures()

    def indexed(self) -> Iterator[IndexedMember]:
        """All members, with what was found of them. Files that weren't read before are read for it."""
        return self._layout.indexed(self._whole())

    def index_payload(self) -> bytes:
        """The lines of indexed(); once the archive's end was made, those that stand there."""
        if self._payload is None:
            self._payload = b"".join(map(line, self.indexed()))
        return self._payload

    def _whole(self) -> _All:
        window = bytearray(_WINDOW_BYTES)
        while not isinstance(found := self._found.all(), _All):
            for gap in found:
                body = self.body(gap, None)
                while body.readinto(window):
                    pass
                self.failure_of(body)
        return found

    def _behind_members(self) -> bytes:
        """Made once: it stays what it was when its first byte was sent."""
        with self._rest_lock:
            if self._rest is None:
                zeros = bytes(self._layout.archive_bytes - self._layout.members_bytes)
                self._rest = zeros + self._tail(zeros) if self._has_tail else zeros
            return self._rest

    def _tail(self, zeros: bytes) -> bytes:
        self._told = told = self._whole()
        self._payload = payload = b"".join(map(line, self._layout.indexed(told)))
        place = IndexPlace(0, 0, crc64nvme(payload), len(self._layout.members), "")
        archive_bytes = self._layout.archive_bytes
        facts = Facts(archive_bytes, crc64nvme(zeros, told.crc64nvme), index=place)
        return tail_bytes(facts, None, payload, archive_bytes)


class _Range:
    """Bytes [offset, offset + length) of an archive, as a body asks for them."""

    def __init__(self, layout: _Layout, found: _Found, behind_members: Callable[[], bytes], part: Part) -> None:
        self._layout = layout
        self._found = found
        self._behind_members = behind_members
        self._begin_bytes, self._end_bytes = part.offset_bytes, part.offset_bytes + part.length_bytes
        self._first = 0
        self._entries: list[Entry] = []

    def entries(self) -> list[Entry]:
        packed_bytes = min(self._end_bytes, self._layout.members_bytes)
        if self._begin_bytes < packed_bytes:
            self._first, self._entries = self._layout.entries(self._begin_bytes, packed_bytes)
        return self._entries

    def was_read(self, pieces: list[Piece], crc64nvme: int) -> None:
        length_bytes = min(self._end_bytes, self._layout.members_bytes) - self._begin_bytes
        self._found.note(self._begin_bytes, _Reading(length_bytes, crc64nvme), self._first, self._entries, pieces)
        self._entries = []

    def rest(self) -> bytes:
        behind_bytes = self._layout.members_bytes
        return self._behind_members()[max(self._begin_bytes - behind_bytes, 0) : self._end_bytes - behind_bytes]


class _Layout:
    """Where everything is.

    Attributes:
        begins_bytes: where each member begins, and where the last one ends.
        archive_bytes: with the zero blocks.
    """

    def __init__(self, members: Sequence[PackedFile]) -> None:
        self.members = members
        self.begins_bytes = array("Q", [0])
        at_bytes = 0
        for packed in members:
            at_bytes += member_bytes(packed.member)
            self.begins_bytes.append(at_bytes)
        self.members_bytes = at_bytes
        self.archive_bytes = at_bytes + end_bytes(at_bytes)

    def content_bytes(self, index: int) -> int:
        """Where a member's content begins."""
        size_bytes = self.members[index].member.size_bytes
        return self.begins_bytes[index + 1] - padding_bytes(size_bytes) - size_bytes

    def entries(self, begin_bytes: int, end_bytes: int) -> tuple[int, list[Entry]]:
        """What a range within the members is made of, and the number of the first one."""
        first = bisect_right(self.begins_bytes, begin_bytes) - 1
        behind = bisect_left(self.begins_bytes, end_bytes)
        entries = [_whole_entry(packed) for packed in self.members[first:behind]]
        for index in {first, behind - 1}:
            entries[index - first] = self._entry(index, begin_bytes, end_bytes)
        return first, entries

    def _entry(self, index: int, begin_bytes: int, end_bytes: int) -> Entry:
        """What of a member is within a range."""
        packed = self.members[index]
        member, size_bytes = packed.member, packed.member.size_bytes
        at_bytes, content_bytes = self.begins_bytes[index], self.content_bytes(index)
        content_end_bytes = content_bytes + size_bytes
        head = b""
        if begin_bytes < content_bytes:
            head = header(member)[max(begin_bytes - at_bytes, 0) : end_bytes - at_bytes]
        offset_bytes = max(begin_bytes - content_bytes, 0)
        length_bytes = max(min(end_bytes, content_end_bytes) - content_bytes - offset_bytes, 0)
        padding = max(min(end_bytes, self.begins_bytes[index + 1]) - max(begin_bytes, content_end_bytes), 0)
        # An empty file is looked at where its headers end.
        is_empty = member.kind is Kind.FILE and not size_bytes and content_bytes <= end_bytes
        if not length_bytes and not is_empty:
            return head, None, 0, 0, 0, 0, padding
        return head, os.fsencode(packed.path), offset_bytes, length_bytes, size_bytes, member.mtime_ns, padding

    def indexed(self, found: _All | None = None) -> Iterator[IndexedMember]:
        failures = found.failures if found else {}
        crcs = found.crcs if found else itertools.repeat(0)
        places = zip(self.members, itertools.pairwise(self.begins_bytes), crcs, strict=False)
        for index, (packed, (begin_bytes, behind_bytes), crc) in enumerate(places):
            of, error = packed.member, failures.get(index, "")
            content_bytes = behind_bytes - padding_bytes(of.size_bytes) - of.size_bytes
            yield IndexedMember(
                of.name, of.kind, begin_bytes, content_bytes, of.size_bytes, of.mode, of.mtime_ns, of.uid, of.gid,
                of.link, crc, not error, error,
            )  # fmt: skip

    def digest(self) -> bytes:
        """Of all that the archive is made of, but for the files' contents."""
        digest = hashlib.sha256()
        for packed in self.members:
            of = packed.member
            fields = (of.name, of.kind.value, of.size_bytes, of.mode, of.mtime_ns, of.uid, of.gid, of.link)
            digest.update(repr(fields).encode())
        return digest.digest()


def _whole_entry(packed: PackedFile) -> Entry:
    member, size_bytes = packed.member, packed.member.size_bytes
    path = os.fsencode(packed.path) if member.kind is Kind.FILE else None
    return header(member), path, 0, size_bytes, size_bytes, member.mtime_ns, padding_bytes(size_bytes)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The CRC64NVME of so many bytes, as they were read last."""

    length_bytes: int
    crc64nvme: int


@dataclass(frozen=True, slots=True)
class _All:
    """What all members were found to be.

    Attributes:
        crc64nvme: of their bytes in the archive, one after another.
        crcs: of each one's content.
        failures: why, of those that aren't what they were.
    """

    crc64nvme: int
    crcs: Sequence[int]
    failures: dict[int, str]

    def differing(self, other: _All) -> int | None:
        """The first member that is otherwise; or the first of all, if nobody can tell which."""
        if self == other:
            return None
        differing = self.failures.keys() ^ other.failures.keys()
        differing |= {at for at, (crc, was) in enumerate(zip(self.crcs, other.crcs, strict=True)) if crc != was}
        return min(differing, default=0)


class _Found:
    """What bodies have read of the members; called by many threads.

    The last reading of a place counts, but a member that has failed once stays failed: which of two requests of a part
    the store has taken, nobody here knows.
    """

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._crcs = array("Q", bytes(8 * len(layout.members)))
        self._is_known = bytearray(packed.member.kind is not Kind.FILE for packed in layout.members)
        # Of members that lie in several ranges, by where in the member a piece begins.
        self._pieces: dict[int, dict[int, _Reading]] = {}
        # By where in the archive a range begins.
        self._ranges: dict[int, _Reading] = {}
        self._failures: dict[int, str] = {}

    def note(self, begin_bytes: int, reading: _Reading, first: int, entries: list[Entry], pieces: list[Piece]) -> None:
        """All of a range was read. The first of its entries is of the member with the number first."""
        with self._lock:
            self._ranges[begin_bytes] = reading
            for at, crc, failure in pieces:
                index = first + at
                _, _, offset_bytes, length_bytes, size_bytes, _, _ = entries[at]
                if length_bytes == size_bytes:
                    self._crcs[index], self._is_known[index] = crc, True
                    self._pieces.pop(index, None)
                else:
                    self._pieces.setdefault(index, {})[offset_bytes] = _Reading(length_bytes, crc)
                if failure is not None:
                    self._failures.setdefault(index, failure)

    def failures(self) -> dict[int, str]:
        with self._lock:
            return dict(self._failures)

    def all(self) -> _All | list[Part]:
        """What was found; or else what is to be read yet."""
        with self._lock:
            crc, gaps = _joined(self._ranges, self._layout.members_bytes)
            if gaps:
                return gaps
            crcs, is_known = self._crcs[:], self._is_known[:]
            for index, pieces in self._pieces.items():
                joined_crc, missing = _joined(pieces, self._layout.members[index].member.size_bytes)
                if not missing:
                    crcs[index], is_known[index] = joined_crc, True
            # All was read, but of ranges that overlap not every member's pieces make a whole.
            for index in [at for at, known in enumerate(is_known) if not known] if 0 in is_known else []:
                gaps.append(Part(0, self._layout.content_bytes(index), self._layout.members[index].member.size_bytes))
            return gaps or _All(crc, crcs, dict(self._failures))


def _joined(readings: dict[int, _Reading], length_bytes: int) -> tuple[int, list[Part]]:
    """The CRC64NVME of so many bytes, unless there are gaps between the readings of them."""
    crc = at_bytes = 0
    gaps = []
    begins_bytes = sorted(readings)
    while at_bytes < length_bytes:
        if (reading := readings.get(at_bytes)) is not None:
            crc = crc64nvme_combine(crc, reading.crc64nvme, reading.length_bytes)
            at_bytes += reading.length_bytes
        else:
            behind = bisect_right(begins_bytes, at_bytes)
            next_bytes = begins_bytes[behind] if behind < len(begins_bytes) else length_bytes
            gaps.append(Part(0, at_bytes, next_bytes - at_bytes))
            at_bytes = next_bytes
    return crc, gaps
