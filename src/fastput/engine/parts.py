"""The way of a part, from the source to the store's answer. Runs on the loop's thread.

    send() -> body of the source -> transport -> _answered() -> machine.confirmed()

A part of a file or a buffer is read by the transport straight into its send buffer, with the checksum as a trailer.
Where the checksum has to go before the body (MD5), and for streams, which can't be read twice, the part is read
into memory first (buffered.py) and sent from there.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from fastput.answers import is_retryable, parse_answer, to_error, unreachable
from fastput.engine.buffered import BufferedPart, buffer_part
from fastput.engine.job import Job
from fastput.engine.links import Link
from fastput.engine.multipart import MultipartUpload
from fastput.engine.plan import needed_bytes
from fastput.engine.request import part_request, put_request
from fastput.engine.retry import RetryPolicy
from fastput.engine.shared import Shared
from fastput.errors import CredentialsError, FastputError, StoreError
from fastput.model import Checksum, ConfirmedPart, Endpoint, Part, encode_crc
from fastput.native.slicer import MemoryBody, PartBody
from fastput.source import Source
from fastput.transport import Failure, Response, Ticket

# An endpoint that never answered is more likely wrong than busy.
FIRST_CONTACT = RetryPolicy(max_attempts=3)


class Owner(Protocol):
    """Whom the parts belong to."""

    def first_buffered(self, is_whole: bool) -> None:
        """A stream's first part was read; is_whole: there is no more."""

    def confirmed(self) -> None:
        """One more part is confirmed, or the stream's end was found."""

    def fail(self, error: FastputError) -> None:
        """A part can't be sent."""

    def settle(self) -> None:
        """After a failure: one thing less is under way."""

    def guard(self, event: Callable[[], None]) -> None:
        """Runs an event; a FastputError of it fails the upload."""


@dataclass
class _Sending:
    """A part that was taken from the machine: being buffered, sent, or waiting for another try."""

    part: Part
    attempt: int = 0
    has_slot: bool = False  # counts in the engine's window
    held_bytes: int = 0  # of the engine's budget
    body: PartBody | None = None
    buffered: BufferedPart | None = None
    ticket: Ticket | None = None


