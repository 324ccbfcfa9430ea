"""Objects that are opened for reading. An object's end is read first: it says what the rest is.

    archive = archives.open(uri)                              one request
    member = archive.file(b"2026/a.fits")                     one for the index
    for data in archive.stream(archive.span(member)): ...     one for each 4 MiB, or all of its frames

Whoever reads all of something is told if it isn't what was written.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import zstandard

from fastput.client.hashing import in_order
from fastput.client.reading.pieces import Piece, pieces
from fastput.codec import ZstdCodec
from fastput.engine.control import persist
from fastput.engine.retry import RetryPolicy
from fastput.errors import DamagedArchive, Interrupted, SourceError, StoreError, UsageError
from fastput.formats.damaged import Damaged
from fastput.formats.index import Index
from fastput.formats.members import IndexedMember
from fastput.formats.tail import ENCODING_METADATA, FACTS_BYTES, INDEX_HEADER_BYTES, Need, Tail, index_frame, load_tail
from fastput.formats.tar import Kind
from fastput.limits import DEFAULT_WINDOW, KIB, MIB
from fastput.model import Checksum, ObjectInfo, ObjectUri, decode_crc, encode_crc
from fastput.native.crc import crc64nvme, crc64nvme_combine
from fastput.store import Store
from fastput.text import printable

_T = TypeVar("_T")
_U = TypeVar("_U")

# The facts, and a table of 32,000 frames.
_TAIL_BYTES = 256 * KIB
_PIECE_BYTES = 4 * MIB
_OBJECT = "object (a prefix ends in a /)"
_MOST_AHEAD_BYTES = 64 * MIB
# Two names of 4 KiB with each byte escaped, and the numbers.
_MOST_LINE_BYTES = 64 * KIB


@dataclass(frozen=True, slots=True)
class Span:
    """A range of an object's content. crc64nvme: of all of it; None: nobody knows."""

    name: str
    offset_bytes: int
    length_bytes: int
    crc64nvme: int | None = None


class Archives:
    """Opens objects of one store. Calls block, and several threads may call at a time.

    Args:
        window: the most requests under way for what is read ahead.
    """

    def __init__(self, store: Store, policy: RetryPolicy | None = None, window: int | None = None) -> None:
        self._store = store
        self._policy = policy or RetryPolicy()
        self._stop = threading.Event()
        self.codec = ZstdCodec()
        self.pool = ThreadPoolExecutor(window or DEFAULT_WINDOW, "fastput-read")

    def open(self, uri: ObjectUri, raw: bool = False) -> Archive:
        """
        Args:
            raw: as it is stored, whatever it holds.

        Raises:
            DamagedArchive: it was one of ours, and isn't what was written.
            StoreError, EndpointError, CredentialsError: it can't be read.
            UsageError: it has no key.
        """
        if not uri.key:
            raise UsageError(f"{uri}: names a bucket: name an object in it")
        if raw:
            info = persist(lambda: self._store.head(uri), self._policy, self._stop)
            if info is None:
                raise no_such(uri, _OBJECT)
            return Archive(self, uri, info, b"", Tail(None, None))
        try:
            end, info = persist(lambda: self._store.read_tail(uri, _TAIL_BYTES), self._policy, self._stop)
        except StoreError as error:
            if error.code == "NoSuchKey":
                raise no_such(uri, _OBJECT) from error
            raise
        try:
            while isinstance(tail := load_tail(end, info.size_bytes), Need):
                first_byte = info.size_bytes - tail.length_bytes
                end = self.read(uri, first_byte, tail.length_bytes - len(end), info.etag) + end
        except Damaged as error:
            raise damaged(uri, error.why, error.offset_bytes) from error
        if tail.facts is None and ENCODING_METADATA in info.metadata:
            raise damaged(uri, "its end, which says what it holds, is lost", info.size_bytes)
        return Archive(self, uri, info, end, tail)

    def read(self, uri: ObjectUri, first_byte: int, length_bytes: int, etag: str) -> bytes:
        """Bytes of an object as they are stored.

        Raises:
            StoreError, EndpointError, CredentialsError: they can't be read, or the object has another ETag.
            Interrupted: cancel() was called.
        """
        self.check_stop()
        last_byte = first_byte + length_bytes - 1
        return persist(lambda: self._store.read(uri, first_byte, last_byte, etag=etag), self._policy, self._stop, True)

    def check_stop(self) -> None:
        """
        Raises:
            Interrupted: cancel() was called.
        """
        if self._stop.is_set():
            raise Interrupted("cancelled: the same command goes on with large files that aren't whole")

    def cancel(self) -> None:
        """Ends what is read now, and what is asked for later."""
        self._stop.set()

    def close(self) -> None:
        """The store stays open."""
        self.cancel()
        self.pool.shutdown(cancel_futures=True)


