"""What the scripted server keeps, and the checks of S3 on it. No sockets, no faults.

Written after the API reference and not after fastput: ETags are MD5s, checksums are the awscrt package's, and a
CompleteMultipartUpload hashes the whole object once more instead of combining anything.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from awscrt import checksums

MIN_PART_BYTES = 5 << 20
MAX_PARTS = 10_000
KEPT_HEADERS = ("content-type", "x-amz-storage-class", "x-amz-tagging")

Bytes = bytes | bytearray | memoryview


def _crc(value: int, width_bytes: int) -> bytes:
    return value.to_bytes(width_bytes, "big")


HASHES = {
    "crc64nvme": lambda data: _crc(checksums.crc64nvme(data), 8),
    "crc32c": lambda data: _crc(checksums.crc32c(data), 4),
    "crc32": lambda data: _crc(zlib.crc32(data), 4),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum_of(name: str, data: Bytes) -> str:
    """As it stands in x-amz-checksum-NAME."""
    return base64.b64encode(HASHES[name](data)).decode()


class Refused(Exception):
    """An error answer of S3."""

    def __init__(self, status: int, code: str, message: str = "", **headers: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Content:
    """A body as the store keeps it, checked against whatever came with it."""

    data: bytes
    etag: str
    checksum: tuple[str, str] | None
    """Algorithm and value, if the client gave one."""

    @classmethod
    def check(cls, data: Bytes, headers: Mapping[str, str]) -> Content:
        """
        Raises:
            Refused: a checksum of the headers (or trailers) isn't the data's.
        """
        digest = hashlib.md5(data, usedforsecurity=False)
        if (given := headers.get("content-md5")) is not None and given != base64.b64encode(digest.digest()).decode():
            raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        found = None
        for name in HASHES:
            if (value := headers.get(f"x-amz-checksum-{name}")) is None:
                continue
            found = (name, value)
            if checksum_of(name, data) != value:
                raise Refused(400, "BadDigest", f"The {name.upper()} you specified did not match what we received.")
        return cls(bytes(data), digest.hexdigest(), found)


@dataclass(frozen=True, slots=True)
class StoredObject:
    data: bytes
    etag: str
    checksum: tuple[str, str]
    headers: Mapping[str, str]
    modified_at: float
    parts: int


@dataclass(slots=True)
class Upload:
    bucket: str
    key: str
    upload_id: str
    algorithm: str | None
    headers: Mapping[str, str]
    begun_at: float
    parts: dict[int, Content] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part as CompleteMultipartUpload names it."""

    number: int
    etag: str
    checksums: Mapping[str, str]


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-amz-meta-") or name in KEPT_HEADERS}