class PartSender:
    """Sends the parts of one upload. Memory is reserved before a part is read and released when it is answered."""

    def __init__(self, shared: Shared, job: Job, source: Source, machine: MultipartUpload, owner: Owner) -> None:
        self.sent_bytes = 0
        self.resent_bytes = 0
        self.version_id: str | None = None
        self._shared = shared
        self._job = job
        self._source = source
        self._machine = machine
        self._owner = owner
        self._is_stream = source.size_bytes is None
        self._is_direct = is_direct(source, job.checksum)
        self._endpoint: Endpoint | None = None
        self._link: Link | None = None
        self._sending: dict[int, _Sending] = {}
        self._is_reading_stream = False
        self._is_stopped = False

    def connected(self, endpoint: Endpoint, link: Link) -> None:
        """The machine is SENDING, and this is where to. A stream's first part has waited for it."""
        self._endpoint, self._link = endpoint, link
        for sending in self._sending.values():
            if sending.buffered is not None:
                self._transmit(sending)

    def stop(self) -> None:
        """Cancels what is in flight; nothing is sent any more."""
        self._is_stopped = True
        for sending in list(self._sending.values()):
            is_being_read = sending.ticket is None and sending.has_slot and sending.buffered is None
            if sending.ticket is not None:
                sending.ticket.cancel()
            elif self._is_stream or not is_being_read:
                # Waits for another try or the connection, or for a pipe that may stay silent for ever.
                self._release(sending)

    @property
    def is_idle(self) -> bool:
        """Nothing of the source or of a body is in use."""
        return not self._sending

    @property
    def in_flight(self) -> int:
        return sum(sending.has_slot for sending in self._sending.values())

    # ---- sending

    def wants_to_send(self) -> bool:
        """Whether send() has something to do now."""
        if self._is_stopped or self._is_reading_stream:
            return False
        if self._endpoint is None and not (self._is_stream and not self._sending):
            return False
        return self._peek() is not None

    def send(self) -> bool:
        """Takes the next part on its way. False: there is no memory for it now."""
        part = self._peek()
        if part is None:
            return True
        sending = self._sending.get(part.number) or _Sending(part)
        # A buffered part that waited for another try has kept its memory.
        if sending.buffered is None:
            reserved_bytes = needed_bytes(part.length_bytes, copies=1 if self._is_direct else 2)
            if not self._shared.budget.reserve(reserved_bytes):
                return False
            sending.held_bytes = reserved_bytes
        self._machine.take(self._shared.settings.part_bytes)
        self._sending[part.number] = sending
        sending.has_slot = True
        self._shared.in_flight += 1
        if self._is_direct or sending.buffered is not None:
            self._transmit(sending)
        else:
            self._buffer(sending)
        return True

    def _peek(self) -> Part | None:
        return self._machine.peek(self._shared.settings.part_bytes)

    def _buffer(self, sending: _Sending) -> None:
        source, part, checksum = self._source, sending.part, self._job.checksum
        self._is_reading_stream = self._is_stream
        self._shared.loop.read(
            lambda: buffer_part(source, part, checksum),
            lambda done: self._owner.guard(lambda: self._buffered(sending, done)),
        )

    def _buffered(self, sending: _Sending, done: Future[BufferedPart]) -> None:
        self._is_reading_stream = False
        number, planned_bytes = sending.part.number, sending.part.length_bytes
        if number not in self._sending:
            return  # stopped, and not waited for
        if self._is_stopped or done.exception() is not None:
            self._release(sending)
            self._owner.settle()
            done.result()
            return
        sending.buffered = buffered = done.result()
        is_end = self._is_stream and len(buffered.data) < planned_bytes
        if self._is_stream and buffered.data:
            self._machine.check_length(sending.part)
        if is_end:
            part = self._machine.ended(number, len(buffered.data))
            if part is None:
                self._release(sending)
                self._owner.confirmed()
                return
            sending.part = part
        if self._endpoint is not None:
            self._transmit(sending)
        else:
            self._owner.first_buffered(is_whole=is_end)
        self._shared.pump()

    def _transmit(self, sending: _Sending) -> None:
        job, number = self._job, sending.part.number
        assert self._endpoint is not None and self._link is not None
        headers: tuple[tuple[str, str], ...] = ()
        if sending.buffered is not None:
            sending.body = MemoryBody(sending.buffered.data)
            if job.checksum.header is not None and sending.buffered.checksum is not None:
                headers = ((job.checksum.header, sending.buffered.checksum),)
        else:
            self._source.will_send(sending.part)
            sending.body = self._source.body(sending.part, job.checksum.value if job.checksum.is_crc else None)
        if self._machine.upload_id is None:
            request = put_request(self._endpoint, job.uri, job.attributes, job.no_clobber, headers, sending.body)
        else:
            request = part_request(self._endpoint, job.uri, self._machine.upload_id, number, headers, sending.body)
        sending.attempt += 1
        loop, owner = self._shared.loop, self._owner
        sending.ticket = self._link.transport.send(
            request,
            lambda response: loop.call(lambda: owner.guard(lambda: self._answered(sending, response))),
        )

    # ---- answers

    def _answered(self, sending: _Sending, response: Response) -> None:
        sending.ticket = None
        if self._is_stopped:
            self._release(sending)
            self._owner.settle()
            return
        assert self._link is not None and sending.body is not None
        self._link.has_answered |= response.failure is None
        if response.failure is None and 200 <= response.status < 300 and "etag" in response.headers:
            self._confirm(sending, response)
            return
        error: FastputError | None = self._source.failure_of(sending.body)
        if error is None:
            error, is_temporary = self._judge(sending.part, response)
            policy = self._shared.retry if self._link.has_answered else FIRST_CONTACT
            delay_s = policy.delay_s(sending.attempt, random.random()) if is_temporary else None
            if delay_s is not None:
                self._send_again_later(sending, delay_s)
                return
        self._release(sending)
        self._owner.fail(error)

    def _confirm(self, sending: _Sending, response: Response) -> None:
        part, body, buffered = sending.part, sending.body, sending.buffered
        assert body is not None
        crc64nvme = buffered.crc64nvme if buffered else body.crc64nvme
        checksum = buffered.checksum if buffered else _trailer_value(body)
        self._release(sending)
        self.version_id = response.headers.get("x-amz-version-id")
        etag = response.headers["etag"]
        self._machine.confirmed(
            ConfirmedPart(part.number, part.offset_bytes, part.length_bytes, etag, crc64nvme, checksum)
        )
        self._source.was_sent(part)
        self.sent_bytes += part.length_bytes
        self._shared.sent_bytes += part.length_bytes
        self._owner.confirmed()
        self._shared.pump()

    def _judge(self, part: Part, response: Response) -> tuple[FastputError, bool]:
        """Why a part wasn't taken, as an exception, and whether another try may help."""
        uri, endpoint, link = self._job.uri, self._endpoint, self._link
        assert endpoint is not None and link is not None
        number = part.number if self._machine.upload_id is not None else None
        action = f"send part {number}" if number else "send it"
        if response.failure is Failure.CREDENTIALS:
            return CredentialsError(f"{uri}: no credentials: {response.reason}"), False
        if response.failure is not None:
            is_temporary = response.failure is not Failure.TLS or link.has_answered
            url = f"{endpoint.scheme}://{endpoint.authority}"
            return unreachable(uri, url, response.reason, response.failure is Failure.TLS), is_temporary
        if 200 <= response.status < 300:
            return StoreError(f"{uri}: could not {action}: the answer has no ETag", status=response.status), True
        answer = parse_answer(response.status, response.headers, response.body)
        return to_error(answer, uri, action, part=number), is_retryable(answer)

    def _send_again_later(self, sending: _Sending, delay_s: float) -> None:
        part = sending.part
        sending.has_slot = False
        self._shared.in_flight -= 1
        self.resent_bytes += part.length_bytes
        self._shared.resent_bytes += part.length_bytes
        if sending.buffered is None:
            self._shared.budget.release(sending.held_bytes)
            sending.held_bytes = 0

        def again() -> None:
            if not self._is_stopped:
                self._machine.lost(part.number)
                self._shared.pump()

        self._shared.loop.call_later(delay_s, lambda: self._owner.guard(again))
        self._shared.pump()

    def _release(self, sending: _Sending) -> None:
        del self._sending[sending.part.number]
        self._shared.in_flight -= sending.has_slot
        self._shared.budget.release(sending.held_bytes)


def is_direct(source: Source, checksum: Checksum) -> bool:
    """Whether parts go from the source straight into the send buffer: no copy of ours in memory."""
    return source.size_bytes is not None and checksum is not Checksum.MD5


def _trailer_value(body: PartBody) -> str | None:
    if body.trailer is None:
        return None
    checksum = Checksum(body.trailer)
    return encode_crc(body.crc64nvme if checksum is Checksum.CRC64NVME else body.crc32c, checksum)
