"""What stands in a journal, and whether it can be believed.

SQLite's own checksums cover its write-ahead log, not its database. So every row carries a seal: a CRC64NVME of all its
values, begun with that of the upload that it belongs to. A row that was changed, or is left from another upload, shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from fastput.limits import AMAZON_S3
from fastput.model import ConfirmedPart, SourceStat
from fastput.native.crc import crc64nvme

MAX_TEXT_CHARS = 1024
MAX_CRC = 2**64 - 1
# A file's size is an off_t everywhere; SQLite's integers are as wide.
MAX_INT = 2**63 - 1
NO_ENTRY = "it holds parts of no upload"

Row = Sequence[Any]


class Damaged(Exception):
    """What was read isn't what a journal holds; the message says in a few words why."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Which upload a journal is about. source is an absolute path; created_at counts seconds from the Unix epoch.

    attributes stands for what the object was to carry: metadata, tags and the like can't be changed once it is begun.
    """

    endpoint: str
    bucket: str
    key: str
    source: str
    source_stat: SourceStat
    upload_id: str
    part_bytes: int
    checksum: str
    carriage: str
    attributes: str
    created_at: float

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def dump(value: object) -> str:
    """Canonical JSON in ASCII: surrogates, which stand for bytes of a path that isn't UTF-8, are escaped."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def seal(values: object, upload: int = 0) -> int:
    """A checksum over JSON values, begun with the upload's."""
    return crc64nvme(dump(values).encode(), upload)


def blob(value: int) -> bytes:
    """Eight bytes: SQLite's integers are signed, these aren't."""
    return value.to_bytes(8, "big")


def dump_entry(entry: JournalEntry) -> str:
    return dump(asdict(entry))


def load_entry(text: str) -> JournalEntry:
    """The inverse of dump_entry.

    Raises:
        Damaged: any field is missing, of another type or out of range.
    """
    try:
        document = json.loads(text)
        stat = SourceStat(**document.pop("source_stat"))
        entry = JournalEntry(source_stat=stat, **document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Damaged("what it says about the upload can't be read") from error
    check_entry(entry)
    return entry


def check_entry(entry: JournalEntry) -> None:
    """
    Raises:
        Damaged: a field is of another type or out of range.
    """
    stat = entry.source_stat
    texts = [entry.endpoint, entry.bucket, entry.key, entry.source, entry.upload_id, entry.checksum]
    _expect(all(isinstance(text, str) and text for text in texts), "a text of the upload is missing")
    _expect(isinstance(entry.carriage, str) and isinstance(entry.attributes, str), "a text of the upload is none")
    numbers = [getattr(stat, field.name) for field in fields(stat)]
    _expect(all(type(number) is int for number in numbers), "the source's state is no state")
    _expect(0 < stat.size_bytes <= MAX_INT, "the source's size is no size")
    _expect(type(entry.part_bytes) is int and 0 < entry.part_bytes <= MAX_INT, "the part size is no size")
    _expect(type(entry.created_at) in (int, float) and 0 <= entry.created_at < MAX_INT, "its time is no time")


def dump_part(part: ConfirmedPart, upload: int) -> Row:
    """A row of the table of parts."""
    values = (part.number, part.offset_bytes, part.length_bytes, part.etag, part.crc64nvme, part.checksum)
    sealed = crc64nvme(part.note, seal(values, upload))
    return (*values[:4], blob(part.crc64nvme), part.checksum, part.note, blob(sealed))


def load_parts(rows: Iterable[Row], upload: int, size_bytes: int) -> tuple[ConfirmedPart, ...]:
    """The inverse of dump_part, for rows in order of their number.

    Raises:
        Damaged: a row isn't one that was written for this upload, or the parts can't be those of one file.
    """
    parts: list[ConfirmedPart] = []
    for number, offset_bytes, length_bytes, etag, crc, checksum, note, sealed in rows:
        _expect(isinstance(crc, bytes) and len(crc) == 8, "a part's CRC is none")
        _expect(isinstance(note, bytes), "a part's note is none")
        part = ConfirmedPart(number, offset_bytes, length_bytes, etag, int.from_bytes(crc, "big"), checksum, note)
        check_part(part, size_bytes)
        _expect(dump_part(part, upload)[-1] == sealed, "a part isn't what was noted")
        parts.append(part)
    check_order(parts)
    return tuple(parts)


def check_part(part: ConfirmedPart, size_bytes: int) -> None:
    """
    Raises:
        Damaged: it can't be a part of an object of this size.
    """
    numbers = (part.number, part.offset_bytes, part.length_bytes, part.crc64nvme)
    _expect(all(type(number) is int for number in numbers), "a part's number is none")
    _expect(1 <= part.number <= AMAZON_S3.max_parts, "a part's number is out of range")
    _expect(part.offset_bytes >= 0 and part.length_bytes > 0, "a part is nowhere")
    # With a note it isn't bytes of the source but was made of them.
    is_inside = bool(part.note) or part.offset_bytes + part.length_bytes <= size_bytes
    _expect(is_inside, "a part is behind the end of the source")
    _expect(0 <= part.crc64nvme <= MAX_CRC, "a part's CRC is none")
    _expect(_is_text(part.etag), "a part's ETag is none")
    _expect(part.checksum is None or _is_text(part.checksum), "a part's checksum is none")


def check_order(parts: Iterable[ConfirmedPart]) -> None:
    """
    Raises:
        Damaged: parts overlap, or aren't in the order of their numbers.
    """
    for before, after in pairwise(parts):
        is_behind = before.number < after.number and before.offset_bytes + before.length_bytes <= after.offset_bytes
        _expect(is_behind, "its parts overlap")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and value.isascii() and value.isprintable()


def _expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise Damaged(otherwise)
