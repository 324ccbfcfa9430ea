"""Finds out what an endpoint takes, with a handful of tiny requests; nothing of them is left behind.

A multipart upload is begun under the object's own key, gets parts of some bytes with right and with wrong checksums,
and is aborted: no object ever exists. A wrong checksum that is taken means that the store doesn't look at it. What
only CompleteMultipartUpload could tell (If-None-Match, MpuObjectSize) would leave an object where it isn't honoured:
that is learned in use (docs/decisions/0006-what-a-store-takes.md).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TypeVar

from fastput.answers import is_retryable, parse_answer, to_error, unreachable
from fastput.engine.control import at_once, persist
from fastput.engine.request import part_request
from fastput.engine.resume import is_md5
from fastput.engine.retry import RetryPolicy
from fastput.errors import CredentialsError, FastputError, Interrupted, NoSuchBucket, StoreError, UploadGone
from fastput.limits import AMAZON_S3
from fastput.model import Checksum, Endpoint, ObjectAttributes, ObjectUri, encode_crc
from fastput.native.crc import crc32c, crc64nvme
from fastput.native.slicer import MemoryBody, PartBody
from fastput.profile import Carriage, Protection, StoreProfile
from fastput.store import Store
from fastput.transport import Failure, Response, Transport

_T = TypeVar("_T")

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
        self.left: list[str] = []  # uploads that were begun, and aren't known to be aborted

    def run(self) -> StoreProfile:
        """Asks everything, as much as possible at once: one after another it took 10 s on a link of 300 ms.

        Raises:
            FastputError: the bucket or the credentials are wrong, or there is no way to the store.
        """
        checksums = (Checksum.CRC64NVME, Checksum.CRC32C, Checksum.NONE)
        with_crc64nvme, with_crc32c, plain = at_once(*(functools.partial(self._begin, each) for each in checksums))
        crc64nvme, crc32c, (is_long, md5) = at_once(
            lambda: self._ways(Checksum.CRC64NVME, with_crc64nvme),
            lambda: self._ways(Checksum.CRC32C, with_crc32c),
            lambda: self._plain(plain),
        )
        taken = _as_needed(crc64nvme)
        if not any(way.is_checked for way in taken):  # else the next is no better
            taken += _as_needed(crc32c)
        if not is_long and not taken:  # does it refuse the questions, or us?
            question = _Question(Checksum.NONE, None, True)
            self._ask(lambda: self._send(question, plain, 3), has_answered=True)
        taken += md5
        # Stable: among equals the order in which they were asked.
        taken.sort(key=lambda way: not way.is_checked)
        return StoreProfile(tuple(taken), AMAZON_S3.max_parts if is_long else _FEWER_PARTS)

    def clean_up(self) -> None:
        """Aborts what run() has begun, and tries again after the end was asked for, too: who waits has a limit."""
        never = threading.Event()

        def abort(upload_id: str) -> None:
            with contextlib.suppress(FastputError):
                persist(lambda: self._store.abort(self._uri, upload_id), self._policy, never)
                self.left.remove(upload_id)

        at_once(*(functools.partial(abort, upload_id) for upload_id in self.left))

    def _ask(self, work: Callable[[], _T], has_answered: bool = False) -> _T:
        """persist(), unless the end was asked for: nothing more is begun then."""
        if self._stop.is_set():
            raise Interrupted(f"{self._uri}: interrupted while the store was asked what it takes")
        return persist(work, self._policy, self._stop, has_answered)

    def _begin(self, checksum: Checksum) -> str | None:
        """A multipart upload; None: the store doesn't take one with this checksum."""
        try:
            upload_id = self._ask(lambda: self._store.create(self._uri, ObjectAttributes(), checksum))
        except StoreError as error:
            is_refusal = error.status in (400, 501) and not isinstance(error, NoSuchBucket)
            if checksum is Checksum.NONE or not is_refusal:
                raise
            return None
        self.left.append(upload_id)
        return upload_id

    def _ways(self, checksum: Checksum, upload_id: str | None) -> list[Protection]:
        """All that are taken."""
        if upload_id is None:
            return []
        ways = [(checksum, carriage) for carriage in (Carriage.BARE_TRAILER, Carriage.TRAILER, Carriage.HEADER)]
        taken = self._taken(upload_id, [_Question(*way, True) for way in ways], 1)
        found = [way for way, is_taken in zip(ways, taken, strict=True) if is_taken]
        unchecked = self._taken(upload_id, [_Question(*way, False) for way in found], 1 + len(ways))
        return [Protection(*way, not is_taken) for way, is_taken in zip(found, unchecked, strict=True)]

    def _plain(self, upload_id: str) -> tuple[bool, list[Protection]]:
        """Whether it takes Amazon's highest part number, and Content-MD5."""
        plain = _Question(Checksum.NONE, None, True)
        is_long, [is_taken] = at_once(
            lambda: self._is_taken(plain, upload_id, AMAZON_S3.max_parts),
            lambda: self._taken(upload_id, [_Question(Checksum.MD5, Carriage.HEADER, True)], 1),
        )
        if not is_taken:
            return is_long, []
        # A wrong one costs rclone's uploads: last.
        is_checked = not self._is_taken(_Question(Checksum.MD5, Carriage.HEADER, False), upload_id, 2)
        return is_long, [Protection(Checksum.MD5, Carriage.HEADER, is_checked)]

    def _taken(self, upload_id: str, questions: Sequence[_Question], first: int) -> list[bool]:
        """Each question is a part of its own: rclone takes no other bytes for one that it has."""
        asked = enumerate(questions, first)
        return at_once(*(functools.partial(self._is_taken, question, upload_id, number) for number, question in asked))

    def _is_taken(self, question: _Question, upload_id: str, number: int) -> bool:
        try:
            response = self._ask(lambda: self._send(question, upload_id, number))
        except StoreError as error:
            if not _is_refusal(error.status) or isinstance(error, UploadGone):
                raise  # it is ill, or somebody ended the upload: that says nothing of what it takes
            return False
        return not question.is_framed or self._is_unframed(question, response, upload_id, number)

    def _is_unframed(self, question: _Question, response: Response, upload_id: str, number: int) -> bool:
        """Whether the store took the framing off; one that doesn't know of it keeps it as data."""
        etag = response.headers.get("etag", "").strip('"').lower()
        if etag == hashlib.md5(_DATA, usedforsecurity=False).hexdigest():
            return True
        if is_md5(etag) and etag == hashlib.md5(question.framed(), usedforsecurity=False).hexdigest():
            return False
        try:
            sizes = [part.size_bytes for part in self._store.list_parts(self._uri, upload_id) if part.number == number]
        except FastputError:
            return True  # it can't say; the object's size is looked at in the end
        return not sizes or len(_DATA) in sizes

    def _send(self, question: _Question, upload_id: str, number: int) -> Response:
        """One part's answer, a success.

        Raises:
            FastputError: refused, or no answer.
        """
        uri, endpoint, action = self._uri, self._endpoint, "ask what it takes"
        answered: Future[Response] = Future()
        request = part_request(
            endpoint, uri, upload_id, number, question.headers(), question.body(), question.carriage
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
            raise unreachable(uri, endpoint.url, response.reason, response.failure is Failure.TLS)
        if 200 <= response.status < 300:
            return response
        answer = parse_answer(response.status, response.headers, response.body)
        error = to_error(answer, uri, action)
        # A wrong checksum that is refused is an answer; a right one may have been hurt on its way.
        error.is_temporary = is_retryable(answer) and (question.is_right or not _is_refusal(answer.status))
        raise error


def _as_needed(ways: list[Protection]) -> list[Protection]:
    """Up to the first that is checked: the others are no better."""
    first = next((place for place, way in enumerate(ways, 1) if way.is_checked), len(ways))
    return ways[:first]


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