class Archive:
    """One object, as it was when it was opened: plain, compressed, packed, or both. Threads share it.

    Attributes:
        info: what the store says of it.
        is_ours: it says itself what it holds.
        is_compressed: its content is what its frames hold; otherwise the object is its own content.
        size_bytes: of its content.
    """

    def __init__(self, archives: Archives, uri: ObjectUri, info: ObjectInfo, end: bytes, tail: Tail) -> None:
        self.uri = uri
        self.info = info
        self._archives = archives
        self._end = end
        self._facts = tail.facts
        # Another program's table: of what is named as zstd's it is meant to be decompressed.
        is_meant = tail.facts is not None or uri.key.endswith(ZstdCodec.suffix)
        self._table = tail.table if is_meant else None
        self.is_ours = tail.facts is not None
        self.is_compressed = self._table is not None
        self.size_bytes = info.size_bytes if self._table is None else self._table.content_bytes

    @property
    def is_here(self) -> bool:
        """All of it was read when it was opened."""
        return len(self._end) == self.info.size_bytes

    # ---- content

    def content(self) -> Span:
        """All of it."""
        return Span(str(self.uri), 0, self.size_bytes, self._crc64nvme())

    def span(self, member: IndexedMember) -> Span:
        """What a file of the archive holds."""
        name = f"{self.uri}//{member.name.decode('utf-8', 'surrogateescape')}"
        return Span(name, member.offset_bytes, member.size_bytes, member.crc64nvme)

    def read(self, offset_bytes: int, length_bytes: int) -> bytes:
        """This range of the content, with one request.

        Raises:
            DamagedArchive: a frame isn't what was written.
            StoreError, EndpointError, CredentialsError: it can't be read, or was replaced.
            Interrupted: it was cancelled.
        """
        return b"".join(
            _cut(piece, self.fetch(piece), offset_bytes, length_bytes)
            for piece in pieces(self._table, offset_bytes, length_bytes, max(length_bytes, self.size_bytes))
        )

    def read_around(self, offset_bytes: int, length_bytes: int) -> tuple[int, bytes]:
        """(where it begins, content from there on): about so many bytes, or the one frame at the offset.

        Errors as read().
        """
        piece = next(pieces(self._table, offset_bytes, length_bytes, length_bytes))
        return piece.offset_bytes, self.fetch(piece)

    def stream(self, span: Span) -> Generator[memoryview, None, None]:
        """A range of the content, read and decompressed ahead. Errors as read().

        Raises:
            DamagedArchive: also if all of it has another checksum: then what was given before isn't good.
        """
        crc = 0
        for view in self.ahead(lambda piece: self.fetch_of(span, piece), self.plan(span)):
            crc = crc64nvme(view, crc)
            yield view
        check(span, crc)

    def frame_at(self, offset_bytes: int) -> int:
        """The number of the frame that holds this byte of the content; without frames each byte is one."""
        return offset_bytes if self._table is None else self._table.frames_of(offset_bytes, 1).start

    def plan(self, span: Span) -> Iterator[Piece]:
        """What a range of the content is read by."""
        return pieces(self._table, span.offset_bytes, span.length_bytes, _PIECE_BYTES)

    def fetch_of(self, span: Span, piece: Piece) -> memoryview:
        """What a piece of its plan holds of a range. Errors as read()."""
        return _cut(piece, self.fetch(piece), span.offset_bytes, span.length_bytes)

    def ahead(self, work: Callable[[_T], _U], items: Iterable[_T]) -> Generator[_U, None, None]:
        """What work makes of each item, in order, several at a time; of what was made a bounded number waits."""
        frame_bytes = self._facts.frame_bytes if self._facts is not None else None
        window = max(2, _MOST_AHEAD_BYTES // max(_PIECE_BYTES, frame_bytes or 0))
        return in_order(self._archives.pool, work, items, window)

    def fetch(self, piece: Piece) -> bytes:
        """The content of a piece. Errors as read()."""
        stored = self._stored(piece.stored_offset_bytes, piece.stored_bytes)
        if self._table is None:
            return stored
        view = memoryview(stored)
        return b"".join(self._decoded(number, view, piece.stored_offset_bytes) for number in piece.frames)

    def _decoded(self, number: int, stored: memoryview, begin_bytes: int) -> bytes:
        assert self._table is not None
        frame = self._table.frame(number)
        at_bytes = frame.compressed_offset_bytes - begin_bytes
        data = stored[at_bytes : at_bytes + frame.compressed_bytes]
        try:
            return self._archives.codec.decode(data, frame.content_bytes)
        except Damaged as error:
            why = f"frame {number:,} of {self._table.count:,}: {error.why}"
            raise damaged(self.uri, why, frame.compressed_offset_bytes) from error

    def _stored(self, offset_bytes: int, length_bytes: int) -> bytes:
        at_bytes = offset_bytes - (self.info.size_bytes - len(self._end))
        if at_bytes >= 0:
            return self._end[at_bytes : at_bytes + length_bytes]
        return self._archives.read(self.uri, offset_bytes, length_bytes, self.info.etag)

    def _crc64nvme(self) -> int | None:
        """Of the content."""
        if self._facts is None:
            kept = self.info.checksums.get("crc64nvme") if self.info.is_full_object else None
            return None if kept is None else decode_crc(kept)
        if self.is_compressed:
            return self._facts.content_crc64nvme
        # A plain archive is its own content, with what follows it.
        crc = self._facts.content_crc64nvme
        if (place := self._facts.index) is not None:
            header = index_frame(b"")[: INDEX_HEADER_BYTES - 4] + place.length_bytes.to_bytes(4, "little")
            crc = crc64nvme_combine(crc64nvme(header, crc), place.crc64nvme, place.length_bytes)
        return crc64nvme(self._end[-FACTS_BYTES:], crc)

    # ---- members

    @functools.cached_property
    def index(self) -> Index:
        """
        Raises:
            DamagedArchive: there is none, or it isn't what was written.
        """
        place = self._facts.index if self._facts is not None else None
        if place is None:
            why = "it has no index: it isn't an archive that fastput has packed, or its end is lost"
            raise damaged(self.uri, why, self.info.size_bytes)
        lines = self._stored(place.offset_bytes, place.length_bytes)
        if crc64nvme(lines) != place.crc64nvme:
            raise damaged(self.uri, "the member index isn't what was written", place.offset_bytes)
        try:
            if place.compression:
                stated_bytes = zstandard.get_frame_parameters(lines).content_size
                most_bytes = place.members * _MOST_LINE_BYTES
                lines = self._archives.codec.decode(lines, min(stated_bytes, most_bytes))
        except (Damaged, zstandard.ZstdError) as error:
            raise damaged(self.uri, f"the member index: {error}", place.offset_bytes) from error
        index = Index(lines)
        if index.count != place.members:
            why = f"the member index has {index.count:,} lines instead of {place.members:,}"
            raise damaged(self.uri, why, place.offset_bytes)
        return index

    def find(self, name: bytes) -> IndexedMember | None:
        """
        Raises:
            DamagedArchive: the index isn't what was written.
        """
        try:
            member = self.index.find(name)
        except Damaged as error:
            raise self._bad_index(error) from error
        return None if member is None else self._checked(member)

    def members(self, directory: bytes = b"") -> Iterator[IndexedMember]:
        """Those below a directory, in their order; b"": all. Errors as find()."""
        return self._all(self.index.below(directory))

    def links(self) -> Iterator[IndexedMember]:
        """Of all members. Errors as find()."""
        return self._all(self.index.links())

    def file(self, name: bytes) -> IndexedMember:
        """The file with this name, or the one that it is a hard link to.

        Raises:
            DamagedArchive: the index isn't what was written.
            StoreError: there is no such member.
            UsageError: it is no file.
            SourceError: zeros stand in its place.
        """
        member = self.find(name)
        if member is None:
            raise no_such(self.uri, f"member {_shown(name)!r}")
        if member.kind is Kind.HARDLINK:
            named, member = member, self.find(member.link)
            if member is None or member.kind is not Kind.FILE:
                raise damaged(self.uri, f"{_shown(name)!r} is a link to {_shown(named.link)!r}, which is no file")
        if member.kind is Kind.SYMLINK:
            raise UsageError(f"{self.uri}//{_shown(name)}: is a link to {_shown(member.link)!r}: name that")
        if member.kind is Kind.DIRECTORY:
            raise UsageError(f"{self.uri}//{_shown(name)}: is a directory: name a file below it")
        self.check_ok(member)
        return member

    def check_ok(self, member: IndexedMember) -> None:
        """
        Raises:
            SourceError: zeros stand in its place.
        """
        if not member.is_ok:
            raise SourceError(
                f"{self.uri}//{_shown(member.name)}: zeros stand in its place: the file was gone, had changed or "
                "couldn't be read when the archive was made; the .jsonl beside the archive says why"
            )

    def _all(self, members: Iterator[IndexedMember]) -> Iterator[IndexedMember]:
        try:
            yield from map(self._checked, members)
        except Damaged as error:
            raise self._bad_index(error) from error

    def _checked(self, member: IndexedMember) -> IndexedMember:
        if member.offset_bytes + member.size_bytes > self.size_bytes:
            raise damaged(self.uri, f"the member index has {_shown(member.name)!r} behind the end of the archive")
        return member

    def _bad_index(self, error: Damaged) -> DamagedArchive:
        return damaged(self.uri, f"the member index: {error.why}")


def _cut(piece: Piece, data: bytes, offset_bytes: int, length_bytes: int) -> memoryview:
    """What of a piece's content is in a range."""
    begin_bytes = max(offset_bytes - piece.offset_bytes, 0)
    return memoryview(data)[begin_bytes : max(offset_bytes + length_bytes - piece.offset_bytes, 0)]


def check(span: Span, crc: int) -> None:
    """
    Raises:
        DamagedArchive: all of it has another checksum than this.
    """
    if span.crc64nvme is not None and span.crc64nvme != crc:
        found, expected = (encode_crc(each, Checksum.CRC64NVME) for each in (crc, span.crc64nvme))
        raise DamagedArchive(
            f"{printable(span.name)}: its content (bytes {span.offset_bytes:,} to "
            f"{span.offset_bytes + span.length_bytes:,}) isn't what was written: its crc64nvme is {found} instead of "
            f"{expected}: put it again from its source, or take another copy"
        )


def damaged(uri: ObjectUri, why: str, offset_bytes: int | None = None) -> DamagedArchive:
    """The error for an object that isn't what was written."""
    place = "" if offset_bytes is None else f" (at byte {offset_bytes:,} of the object)"
    text = f"{uri}: {why}{place}: put it again from its source, or take another copy"
    return DamagedArchive(text, bucket=uri.bucket, key=uri.key)


def no_such(uri: ObjectUri, what: str) -> StoreError:
    """The error for what isn't there."""
    text = f"{uri}: there is no such {what}"
    return StoreError(text, bucket=uri.bucket, key=uri.key, status=404, code="NoSuchKey")


def _shown(name: bytes) -> str:
    return printable(name.decode("utf-8", "surrogateescape"))
