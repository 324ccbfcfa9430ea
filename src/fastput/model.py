"""The nouns of a transfer: plain values without behaviour that acts."""

from __future__ import annotations

import base64
import binascii
import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastput.errors import UsageError
from fastput.limits import (
    MAX_BUCKET_CHARS,
    MAX_KEY_BYTES,
    MAX_TAGS,
    MAX_USER_METADATA_BYTES,
    MIN_BUCKET_CHARS,
)


class Checksum(enum.Enum):
    """What protects a body on its way. A CRC64NVME goes into the receipt whatever is chosen here."""

    CRC64NVME = "crc64nvme"
    CRC32C = "crc32c"
    MD5 = "md5"
    NONE = "none"

    @property
    def header(self) -> str | None:
        """The request header (or trailer) that carries it."""
        if self is Checksum.NONE:
            return None
        return "content-md5" if self is Checksum.MD5 else f"x-amz-checksum-{self.value}"

    @property
    def is_crc(self) -> bool:
        """A CRC of parts combines into the object's, and the store can keep it."""
        return self in (Checksum.CRC64NVME, Checksum.CRC32C)


def encode_crc(value: int, checksum: Checksum) -> str:
    """Base64 of the big-endian CRC, as S3 writes it in headers: 12 characters for CRC64NVME, 8 for CRC32C."""
    width_bytes = 8 if checksum is Checksum.CRC64NVME else 4
    return binascii.b2a_base64(value.to_bytes(width_bytes, "big"), newline=False).decode()


def decode_crc(text: str) -> int:
    """The inverse of encode_crc."""
    return int.from_bytes(base64.b64decode(text), "big")


