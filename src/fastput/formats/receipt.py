"""Files of receipts, as `fastput put --receipt` and `fastput put --json` write them: one JSON object a line."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastput.errors import UsageError
from fastput.limits import MIB
from fastput.model import ObjectUri

# A receipt of 10,000 parts takes 2 MiB. What is longer is some other file, and isn't read into memory.
_MAX_LINE_BYTES = 16 * MIB
_HEX_DIGITS = {"crc32": 8, "md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What a receipt says of an object.

    Attributes:
        part_bytes: the sizes of its parts, in order; empty where the receipt has none.
        part_checksums: what went with each, in base64; as many as part_bytes.
        digests: hexadecimal, by name.
    """

    source: str
    uri: ObjectUri
    version_id: str | None
    etag: str
    size_bytes: int
    crc64nvme: int
    checksum: str
    part_bytes: tuple[int, ...]
    part_checksums: tuple[str | None, ...]
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the file, from 1, and where it begins; error: why it is no receipt."""

    line: int
    offset_bytes: int
    error: UsageError | None = None


def parse_line(line: bytes) -> Shipped | None:
    """The receipt in a line; None for an empty one and for other events of `put --json`.

    Raises:
        ValueError: it is damaged, or something else; says how.
    """
    if not line.strip():
        return None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    if document.get("event", "sent") != "sent":
        return None
    size_bytes = _number(document, "size_bytes")
    parts = document.get("parts") or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValueError("'parts' is not a list of objects")
    part_bytes = tuple(_number(part, "length_bytes") for part in parts)
    if parts and sum(part_bytes) != size_bytes:
        raise ValueError(f"its parts have {sum(part_bytes):,} bytes, the object {size_bytes:,}")
    return Shipped(
        source=_text(document, "source", default=""),
        uri=_uri(document),
        version_id=_text(document, "version_id", default="") or None,
        etag=_text(document, "etag"),
        size_bytes=size_bytes,
        crc64nvme=_checksum(_text(document, "crc64nvme"), "crc64nvme", 8),
        checksum=_text(document, "checksum", default=""),
        part_bytes=part_bytes,
        part_checksums=tuple(_part_checksum(document, part) for part in parts),
        digests=_digests(document),
    )


def _text(document: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = document.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is not a text" if name in document else f"it has no {name!r}")
    return value


def _number(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name!r} is not a number of bytes" if name in document else f"it has no {name!r}")
    return value


def _uri(document: Mapping[str, Any]) -> ObjectUri:
    bucket, key = _text(document, "bucket"), _text(document, "key")
    try:
        uri = ObjectUri.parse(f"s3://{bucket}/{key}")
        uri.with_key(uri.key)
    except UsageError as error:
        raise ValueError(error.message) from None
    if (uri.bucket, uri.key) != (bucket, key):
        raise ValueError(f"{bucket!a} is not the name of a bucket")
    return uri


def _checksum(text: str, name: str, length_bytes: int) -> int:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != length_bytes:
        raise ValueError(f"{text[:40]!a} is not a {name} in base64")
    return int.from_bytes(value, "big")


def _part_checksum(document: Mapping[str, Any], part: Mapping[str, Any]) -> str | None:
    value = _text(part, "checksum", default="") or None
    if value is not None and document.get("checksum") == "crc32c":
        _checksum(value, "crc32c", 4)
    return value


def _digests(document: Mapping[str, Any]) -> dict[str, str]:
    digests = document.get("digests") or {}
    if not isinstance(digests, dict):
        raise ValueError("'digests' is not an object")
    for name, digits in _HEX_DIGITS.items():
        value = digests.get(name, "0" * digits)
        if not isinstance(value, str) or len(value) != digits or value.strip("0123456789abcdef"):
            raise ValueError(f"{value!a:.80} is not a {name} in hexadecimal")
    return {name: digests[name] for name in _HEX_DIGITS if name in digests}


class Receipts:
    """A file of receipts. Of those of one key the last counts. Only places of lines are kept in memory.

    Not for several threads at a time.

    Raises:
        UsageError: from the constructor: it can't be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            self._places, self._damaged = self._look()
        except OSError as error:
            self._file.close()
            raise self._unreadable(error) from None

    def _unreadable(self, error: OSError) -> UsageError:
        return UsageError(f"the receipts {self._path} can't be read: {error.strerror}")

    @property
    def places(self) -> list[Place]:
        """The receipts that count, and the damaged lines, in the order of their lines."""
        return sorted([*self._places.values(), *self._damaged], key=lambda place: place.line)

    def at(self, place: Place) -> Shipped:
        """The receipt of a place without an error.

        Raises:
            UsageError: the file isn't what it was.
        """
        self._file.seek(place.offset_bytes)
        try:
            shipped = parse_line(self._file.readline(_MAX_LINE_BYTES))
        except ValueError as error:
            raise self._error(place.line, str(error)) from None
        if shipped is None:
            raise self._error(place.line, "it was a receipt before")
        return shipped

    def find(self, uri: ObjectUri) -> Shipped | None:
        """The receipt of an object."""
        place = self._places.get((uri.bucket, uri.key))
        return self.at(place) if place is not None else None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _look(self) -> tuple[dict[tuple[str, str], Place], list[Place]]:
        places: dict[tuple[str, str], Place] = {}
        damaged: list[Place] = []
        for number, offset_bytes, line in self._lines():
            try:
                if len(line) > _MAX_LINE_BYTES:
                    raise ValueError(f"longer than {_MAX_LINE_BYTES:,} bytes")
                shipped = parse_line(line)
            except ValueError as error:
                damaged.append(Place(number, offset_bytes, self._error(number, str(error))))
            else:
                if shipped is not None:
                    places[shipped.uri.bucket, shipped.uri.key] = Place(number, offset_bytes)
        return places, damaged

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """(number from 1, offset, line); of one that is too long only the beginning."""
        number = offset_bytes = 0
        while line := self._file.readline(_MAX_LINE_BYTES + 1):
            number += 1
            yield number, offset_bytes, line
            offset_bytes += len(line)
            while len(line) > _MAX_LINE_BYTES and not line.endswith(b"\n"):
                line = self._file.readline(_MAX_LINE_BYTES + 1)
                offset_bytes += len(line)

    def _error(self, line: int, why: str) -> UsageError:
        return UsageError(f"{self._path}, line {line}: not a receipt: {why}")