class MemoryS3:
    """Objects and uploads. Every bucket exists. Hashing happens outside the lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str], StoredObject] = {}
        self._uploads: dict[str, Upload] = {}

    # ---- objects

    def put(self, bucket: str, key: str, content: Content, headers: Mapping[str, str]) -> StoredObject:
        checksum = content.checksum or ("crc64nvme", checksum_of("crc64nvme", content.data))
        stored = StoredObject(content.data, content.etag, checksum, _kept(headers), time.time(), 0)
        with self._lock:
            self._check_absent(bucket, key, headers)
            self._objects[bucket, key] = stored
        return stored

    def get(self, bucket: str, key: str) -> StoredObject:
        with self._lock:
            found = self._objects.get((bucket, key))
        if found is None:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        return found

    def delete(self, bucket: str, key: str) -> None:
        with self._lock:
            self._objects.pop((bucket, key), None)

    # ---- multipart uploads

    def create(self, bucket: str, key: str, headers: Mapping[str, str]) -> Upload:
        algorithm = headers.get("x-amz-checksum-algorithm", "").lower() or None
        if algorithm is not None and algorithm not in HASHES:
            raise Refused(400, "InvalidRequest", f"There is no checksum {algorithm}.")
        if algorithm == "crc64nvme" and headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
            raise Refused(400, "InvalidRequest", "CRC64NVME is of full objects.")
        upload = Upload(bucket, key, secrets.token_urlsafe(24), algorithm, _kept(headers), time.time())
        with self._lock:
            self._uploads[upload.upload_id] = upload
        return upload

    def add_part(self, bucket: str, key: str, upload_id: str, number: int, content: Content) -> None:
        if not 1 <= number <= MAX_PARTS:
            raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive.")
        with self._lock:
            upload = self._find(bucket, key, upload_id)
            if upload.algorithm and content.checksum and content.checksum[0] != upload.algorithm:
                raise Refused(400, "InvalidRequest", "Checksum Type mismatch occurred.")
            upload.parts[number] = content

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """A copy, as it is now."""
        with self._lock:
            found = self._find(bucket, key, upload_id)
            return Upload(bucket, key, upload_id, found.algorithm, found.headers, found.begun_at, dict(found.parts))

    def uploads(self, bucket: str) -> list[Upload]:
        """In the order of ListMultipartUploads."""
        with self._lock:
            found = [upload for upload in self._uploads.values() if upload.bucket == bucket]
        return sorted(found, key=lambda upload: (upload.key, upload.begun_at))

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        with self._lock:
            self._find(bucket, key, upload_id)
            del self._uploads[upload_id]

    def complete(
        self, bucket: str, key: str, upload_id: str, listed: Sequence[ListedPart], headers: Mapping[str, str]
    ) -> StoredObject:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
        upload = self.upload(bucket, key, upload_id)
        contents = _check_parts(upload, listed)
        data = b"".join(content.data for content in contents)
        if (size := headers.get("x-amz-mp-object-size")) is not None and int(size) != len(data):
            raise Refused(400, "InvalidRequest", f"The object has {len(data)} bytes and not {size}.")
        algorithm = upload.algorithm or "crc64nvme"
        value = checksum_of(algorithm, data)
        for name in HASHES:
            given = headers.get(f"x-amz-checksum-{name}")
            if given is not None and given != checksum_of(name, data):
                raise Refused(400, "BadDigest", f"The {name.upper()} you specified did not match the object's.")
        md5s = b"".join(bytes.fromhex(content.etag) for content in contents)
        etag = f"{hashlib.md5(md5s, usedforsecurity=False).hexdigest()}-{len(contents)}"
        stored = StoredObject(data, etag, (algorithm, value), upload.headers, time.time(), len(contents))
        with self._lock:
            # Two at a time: the later one finds no upload, as on Amazon S3.
            self._find(bucket, key, upload_id)
            self._check_absent(bucket, key, headers)
            self._objects[bucket, key] = stored
            del self._uploads[upload_id]
        return stored

    def corrupt(self, upload_id: str, number: int) -> None:
        """Flips a bit of a part that was taken: what a failing disk of the store does."""
        with self._lock:
            upload = self._uploads[upload_id]
            content = upload.parts[number]
            data = bytes([content.data[0] ^ 1]) + content.data[1:]
            upload.parts[number] = Content(data, content.etag, content.checksum)

    def _find(self, bucket: str, key: str, upload_id: str) -> Upload:
        found = self._uploads.get(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        return found

    def _check_absent(self, bucket: str, key: str, headers: Mapping[str, str]) -> None:
        if headers.get("if-none-match") == "*" and (bucket, key) in self._objects:
            raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")


def _check_parts(upload: Upload, listed: Sequence[ListedPart]) -> list[Content]:
    if not listed:
        raise Refused(400, "MalformedXML", "You must specify at least one part.")
    numbers = [part.number for part in listed]
    if numbers != sorted(set(numbers)):
        raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    contents: list[Content] = []
    for part in listed:
        content = upload.parts.get(part.number)
        given = dict([content.checksum]) if content and content.checksum else {}
        if content is None or part.etag.strip('"') != content.etag:
            raise Refused(400, "InvalidPart", f"Part {part.number} is missing, or another one.")
        if any(given.get(name, value) != value for name, value in part.checksums.items()):
            raise Refused(400, "InvalidPart", f"The checksum of part {part.number} is another one.")
        if len(content.data) < MIN_PART_BYTES and part is not listed[-1]:
            raise Refused(400, "EntityTooSmall", f"Part {part.number} is below the minimum.")
        contents.append(content)
    return contents