@dataclass(frozen=True, slots=True)
class ObjectUri:
    """s3://bucket/key"""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> ObjectUri:
        """Splits "s3://bucket/key"; the key is taken as it stands and may be empty or end in "/".

        Raises:
            UsageError: not an s3:// URI, or without a bucket.
        """
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() != "s3":
            raise UsageError(f"{text!r} is not an S3 URI; write s3://bucket/key")
        bucket, _, key = rest.partition("/")
        if bucket.startswith("arn:"):
            # arn:aws:s3:region:account:accesspoint/name/key: the access point's name is part of the "bucket".
            name, _, key = key.partition("/")
            return cls(f"{bucket}/{name}", key)
        if not MIN_BUCKET_CHARS <= len(bucket) <= MAX_BUCKET_CHARS or any(c.isspace() for c in bucket):
            raise UsageError(f"{text!r} names no bucket; write s3://bucket/key")
        return cls(bucket, key)

    def with_key(self, key: str) -> ObjectUri:
        """The same bucket, another key, checked.

        Raises:
            UsageError: an empty key, or one above 1,024 bytes of UTF-8, or one that isn't UTF-8.
        """
        try:
            length_bytes = len(key.encode())
        except UnicodeEncodeError:
            raise UsageError(f"the key {key!a} is not UTF-8; S3 keys are: give a key of your own") from None
        if not key:
            raise UsageError(f"s3://{self.bucket}/ needs a key")
        if length_bytes > MAX_KEY_BYTES:
            raise UsageError(
                f"the key {key[:40]!r}... is {length_bytes:,} bytes long; S3 takes {MAX_KEY_BYTES:,}: shorten it",
                bucket=self.bucket,
            )
        return ObjectUri(self.bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the requests for one bucket go.

    path_prefix is "" for virtual-hosted addressing and "/bucket" for path style.
    """

    scheme: str
    host: str
    port: int
    path_prefix: str
    region: str

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The Host header: the port only where it isn't the scheme's own; IPv6 addresses in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a path: whom the requests go to, for people and as a name to remember it by."""
        return f"{self.scheme}://{self.authority}"


class Credentials(Protocol):
    """Frozen credentials, as botocore hands them out."""

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    @property
    def token(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How the store's certificate is checked. ca_bundle is a PEM file's path; None is the system's store."""

    ca_bundle: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What the user wants the object to carry."""

    content_type: str | None = None
    storage_class: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    content_encoding: str | None = None

    def check(self) -> None:
        """Checks what every store would refuse.

        Raises:
            UsageError: metadata above 2 KiB, values that no header can carry, more than 10 tags.
        """
        for name, value in self.metadata.items():
            if not _TOKEN.fullmatch(name):
                raise UsageError(f"the metadata name {name!a} can't stand in an HTTP header")
            _check_value(f"the metadata value of {name!r}", value)
        size_bytes = sum(len(name) + len(value) for name, value in self.metadata.items())
        if size_bytes > MAX_USER_METADATA_BYTES:
            raise UsageError(f"the metadata is {size_bytes:,} bytes long; S3 takes {MAX_USER_METADATA_BYTES:,}")
        _check_value("the content type", self.content_type or "")
        _check_value("the storage class", self.storage_class or "")
        if len(self.tags) > MAX_TAGS:
            raise UsageError(f"{len(self.tags)} tags; S3 takes {MAX_TAGS} on an object")
        for text in (*self.tags.keys(), *self.tags.values()):
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise UsageError(f"the tag {text!a} is not UTF-8")


# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _check_value(what: str, value: str) -> None:
    if not value.isascii() or not (value.isprintable() or not value):
        raise UsageError(f"{what} must be printable ASCII: encode it first")


@dataclass(frozen=True, slots=True)
class SourceStat:
    """What identifies a file's state. Times count from the Unix epoch; ctime_ns can't be set back by whoever writes."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int = 0


@dataclass(frozen=True, slots=True)
class ConfirmedFile:
    """A file of a tree, as it was when it was read, and the ETag of the object that the store has made of it.

    path: below the root, as it stands in the key.
    """

    path: bytes
    stat: SourceStat
    etag: str
    crc64nvme: int


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [offset, offset + length) of the source under a part number from 1."""

    number: int
    offset_bytes: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class ConfirmedPart:
    """A part that the store has answered 200 for."""

    number: int
    offset_bytes: int
    length_bytes: int
    etag: str
    crc64nvme: int
    checksum: str | None
    """The checksum that went with it, as it stood in the request."""
    note: bytes = b""
    """What its source wants to hear of it when a later run goes on behind it."""


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part that the store lists. checksums: e.g. {"crc64nvme": base64}, empty where it keeps none."""

    number: int
    size_bytes: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """A multipart upload that was begun and neither completed nor aborted.

    begun_at counts from the Unix epoch; 0: the store doesn't say. checksum and checksum_type are what it was begun
    with, e.g. CRC64NVME and FULL_OBJECT; empty where the store doesn't say, or there was none.
    """

    uri: ObjectUri
    upload_id: str
    begun_at: float
    checksum: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing has it. modified_at counts from the Unix epoch; 0: the store doesn't say."""

    key: str
    size_bytes: int
    etag: str
    modified_at: float


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Some of the objects under a prefix; prefixes: what was asked to be named only; token: of the next page.

    is_sorted: False: from a store that is known to list in another order than that of the bytes of its keys.
    """

    objects: Sequence[ListedObject]
    prefixes: Sequence[str]
    token: str | None
    is_sorted: bool = True


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object.

    checksums is e.g. {"crc64nvme": base64}; is_full_object: of the whole object, not of its parts' checksums;
    is_composite: the store says that they are of its parts' checksums. is_etag_opaque: encryption makes the ETag
    something else than an MD5. modified_at counts from the Unix epoch. metadata: the user's, names in lower case.
    """

    size_bytes: int
    etag: str
    version_id: str | None
    modified_at: float
    checksums: Mapping[str, str] = field(default_factory=dict)
    is_full_object: bool = False
    is_composite: bool = False
    is_etag_opaque: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """One object's state, handed to progress callbacks. size_bytes is None while the length is unknown."""

    uri: str
    sent_bytes: int
    size_bytes: int | None
    parts_confirmed: int
    parts_in_flight: int


@dataclass(frozen=True, slots=True)
class Content:
    """What was read, where the object isn't that itself but was made of it.

    Attributes:
        encoding: what it was made into, e.g. "zstd-seekable".
        crc64nvme: of the content, base64 as in a receipt.
        frames: that can be read each by itself.
        frame_bytes: of content in each, at most.
    """

    encoding: str
    size_bytes: int
    crc64nvme: str
    frames: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of one object: what was read, what the store confirmed.

    crc64nvme is base64 of the big-endian CRC64NVME over the whole object, as S3 shows it in
    x-amz-checksum-crc64nvme. started_at and ended_at are seconds since the Unix epoch.
    """

    source: str
    bucket: str
    key: str
    version_id: str | None
    etag: str
    size_bytes: int
    crc64nvme: str
    checksum: str
    """Which checksum the store was given to check: crc64nvme, crc32c, md5 or none."""
    is_checked: bool
    """The store was seen to refuse wrong ones of this checksum, or fastput compared what the store says it has."""
    is_kept: bool
    """The store keeps a checksum of the whole object that agrees: it can be verified without a download."""
    parts: tuple[ConfirmedPart, ...]
    source_stat: SourceStat | None
    upload_id: str | None
    started_at: float
    ended_at: float
    resent_bytes: int
    resumed_bytes: int = 0
    """Bytes that an earlier run had sent."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Further digests of the whole object that were asked for, in hexadecimal, e.g. {"sha256": "e3b0..."}."""
    content: Content | None = None
    """What was read, where that isn't the object itself; size_bytes and crc64nvme above are the object's."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at

    @property
    def protection(self) -> str:
        """What protects the object, in words."""
        if self.checksum == Checksum.NONE.value:
            return "sizes and ETags compared" if self.is_checked else "not checked by the store"
        checked = f"{'checked by' if self.is_checked else 'sent with an unchecked'} {self.checksum}"
        return f"{checked}, kept with it" if self.is_kept else checked

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; a part's CRC in base64."""
        # A million of them are written: dataclasses.asdict takes 60 us each, most of it to copy numbers and texts.
        parts = [_shallow(part) | {"crc64nvme": encode_crc(part.crc64nvme, Checksum.CRC64NVME)} for part in self.parts]
        for part in parts:
            del part["note"]
        source_stat = None if self.source_stat is None else _shallow(self.source_stat)
        content = None if self.content is None else _shallow(self.content)
        made = {"parts": parts, "source_stat": source_stat, "digests": dict(self.digests), "content": content}
        return _shallow(self) | made

    def to_json(self) -> str:
        """One line, without a newline."""
        return json.dumps(self.to_dict())


def _shallow(value: Any) -> dict[str, Any]:
    """Of a dataclass with slots."""
    return {name: getattr(value, name) for name in value.__slots__}
