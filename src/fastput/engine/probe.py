"""Finds out what an endpoint takes, with a handful of tiny requests; nothing of them is left behind.

A multipart upload is begun under the object's own key, gets parts of some bytes with right and with wrong checksums,
and is aborted: no object ever exists. A wrong checksum that is taken means that the store doesn't look at it. What
only CompleteMultipartUpload could tell (If-None-Match, MpuObjectSize) would leave an object where it isn't honoured:
that is learned in use (docs/decisions/0006-what-a-store-takes.md).
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

from fastput.answers import is_retryable, parse_answer, to_error, unreachable
from fastput.engine.control import persist
from fastput.engine.request import part_request
from fastput.engine.resume import is_md5
from fastput.engine.retry import RetryPolicy
from fastput.errors import CredentialsError, FastputError, NoSuchBucket, StoreError, UploadGone
from fastput.limits import AMAZON_S3
from fastput.model import Checksum, Endpoint, ObjectAttributes, ObjectUri, encode_crc
from fastput.native.crc import crc32c, crc64nvme
from fastput.native.slicer import MemoryBody, PartBody
from fastput.profile import Carriage, Protection, StoreProfile
from fastput.store import Store
from fastput.transport import Failure, Response, Transport

# Longer than a line of base64, shorter than a packet.
_DATA = b"fastput asks what this store takes. " * 4
_ANSWER_WITHIN_S = 20.0
# What stores stop at that don't take Amazon's 10,000.
_FEWER_PARTS = 1_000


class Probe:
    """One probing of one endpoint. Blocks; for a control thread."""

    def __init__(
        self,
        store: Store,
        endpoint: Endpoint,
        transport: Transport,
        uri: ObjectUri,
        policy: RetryPolicy,
        stop: threading.Event,
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._transport = transport
        self._uri = uri
        self._policy = policy
        self._stop = stop
        self._upload_id = ""
        self._number = 0
        self.left: list[str] = []  # uploads that the store didn't let us abort

    def run(self) -> StoreProfile:
        """Asks everything.

        Raises:
            FastputError: the bucket or the credentials are wrong, or there is no way to the store.
        """
        taken: list[Protection] = []
        max_parts = AMAZON_S3.max_parts
        for checksum in (Checksum.CRC64NVME, Checksum.CRC32C):
            found = self._in_upload(checksum, lambda checksum=checksum: self._ways(checksum))  # type: ignore[misc]
            taken += found or []
            if any(way.is_checked for way in taken):
                break  # the next is no better

        def plain() -> list[Protection]:
            nonlocal max_parts
            question = _Question(Checksum.NONE, None, is_right=True)
            if not self._is_taken(question, AMAZON_S3.max_parts):
                max_parts = _FEWER_PARTS
                if not taken:  # does it refuse the questions, or us?
                    self._number = number = self._number + 1
                    persist(lambda: self._send(question, number), self._policy, self._stop, has_answered=True)
            return self._way(Checksum.MD5, Carriage.HEADER)

        taken += self._in_upload(Checksum.NONE, plain) or []
        # Stable: among equals the order in which they were asked.
        taken.sort(key=lambda way: not way.is_checked)
        return StoreProfile(tuple(taken), max_parts)

    def _in_upload(self, checksum: Checksum, ask: Callable[[], list[Protection]]) -> list[Protection] | None:
        """Asks within a multipart upload; None: the store doesn't take one with this checksum."""
        try:
            self._upload_id = persist(
                lambda: self._store.create(self._uri, ObjectAttributes(), checksum), self._policy, self._stop
            )
        except StoreError as error:
            is_refusal = error.status in (400, 501) and not isinstance(error, NoSuchBucket)
            if checksum is Checksum.NONE or not is_refusal:
                raise
            return None
        try:
            return ask()
        finally:
            try:
                persist(lambda: self._store.abort(self._uri, self._upload_id), self._policy, self._stop)
            except FastputError:
                self.left.append(self._upload_id)

    def _ways(self, checksum: Checksum) -> list[Protection]:
        found: list[Protection] = []
        for carriage in (Carriage.BARE_TRAILER, Carriage.TRAILER, Carriage.HEADER):
            found += self._way(checksum, carriage)
            if found and found[-1].is_checked:
                break
        return found

    def _way(self, checksum: Checksum, carriage: Carriage) -> list[Protection]:
        if not self._is_taken(_Question(checksum, carriage, is_right=True)):
            return []
        is_checked = not self._is_taken(_Question(checksum, carriage, is_right=False))
        return [Protection(checksum, carriage, is_checked)]

    def _is_taken(self, question: _Question, number: int | None = None) -> bool:
        if number is None:
            # Each a part of its own: rclone takes no other bytes for one that it has.
            self._number = number = self._number + 1
        try:
            response = persist(lambda: self._send(question, number), self._policy, self._stop)
        except StoreError as error:
            if not _is_refusal(error.status) or isinstance(error, UploadGone):
                raise  # it is ill, or somebody ended the upload: that says nothing of what it takes
            return False
        return not question.is_framed or self._is_unframed(question, response, number)

    def _is_unframed(self, question: _Question, response: Response, number: int) -> bool:
        """Whether the store took the framing off; one that doesn't know of it keeps it as data."""
        etag = response.headers.get("etag", "").strip('"').lower()
        if etag == hashlib.md5(_DATA, usedforsecurity=False).hexdigest():
            return True
        if is_md5(etag) and etag == hashlib.md5(question.framed(), usedforsecurity=False).hexdigest():
            return False
        try:
            sizes = [part.size_bytes for part in self._store.list_parts(self._uri, self._upload_id)
                     if part.number == number]  # fmt: skip
        except FastputError:
            return True  # it can't say; the object's size is looked at in the end
        return not sizes or len(_DATA) in sizes

    def _send(self, question: _Question, number: int) -> Response:
        """One part's answer, a success.

        Raises:
            FastputError: refused, or no answer.
        """
        uri, endpoint, action = self._uri, self._endpoint, "ask what it takes"
        answered: Future[Response] = Future()
        request = part_request(
            endpoint, uri, self._upload_id, number, question.headers(), question.body(), question.carriage
        )
        ticket = self._transport.send(request, answered.set_result)
        try:
            response = answered.result(_ANSWER_WITHIN_S)
        except FutureTimeoutError:
            ticket.cancel()
            response = Response(failure=Failure.TIMEOUT, reason="it takes too long")
        if response.failure is Failure.CREDENTIALS:
            raise CredentialsError(f"{uri}: no credentials: {response.reason}")
        if response.failure is not None:
            url = f"{endpoint.scheme}://{endpoint.authority}"
            raise unreachable(uri, url, response.reason, response.failure is Failure.TLS)
        if 200 <= response.status < 300:
            return response
        answer = parse_answer(response.status, response.headers, response.body)
        error = to_error(answer, uri, action)
        # A wrong checksum that is refused is an answer; a right one may have been hurt on its way.
        error.is_temporary = is_retryable(answer) and (question.is_right or not _is_refusal(answer.status))
        raise error


