"""What an object ends with: the index of an archive, the facts of the whole, the seek table of its frames. Pure.

    frame ... frame | index frame | facts frame | seek table      compressed; an index in archives only
    tar, plain      | index frame | facts frame                   an archive that isn't compressed

docs/decisions/0015-seekable-zstd.md has the bytes.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastput.formats.damaged import Damaged
from fastput.formats.seekable import (
    SKIPPABLE_HEADER,
    TABLE_MAGIC,
    Frame,
    SeekTable,
    load_table,
    table_bytes,
    table_length,
)
from fastput.model import Checksum, encode_crc
from fastput.native.crc import crc64nvme

ENCODING_METADATA = "fastput-encoding"
"""Its object metadata: how it was made."""

_INDEX_MAGIC = 0x184D2A56
INDEX_HEADER_BYTES = SKIPPABLE_HEADER.size

# The end of a plain archive has its place before anything of it is read, so no number in the facts may change their
# length: spaces fill the JSON up. The longest numbers leave 150 bytes of it free.
FACTS_BYTES = 512
_FACTS_MAGIC = b"fastput\x01"
# Behind the JSON: its CRC, its length, the magic.
_FACTS_END = struct.Struct("<8sI8s")
_JSON_BYTES = FACTS_BYTES - SKIPPABLE_HEADER.size - _FACTS_END.size
_FACTS_HEADER = SKIPPABLE_HEADER.pack(0x184D2A57, FACTS_BYTES - SKIPPABLE_HEADER.size)
_VERSION = 1


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where in the object the payload of the index frame is, and its CRC. compression: "" or "zstd"."""

    offset_bytes: int
    length_bytes: int
    crc64nvme: int
    members: int
    compression: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the object says of itself.

    Attributes:
        content_bytes, content_crc64nvme: of what the frames hold; of a plain archive, of all before its index frame.
        frame_bytes: how much content a frame was to hold; None: there are none.
        table_crc64nvme: of the whole seek table frame; None: there is none.
    """

    content_bytes: int
    content_crc64nvme: int
    frame_bytes: int | None = None
    index: IndexPlace | None = None
    table_crc64nvme: int | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """What was found. Without facts, the table is another program's; without either, the object is a plain one."""

    facts: Facts | None
    table: SeekTable | None


@dataclass(frozen=True, slots=True)
class Need:
    """So many bytes of the object's end are needed to read its tail."""

    length_bytes: int


def index_frame(payload: bytes) -> bytes:
    """The index, as readers of frames pass over it; below 4 GiB."""
    return SKIPPABLE_HEADER.pack(_INDEX_MAGIC, len(payload)) + payload


def facts_frame(facts: Facts) -> bytes:
    """The facts, in FACTS_BYTES bytes."""
    document: dict[str, Any] = {
        "version": _VERSION,
        "content_bytes": facts.content_bytes,
        "content_crc64nvme": _crc_text(facts.content_crc64nvme),
    }
    if facts.frame_bytes is not None:
        document["frame_bytes"] = facts.frame_bytes
    if facts.table_crc64nvme is not None:
        document["table_crc64nvme"] = _crc_text(facts.table_crc64nvme)
    if facts.index is not None:
        document["index"] = {
            "offset_bytes": facts.index.offset_bytes,
            "length_bytes": facts.index.length_bytes,
            "crc64nvme": _crc_text(facts.index.crc64nvme),
            "members": facts.index.members,
            "compression": facts.index.compression,
        }
    text = json.dumps(document, separators=(",", ":")).encode().ljust(_JSON_BYTES)
    if len(text) > _JSON_BYTES:
        raise ValueError(f"facts of {len(text):,} bytes; {_JSON_BYTES:,} are kept for them")
    return _FACTS_HEADER + text + _FACTS_END.pack(crc64nvme(text).to_bytes(8, "big"), len(text), _FACTS_MAGIC)


def tail_bytes(facts: Facts, frames: Sequence[Frame] | None, index_payload: bytes | None, offset_bytes: int) -> bytes:
    """What follows the frames of an object, or a plain archive.

    Args:
        facts: with an index if there is a payload; where that is, and the CRC of the table, are filled in here.
        offset_bytes: where in the object this begins.
    """
    if (facts.index is None) != (index_payload is None):
        raise ValueError("an index and what the facts say of it go together")
    index = table = b""
    if facts.index is not None and index_payload is not None:
        index = index_frame(index_payload)
        place = replace(facts.index, offset_bytes=offset_bytes + INDEX_HEADER_BYTES, length_bytes=len(index_payload))
        facts = replace(facts, index=place)
    if frames is not None:
        table = table_bytes(frames)
        facts = replace(facts, table_crc64nvme=crc64nvme(table))
    return index + facts_frame(facts) + table


def load_tail(tail: bytes, object_bytes: int) -> Tail | Need:
    """Reads the end of an object of object_bytes bytes.

    An object whose end was lost, so that nothing of the above is left in these bytes, looks like a plain one.

    Raises:
        Damaged: it was one of ours, or has a seek table, and isn't what was written. The place is in the object.
    """
    begin_bytes = object_bytes - len(tail)
    try:
        return _load_tail(tail, object_bytes)
    except Damaged as error:
        if error.offset_bytes is None:
            raise
        raise Damaged(error.why, begin_bytes + error.offset_bytes) from None


