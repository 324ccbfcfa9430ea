"""Stores of all kinds, in memory: what they take, and how they refuse the rest."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from fastput.answers import StoreAnswer, to_error
from fastput.model import Checksum, ConfirmedPart, ListedPart, ObjectAttributes, ObjectUri
from fastput.profile import Carriage, Protection
from fastput.store import Completed
from fastput.store.memory import MemoryStore
from tests.support.content import crc32c_base64, crc64nvme_base64, decode_aws_chunked

CRCS: dict[Checksum, Callable[[bytes], str]] = {Checksum.CRC64NVME: crc64nvme_base64, Checksum.CRC32C: crc32c_base64}
EVERY = frozenset({Checksum.CRC64NVME, Checksum.CRC32C, Checksum.MD5})

Answer = tuple[int, dict[str, str], bytes]


def refusal(status: int, code: str) -> Answer:
    return status, {}, f"<Error><Code>{code}</Code></Error>".encode()


class Kind(MemoryStore):
    """A store of one's choosing.

    Args:
        checks: the checksums that it looks at.
        trailers: what it does with an aws-chunked body; "encoded": takes it off where Content-Encoding names it, and
            keeps it as data elsewhere.
        creates: the checksums that Create takes.
        is_opaque: its ETags are no MD5s.
        lists: ListParts works.
        replaces: a part that is there may be sent again with other bytes.
    """

    def __init__(
        self,
        checks: Iterable[Checksum] = EVERY,
        trailers: str = "decoded",
        creates: Iterable[Checksum] = tuple(Checksum),
        max_parts: int = 10_000,
        is_opaque: bool = False,
        lists: bool = True,
        replaces: bool = True,
        aborts: bool = True,
    ) -> None:
        super().__init__()
        self.checks, self.trailers, self.creates, self.max_parts = set(checks), trailers, set(creates), max_parts
        self.is_opaque, self.lists, self.replaces, self.aborts = is_opaque, lists, replaces, aborts
        self.is_forgetful = False  # a wrong Content-MD5 costs the upload
        self.created = 0
        self.received = 0
        self.ill: Iterator[Answer | None] = itertools.repeat(None)  # what it answers instead
        self.ill_at_first: Answer | None = None  # what it answers to the first two requests of each part
        self.asked: Counter[str] = Counter()

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        self.created += 1
        if checksum not in self.creates and checksum is not Checksum.MD5:  # which Create knows nothing of
            raise to_error(StoreAnswer(400, "InvalidRequest"), uri, "create a multipart upload")
        return super().create(uri, attributes, checksum)

    def complete(self, uri: ObjectUri, upload_id: str, parts: Sequence[ConfirmedPart], *args: Any) -> Completed:
        if self.is_opaque:
            held = self.uploads[upload_id].parts
            parts = [replace(part, etag=f'"{hashlib.md5(held[part.number]).hexdigest()}"') for part in parts]
        return super().complete(uri, upload_id, parts, *args)

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        if not self.aborts:
            raise to_error(StoreAnswer(403, "AccessDenied"), uri, "abort the multipart upload")
        super().abort(uri, upload_id)

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        if not self.lists:
            raise to_error(StoreAnswer(403, "AccessDenied"), uri, "list")
        return super().list_parts(uri, upload_id)

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.received += 1
        self.asked[path] += 1
        if self.ill_at_first is not None and self.asked[path] <= 2:
            return self.ill_at_first
        if (refused := next(self.ill)) is not None:
            return refused
        assert "uploadId=" in path, "only parts are asked about: a PutObject would make an object"
        upload_id = path.partition("uploadId=")[2]
        number = int(path.partition("partNumber=")[2].partition("&")[0])
        if upload_id not in self.uploads:
            return refusal(404, "NoSuchUpload")
        if number > self.max_parts:
            return refusal(400, "InvalidArgument")
        data, values = body, {name: value for name, value in headers.items() if name.startswith("x-amz-checksum-")}
        if "x-amz-trailer" in headers:
            is_named = "content-encoding" in headers
            if self.trailers == "refused":
                return refusal(400, "InvalidRequest")
            if self.trailers == "decoded" or (self.trailers == "encoded" and is_named):
                framed = decode_aws_chunked(body)
                data, values = framed.data, dict(framed.trailers)
        for checksum, right in CRCS.items():
            name = f"x-amz-checksum-{checksum.value}"
            if checksum in self.checks and values.get(name, right(data)) != right(data):
                return refusal(400, "BadDigest")
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        if Checksum.MD5 in self.checks and headers.get("content-md5", md5) != md5:
            if self.is_forgetful:
                del self.uploads[upload_id]
            return refusal(400, "BadDigest")
        if not self.replaces and self.uploads[upload_id].parts.get(number, data) != data:
            return refusal(400, "InvalidRequest")
        status, answer_headers, answer = super().receive(path, {}, data)
        if self.is_opaque:
            answer_headers = {"etag": f'"opaque-{self.received}"'}
        return status, answer_headers, answer


def way(checksum: Checksum, carriage: Carriage, is_checked: bool = True) -> Protection:
    return Protection(checksum, carriage, is_checked)


NVME, C32, MD5 = Checksum.CRC64NVME, Checksum.CRC32C, Checksum.MD5
BARE, TRAILER, HEADER = Carriage.BARE_TRAILER, Carriage.TRAILER, Carriage.HEADER

STORES: dict[str, tuple[Callable[[], Kind], list[Protection]]] = {
    "checks everything": (Kind, [way(NVME, BARE), way(MD5, HEADER)]),
    "looks at nothing": (
        lambda: Kind(checks=()),
        [way(NVME, BARE, False), way(NVME, TRAILER, False), way(NVME, HEADER, False),
         way(C32, BARE, False), way(C32, TRAILER, False), way(C32, HEADER, False), way(MD5, HEADER, False)],
    ),
    "refuses trailers": (lambda: Kind(trailers="refused"), [way(NVME, HEADER), way(MD5, HEADER)]),
    "refuses trailers, looks at MD5 only": (
        lambda: Kind(trailers="refused", checks={MD5}),
        [way(MD5, HEADER), way(NVME, HEADER, False), way(C32, HEADER, False)],
    ),
    "looks at CRC32C only": (
        lambda: Kind(checks={C32}),
        [way(C32, BARE), way(NVME, BARE, False), way(NVME, TRAILER, False), way(NVME, HEADER, False),
         way(MD5, HEADER, False)],
    ),
    "wants the encoding named": (lambda: Kind(trailers="encoded"), [way(NVME, TRAILER), way(MD5, HEADER)]),
    "keeps the framing as data": (lambda: Kind(trailers="kept"), [way(NVME, HEADER), way(MD5, HEADER)]),
    "keeps the framing as data, and the ETag is the only sign": (
        lambda: Kind(trailers="kept", lists=False), [way(NVME, HEADER), way(MD5, HEADER)],
    ),
    "keeps the framing as data, and the size is the only sign": (
        lambda: Kind(trailers="kept", is_opaque=True), [way(NVME, HEADER), way(MD5, HEADER)],
    ),
    "keeps the framing as data where it isn't named, with opaque ETags": (
        lambda: Kind(trailers="encoded", is_opaque=True), [way(NVME, TRAILER), way(MD5, HEADER)],
    ),
    "takes no other bytes for a part that it has": (
        lambda: Kind(checks=(), replaces=False),
        [way(NVME, BARE, False), way(NVME, TRAILER, False), way(NVME, HEADER, False),
         way(C32, BARE, False), way(C32, TRAILER, False), way(C32, HEADER, False), way(MD5, HEADER, False)],
    ),
    "refuses CRC64NVME at Create": (lambda: Kind(creates={C32, Checksum.NONE}), [way(C32, BARE), way(MD5, HEADER)]),
    "refuses both CRCs at Create": (lambda: Kind(creates={Checksum.NONE}), [way(MD5, HEADER)]),
}  # fmt: skip