def _is_refusal(status: int | None) -> bool:
    return status == 501 or (status is not None and 400 <= status < 500 and status not in (408, 429))


@dataclass(frozen=True, slots=True)
class _Question:
    """A tiny part with a right or a wrong checksum."""

    checksum: Checksum
    carriage: Carriage | None
    is_right: bool

    @property
    def is_framed(self) -> bool:
        return self.carriage in (Carriage.TRAILER, Carriage.BARE_TRAILER)

    def headers(self) -> tuple[tuple[str, str], ...]:
        if self.carriage is not Carriage.HEADER or self.checksum.header is None:
            return ()
        data = _DATA if self.is_right else _DATA[::-1]
        if self.checksum is Checksum.MD5:
            value = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        else:
            value = encode_crc((crc64nvme if self.checksum is Checksum.CRC64NVME else crc32c)(data), self.checksum)
        return ((self.checksum.header, value),)

    def framed(self) -> bytes:
        """The body as it goes over the wire."""
        body = MemoryBody(_DATA, self.checksum.value if self.is_framed else None).read()
        # The data bent after its checksum was taken.
        return body if self.is_right or not self.is_framed else body.replace(_DATA, _DATA[::-1])

    def body(self) -> PartBody:
        return _Bytes(self.framed(), len(_DATA), self.checksum.value if self.is_framed else None)  # type: ignore[return-value]


class _Bytes:
    """A body that is ready: what a transport asks of a PartBody."""

    failure = None

    def __init__(self, body: bytes, length_bytes: int, trailer: str | None) -> None:
        self._left = memoryview(body)
        self.body_bytes = len(body)
        self.length_bytes = self.read_bytes = length_bytes
        self.trailer = trailer

    def readinto(self, buffer: bytearray | memoryview) -> int:
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def read(self, size: int = -1) -> bytes:
        buffer = bytearray(len(self._left) if size < 0 else min(size, len(self._left)))
        return bytes(buffer[: self.readinto(buffer)])