def _load_tail(tail: bytes, object_bytes: int) -> Tail | Need:
    """Places count from the beginning of tail."""
    table_frame_bytes = table_length(tail) or 0
    if table_frame_bytes > object_bytes:
        raise Damaged("the seek table is longer than the object", len(tail))
    needed_bytes = min(table_frame_bytes + FACTS_BYTES, object_bytes)
    if table_frame_bytes > len(tail):
        # One wrong bit in the number of frames shouldn't have gigabytes read.
        _check_for_remains(tail)
    if needed_bytes > len(tail):
        return Need(needed_bytes)
    table_at = len(tail) - table_frame_bytes
    try:
        table = load_table(tail[table_at:]) if table_frame_bytes else None
    except Damaged as error:
        raise Damaged(error.why, table_at) from None
    if tail.endswith(_FACTS_MAGIC, 0, table_at):
        facts = _load_facts(tail, table_at)
        _check(facts, table, tail[table_at:], object_bytes, table_at)
        return Tail(facts, table)
    if table is None:
        _check_for_remains(tail)
    elif table.compressed_bytes + table_frame_bytes != object_bytes:
        raise Damaged("the seek table is of an object of another length", table_at)
    return Tail(None, table)


def _check(facts: Facts, table: SeekTable | None, table_frame: bytes, object_bytes: int, table_at: int) -> None:
    """What the facts, the table and the length of the object say of one another."""
    if facts.table_crc64nvme != (None if table is None else crc64nvme(table_frame)):
        raise Damaged("the seek table isn't the one that the facts were written with", table_at)
    if table is not None and table.content_bytes != facts.content_bytes:
        raise Damaged("the seek table and the facts differ in the length of the content", table_at)
    body_bytes = facts.content_bytes if table is None else table.compressed_bytes
    index_frame_bytes = 0 if facts.index is None else INDEX_HEADER_BYTES + facts.index.length_bytes
    if body_bytes + index_frame_bytes + FACTS_BYTES + len(table_frame) != object_bytes:
        raise Damaged("the facts are of an object of another length", table_at - FACTS_BYTES)
    if facts.index is not None and facts.index.offset_bytes != body_bytes + INDEX_HEADER_BYTES:
        raise Damaged("the index isn't where the facts say", table_at - FACTS_BYTES)


def _check_for_remains(tail: bytes) -> None:
    """Raises if the tail ends within a facts frame, or within or with the seek table behind one.

    What ends otherwise is an object that holds such bytes, as an archive of compressed files does, and is a plain one.
    """
    for mark, rest_bytes in ((_FACTS_MAGIC, len(_FACTS_MAGIC)), (_FACTS_HEADER, FACTS_BYTES)):
        found_at = tail.rfind(mark)
        if found_at == -1:
            continue
        table_at = found_at + rest_bytes
        if table_at >= len(tail):
            raise Damaged("the object ends within its facts", found_at)
        header = tail[table_at : table_at + SKIPPABLE_HEADER.size]
        if len(header) < SKIPPABLE_HEADER.size:
            raise Damaged("the object ends within its seek table", table_at)
        magic, length_bytes = SKIPPABLE_HEADER.unpack(header)
        if magic == TABLE_MAGIC and table_at + SKIPPABLE_HEADER.size + length_bytes >= len(tail):
            raise Damaged("the object ends within its seek table, or the table is damaged", table_at)


def _load_facts(tail: bytes, end: int) -> Facts:
    begin = end - FACTS_BYTES
    if begin < 0:
        raise Damaged("the object is shorter than its facts", 0)
    frame = tail[begin:end]
    crc, json_bytes, _ = _FACTS_END.unpack_from(frame, FACTS_BYTES - _FACTS_END.size)
    text = frame[SKIPPABLE_HEADER.size : SKIPPABLE_HEADER.size + _JSON_BYTES]
    if (
        not frame.startswith(_FACTS_HEADER)
        or json_bytes != _JSON_BYTES
        or crc64nvme(text) != int.from_bytes(crc, "big")
    ):
        raise Damaged("the facts aren't what was written", begin)
    try:
        return _facts_of(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged(f"the facts can't be read: {error!r}", begin) from None


def _facts_of(document: Any) -> Facts:
    if _number(document["version"]) != _VERSION:
        raise ValueError(f"version {document['version']}: a newer fastput reads it")
    frame_bytes, table, index = (document.get(name) for name in ("frame_bytes", "table_crc64nvme", "index"))
    place = None
    if index is not None:
        compression = index["compression"]
        if compression not in ("", "zstd"):
            raise ValueError(f"an index compressed with {compression!r}")
        place = IndexPlace(
            offset_bytes=_number(index["offset_bytes"]),
            length_bytes=_number(index["length_bytes"]),
            crc64nvme=_crc(index["crc64nvme"]),
            members=_number(index["members"]),
            compression=compression,
        )
    return Facts(
        content_bytes=_number(document["content_bytes"]),
        content_crc64nvme=_crc(document["content_crc64nvme"]),
        frame_bytes=None if frame_bytes is None else _number(frame_bytes),
        index=place,
        table_crc64nvme=None if table is None else _crc(table),
    )


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number of anything")
    return value


def _crc_text(crc: int) -> str:
    return encode_crc(crc, Checksum.CRC64NVME)


def _crc(text: Any) -> int:
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 8:
        raise ValueError(f"{text!r} is no CRC64NVME")
    return int.from_bytes(raw, "big")
