"""A store that keeps its objects in a dict and checks what S3 checks. Ships for tests, and needs no network.

Its receive() is the other end of fastput.transport.memory.MemoryTransport.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from fastput.answers import StoreAnswer, to_error, was_replaced
from fastput.errors import FastputError
from fastput.model import (
    Checksum,
    ConfirmedPart,
    Credentials,
    Endpoint,
    ListedObject,
    ListedPart,
    ListedUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectPage,
    ObjectUri,
    TlsOptions,
    encode_crc,
)
from fastput.native.crc import crc32c, crc64nvme
from fastput.store.base import Completed

_PAGE_KEYS = 1000


@dataclass(frozen=True, slots=True)
class MemoryCredentials:
    access_key: str = "memory"
    secret_key: str = "memory"
    token: str | None = None


@dataclass
class _Upload:
    uri: ObjectUri
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryStore:
    """One process's S3. objects maps "s3://bucket/key" to bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, _Upload] = {}
        self._etags: dict[str, str] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()  # guards objects and uploads

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        return Endpoint("http", "memory", 80, f"/{uri.bucket}", "us-east-1")

    def credentials(self) -> Credentials:
        return MemoryCredentials()

    def renew_credentials(self) -> None:
        pass

    def tls(self) -> TlsOptions:
        return TlsOptions()

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        with self._lock:
            upload_id = f"upload-{next(self._ids)}"
            self.uploads[upload_id] = _Upload(uri)
            return upload_id

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int | None,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        with self._lock:
            upload = self.uploads.get(upload_id)
            if upload is None:
                raise to_error(StoreAnswer(404, "NoSuchUpload"), uri, "complete")
            if any(_etag(upload.parts.get(part.number, b"")) != part.etag for part in parts):
                raise to_error(StoreAnswer(400, "InvalidPart"), uri, "complete")
            content = b"".join(upload.parts[part.number] for part in parts)
            crcs = {Checksum.CRC64NVME: crc64nvme, Checksum.CRC32C: crc32c}
            if checksum in crcs and encode_crc(crcs[checksum](content), checksum) != checksum_value:
                raise to_error(StoreAnswer(400, "BadDigest"), uri, "complete")
            if size_bytes is not None and len(content) != size_bytes:
                raise to_error(StoreAnswer(400, "InvalidRequest", "wrong MpuObjectSize"), uri, "complete")
            if no_clobber and str(uri) in self.objects:
                raise to_error(StoreAnswer(412, "PreconditionFailed"), uri, "complete")
            digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
            self.objects[str(uri)] = content
            self._etags[str(uri)] = etag = f'{_etag(digests)[:-1]}-{len(parts)}"'
            del self.uploads[upload_id]
            kept = {"crc64nvme": encode_crc(crc64nvme(content), Checksum.CRC64NVME)}
            return Completed(etag, version_id=None, checksums=kept)

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        with self._lock:
            self.uploads.pop(upload_id, None)

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        content = self.objects.get(str(uri))
        if content is None:
            return None
        kept = {"crc64nvme": encode_crc(crc64nvme(content), Checksum.CRC64NVME)}
        return ObjectInfo(len(content), self._etags[str(uri)], None, 0.0, kept, is_full_object=True)

    def part_bytes(self, uri: ObjectUri, number: int, version_id: str | None = None) -> int | None:
        return None

    def object_parts(self, uri: ObjectUri, version_id: str | None = None) -> Sequence[ListedPart]:
        return ()

    def read(
        self, uri: ObjectUri, first_byte: int, last_byte: int, version_id: str | None = None, etag: str = ""
    ) -> bytes:
        content = self.objects.get(str(uri))
        if etag and self._etags.get(str(uri), etag) != etag:
            raise was_replaced(uri)
        if content is None or not 0 <= first_byte <= last_byte < len(content):
            status, code = (404, "NoSuchKey") if content is None else (416, "InvalidRange")
            raise to_error(StoreAnswer(status, code), uri, f"read bytes {first_byte} to {last_byte}")
        return content[first_byte : last_byte + 1]

    def read_tail(self, uri: ObjectUri, length_bytes: int) -> tuple[bytes, ObjectInfo]:
        info = self.head(uri)
        if info is None:
            raise to_error(StoreAnswer(404, "NoSuchKey"), uri, f"read the last {length_bytes} bytes")
        return self.objects[str(uri)][-length_bytes:], info

    def list_objects(self, prefix: ObjectUri, token: str | None = None, names_only: bool = False) -> ObjectPage:
        begin = f"s3://{prefix.bucket}/"
        with self._lock:
            keys = sorted((name.removeprefix(begin) for name in self.objects if name.startswith(begin)), key=str.encode)
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        last = ""
        for key in keys:
            if not key.startswith(prefix.key) or (token is not None and key.encode() <= token.encode()):
                continue
            if len(objects) + len(prefixes) == _PAGE_KEYS:
                return ObjectPage(objects, prefixes, token=last)
            name, slash, _ = key[len(prefix.key) :].partition("/")
            if names_only and slash:
                last = prefix.key + name + "/\U0010ffff"  # behind all that begins with name + "/"
                if prefixes[-1:] != [prefix.key + name + "/"]:
                    prefixes.append(prefix.key + name + "/")
            else:
                last = key
                uri = begin + key
                objects.append(ListedObject(key, len(self.objects[uri]), self._etags[uri], 0.0))
        return ObjectPage(objects, prefixes, None)

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> Mapping[str, FastputError]:
        with self._lock:
            for key in keys:
                self.objects.pop(f"s3://{bucket}/{key}", None)
        return {}

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        with self._lock:
            upload = self.uploads.get(upload_id)
            if upload is None:
                raise to_error(StoreAnswer(404, "NoSuchUpload"), uri, "list the parts of the upload")
            parts = sorted(upload.parts.items())
        for number, content in parts:
            kept = {"crc64nvme": encode_crc(crc64nvme(content), Checksum.CRC64NVME)}
            yield ListedPart(number, len(content), _etag(content), kept)

    def list_uploads(self, prefix: ObjectUri) -> Iterator[ListedUpload]:
        with self._lock:
            uploads = sorted(self.uploads.items())
        for upload_id, upload in uploads:
            if upload.uri.bucket == prefix.bucket and upload.uri.key.startswith(prefix.key):
                yield ListedUpload(upload.uri, upload_id, 0.0)

    def close(self) -> None:
        pass

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """A PutObject or an UploadPart: (status, headers, body) of the answer."""
        try:
            parts = urlsplit(path)
            query = parse_qs(parts.query)
            number = int(query["partNumber"][0]) if "uploadId" in query else 0
        except (ValueError, KeyError):
            return 400, {}, b"<Error><Code>InvalidRequest</Code></Error>"
        bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
        uri = ObjectUri(bucket, key)
        content = _decode(body) if "x-amz-trailer" in headers else body
        if content is None or not _md5_agrees(headers, content):
            return 400, {}, b"<Error><Code>BadDigest</Code></Error>"
        with self._lock:
            if "uploadId" in query:
                upload = self.uploads.get(query["uploadId"][0])
                if upload is None:
                    return 404, {}, b"<Error><Code>NoSuchUpload</Code></Error>"
                upload.parts[number] = content
            elif headers.get("if-none-match") == "*" and str(uri) in self.objects:
                return 412, {}, b"<Error><Code>PreconditionFailed</Code></Error>"
            else:
                self.objects[str(uri)] = content
                self._etags[str(uri)] = _etag(content)
        return 200, {"etag": _etag(content)}, b""


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _md5_agrees(headers: dict[str, str], content: bytes) -> bool:
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    return headers.get("content-md5", md5) == md5


def _decode(body: bytes) -> bytes | None:
    """The data of an aws-chunked body with a checksum in its trailer; None if anything of it doesn't agree."""
    pieces, rest = [], body
    try:
        while True:
            length, _, rest = rest.partition(b"\r\n")
            # int() takes signs, spaces and underscores too.
            size_bytes = int(length, 16) if length.isalnum() else -1
            if size_bytes == 0:
                break
            if size_bytes < 0 or rest[size_bytes : size_bytes + 2] != b"\r\n":
                return None
            pieces.append(rest[:size_bytes])
            rest = rest[size_bytes + 2 :]
        name, _, value = rest.decode().removesuffix("\r\n\r\n").partition(":")
        checksum = Checksum(name.removeprefix("x-amz-checksum-"))
    except ValueError:
        return None
    content = b"".join(pieces)
    crc = crc64nvme(content) if checksum is Checksum.CRC64NVME else crc32c(content)
    return content if encode_crc(crc, checksum) == value else None
