"""The way of a part, from the source to the store's answer. Runs on the loop's thread.

    send() -> body of the source -> transport -> _answered() -> machine.confirmed()

A part of a file or a buffer is read by the transport straight into its send buffer, with the checksum as a trailer.
Where the checksum has to go before the body, for streams, which can't be read twice, and for digests, which need the
bytes in order, the part is read into memory first (buffered.py) and sent from there.

A part that takes too long (pace.py) is sent a second time beside the first. One answer counts: the other request is
cancelled, and the object isn't completed before it has ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol

from fastput.engine.again import Sending, Step, Try, late_step, retry_delay_s
from fastput.engine.buffered import BufferedPart, buffer_part, copies_in_memory
from fastput.engine.completion import look_up
from fastput.engine.digests import Digests
from fastput.engine.job import Job, attributes_of
from fastput.engine.links import Link
from fastput.engine.multipart import Completion, MultipartUpload
from fastput.engine.plan import needed_bytes
from fastput.engine.request import part_request, put_request
from fastput.engine.shared import Shared
from fastput.engine.takeover import digest_part
from fastput.engine.verdict import EtagSays, Verdict, etag_says, judge
from fastput.errors import FastputError, IntegrityError, ObjectExists
from fastput.model import Checksum, ConfirmedPart, Endpoint, Part, encode_crc
from fastput.native.slicer import ChainBody, PartBody
from fastput.profile import Protection
from fastput.source import Source
from fastput.store import Completed
from fastput.transport import Failure, Response


class Owner(Protocol):
    """Whom the parts belong to."""

    def first_buffered(self, is_whole: bool) -> None:
        """A stream's first part was read; is_whole: there is no more."""

    def confirmed(self, part: ConfirmedPart | None) -> None:
        """One more part is confirmed; None: the stream's end was found, or a part's last request has ended."""

    def fail(self, error: FastputError) -> None:
        """A part can't be sent."""

    def settle(self) -> None:
        """After a failure: one thing less is under way."""

    def guard(self, event: Callable[[], None]) -> None:
        """Runs an event; a FastputError of it fails the upload."""


class PartSender:
    """Sends the parts of one upload. Memory is reserved before a part is read and released when it is answered."""

    def __init__(
        self,
        shared: Shared,
        job: Job,
        source: Source,
        protection: Protection,
        machine: MultipartUpload,
        digests: Digests | None,
        owner: Owner,
    ) -> None:
        self.sent_bytes = 0
        self.resent_bytes = 0
        self.version_id: str | None = None
        self.has_opaque_etags = False  # there were some that can't be compared with an MD5
        self.kept_crc64nvme: str | None = None  # of a PutObject, as the answer says it
        self._shared = shared
        self._job = job
        self._source = source
        self._protection = protection
        self._machine = machine
        self._digests = digests
        self._owner = owner
        self._is_stream = source.size_bytes is None
        self._copies = copies_in_memory(source, protection, job)
        self._reads_in_order = self._is_stream or digests is not None
        self._endpoint: Endpoint | None = None
        self._link: Link | None = None
        self._sending: dict[int, Sending] = {}
        self._is_reading = False
        self._is_stopped = False

    def connected(self, endpoint: Endpoint, link: Link) -> None:
        """The machine is SENDING, and this is where to. A stream's first part has waited for it."""
        self._endpoint, self._link = endpoint, link
        for sending in self._sending.values():
            if sending.buffered is not None:
                self._transmit(sending)

    def stop(self, grace_s: float = 0.0) -> None:
        """Sends nothing more; what is in flight has so long to end by itself, then it is cancelled."""
        self._is_stopped = True
        for sending in list(self._sending.values()):
            if not sending.tries and (self._is_stream or not sending.is_reading):
                # Waits for another try or the connection, or for a pipe that may stay silent for ever.
                self._release(sending)
        if grace_s:
            self._shared.loop.call_later(grace_s, self._cancel_all)
        else:
            self._cancel_all()

    @property
    def is_idle(self) -> bool:
        """Nothing of the source or of a body is in use."""
        return not self._sending

    @property
    def in_flight(self) -> int:
        return sum(len(sending.tries) + sending.has_slot for sending in self._sending.values())

    @property
    def waits_for(self) -> str | None:
        """What the oldest of its requests waits for, for people; None: a pipe's writer, a backoff, nothing."""
        tries = [(sent, sending) for sending in self._sending.values() for sent in sending.tries]
        if not tries or self._endpoint is None:
            is_file_read = any(sending.is_reading for sending in self._sending.values()) and not self._is_stream
            return f"{self._source.name} to be read" if is_file_read else None
        oldest, sending = min(tries, key=lambda pair: pair[0].sent_at_s)
        elapsed_s = time.monotonic() - oldest.sent_at_s
        if oldest.body.read_bytes < oldest.body.length_bytes:
            return f"{self._source.name} to be read ({elapsed_s:.0f} s)"
        what = f"part {sending.part.number}" if self._machine.upload_id else "the object"
        return f"{self._endpoint.authority}: no answer to {what} for {elapsed_s:.0f} s ({len(tries)} in flight)"

    # ---- sending

    def wants_to_send(self) -> bool:
        """Whether send() has something to do now."""
        if self._is_stopped:
            return False
        if self._is_reading and self._reads_in_order:
            return self._endpoint is not None and self.holds_next()
        if self._endpoint is None and not (self._is_stream and not self._sending):
            return False
        return self._peek() is not None

    def holds_next(self) -> bool:
        """Whether the next part has its memory already: it was buffered and waited for another try."""
        part = self._peek()
        sending = self._sending.get(part.number) if part is not None else None
        return sending is not None and sending.buffered is not None

    def send(self) -> bool:
        """Takes the next part on its way. False: there is no memory for it now."""
        part = self._peek()
        if part is None:
            return True
        sending = self._sending.get(part.number) or Sending(part)
        # A buffered part that waited for another try has kept its memory.
        if sending.buffered is None:
            reserved_bytes = needed_bytes(part.length_bytes, self._copies)
            if not self._shared.budget.reserve(reserved_bytes):
                return False
            sending.held_bytes = reserved_bytes
        self._machine.take(self._shared.settings.part_bytes)
        self._shared.rate.charge(part.length_bytes)
        self._sending[part.number] = sending
        if self._copies == 1 or sending.buffered is not None:
            self._transmit(sending)
        else:
            self._buffer(sending)
        return True

    def hurry(self, now_s: float, is_tail: bool) -> None:
        """Sends parts a second time that take too long; called now and then. is_tail: there is nothing else to send."""
        if self._is_stopped or self._link is None:
            return
        shared, is_put = self._shared, self._machine.upload_id is None
        for sending in list(self._sending.values()):
            if sending.tries and not shared.rate.was_allowed(
                sending.tries[-1].allowance_bytes, sending.part.length_bytes
            ):
                continue  # our own cap has made it late
            step = late_step(
                sending, self._link.pace, now_s, shared.in_flight, shared.window, is_tail, is_put, shared.retry
            )
            if step is Step.CANCEL:
                self._cancel(sending)
            elif step is Step.HEDGE:
                held_bytes = needed_bytes(sending.part.length_bytes, 1)
                if shared.budget.reserve(held_bytes):
                    sending.hedges += 1
                    shared.rate.charge(sending.part.length_bytes)
                    self._count_resent(sending.part)
                    self._transmit(sending, held_bytes)
                elif sending.attempt < shared.retry.max_attempts:
                    self._cancel(sending)  # it makes room for itself

    def shed(self, most: int) -> int:
        """Takes requests back that there are too many of, the newest first; they go again later.

        Only parts: nobody can tell how far a PutObject has come.

        Returns:
            How many.
        """
        if self._machine.upload_id is None or self._is_stopped:
            return 0
        shed = [each for each in reversed(self._sending.values()) if each.tries and not each.is_confirmed][:most]
        for sending in shed:
            if not sending.is_shed:
                sending.is_shed = True
                sending.attempt -= 1
                self._shared.rate.charge(-sending.part.length_bytes)
                self._cancel(sending)
        return len(shed)

    def _peek(self) -> Part | None:
        return self._machine.peek(self._shared.settings.part_bytes)

    def _buffer(self, sending: Sending) -> None:
        source, part, protection, digests = self._source, sending.part, self._protection, self._digests
        self._is_reading = sending.is_reading = sending.has_slot = True
        self._shared.in_flight += 1
        self._shared.loop.read(
            lambda: buffer_part(source, part, protection, self._job.verifies_etag, digests),
            lambda done: self._owner.guard(lambda: self._buffered(sending, done)),
        )

    def _buffered(self, sending: Sending, done: Future[BufferedPart]) -> None:
        self._is_reading = False
        number, planned_bytes = sending.part.number, sending.part.length_bytes
        if self._sending.get(number) is not sending:
            return  # stopped, and not waited for
        sending.is_reading = False
        self._shared.activity += 1
        if self._is_stopped or done.exception() is not None:
            self._release(sending)
            self._owner.settle()
            done.result()
            return
        sending.buffered = buffered = done.result()
        self._shared.rate.charge(buffered.length_bytes - planned_bytes)
        if self._is_stream:
            if buffered.length_bytes:
                self._machine.check_length(sending.part)
            part = self._machine.was_read(number, buffered.length_bytes, buffered.is_last)
            if part is None:
                self._release(sending)
                self._owner.confirmed(None)
                self._shared.pump()  # a part that was lost meanwhile has waited for this read
                return
            sending.part = part
        if self._endpoint is not None:
            self._transmit(sending)
        else:
            self._owner.first_buffered(is_whole=buffered.is_last)
        self._shared.pump()

    def _transmit(self, sending: Sending, held_bytes: int = 0) -> None:
        job, number, protection = self._job, sending.part.number, self._protection
        assert self._endpoint is not None and self._link is not None
        headers: tuple[tuple[str, str], ...] = ()
        if sending.buffered is not None:
            body: PartBody = ChainBody(sending.buffered.data, protection.trailer)
            if protection.is_before_body and protection.checksum.header and sending.buffered.checksum is not None:
                headers = ((protection.checksum.header, sending.buffered.checksum),)
        else:
            self._source.will_send(sending.part)
            body = self._source.body(sending.part, protection.trailer)
        if self._machine.upload_id is None:
            no_clobber = job.no_clobber and self._link.takes_if_none_match
            attributes = attributes_of(job, self._source)
            request = put_request(self._endpoint, job.uri, attributes, no_clobber, headers, body, protection.carriage)
        else:
            request = part_request(
                self._endpoint, job.uri, self._machine.upload_id, number, headers, body, protection.carriage
            )
        if not sending.tries:
            sending.attempt += 1
            sending.hedges = 0
        self._give_slot_back(sending)
        rate = self._shared.rate
        sent = Try(body, time.monotonic(), self._link.pace.answered_count, held_bytes, rate.allowance_bytes)
        sending.tries.append(sent)
        sending.is_shed = False
        rate.began(sending.part.length_bytes)
        self._shared.in_flight += 1
        loop, owner = self._shared.loop, self._owner
        sent.ticket = self._link.transport.send(
            request,
            lambda response: loop.call(lambda: owner.guard(lambda: self._answered(sending, sent, response))),
        )

    # ---- answers

    def _answered(self, sending: Sending, sent: Try, response: Response) -> None:
        assert self._link is not None
        sending.tries.remove(sent)
        sent.ticket = None  # they hold each other, and the body its buffer
        self._shared.in_flight -= 1
        self._shared.rate.ended(sent.body.length_bytes)
        self._shared.budget.release(sent.held_bytes)
        self._shared.activity += 1
        if response.failure is None:
            self._link.has_answered, self._link.answered_at_s = True, time.monotonic()
            sending.lost_since_s = None
        is_taken = response.failure is None and 200 <= response.status < 300 and "etag" in response.headers
        if sending.is_confirmed:
            self._loser_ended(sending, response if is_taken else None)
        elif is_taken and (mismatch := self._etag_mismatch(sending, response)) is None:
            self._confirm(sending, sent, response)
        elif self._is_stopped:
            if not sending.tries:
                self._release(sending)
            self._owner.settle()
        elif sending.tries:
            self._shared.pump()  # the other request of this part decides; this one's place is free
        else:
            self._not_taken(sending, sent, response, mismatch if is_taken else None)

    def _confirm(self, sending: Sending, sent: Try, response: Response) -> None:
        assert self._link is not None
        part, body, buffered, link = sending.part, sent.body, sending.buffered, self._link
        crc64nvme = buffered.crc64nvme if buffered else body.crc64nvme
        checksum = buffered.checksum if buffered else _trailer_value(body)
        latency_s = time.monotonic() - sent.sent_at_s
        link.pace.note(part.length_bytes, latency_s)
        self._shared.counted.part(part.length_bytes, latency_s, body)
        self._shared.throttle.succeeded(self._shared.settings.window)
        sending.is_confirmed = True
        if sending.tries:
            self._cancel(sending)
        else:
            self._release(sending)
        self.version_id = response.headers.get("x-amz-version-id")
        self.kept_crc64nvme = response.headers.get("x-amz-checksum-crc64nvme")
        etag = response.headers["etag"]
        note = buffered.note if buffered else b""
        confirmed = ConfirmedPart(part.number, part.offset_bytes, part.length_bytes, etag, crc64nvme, checksum, note)
        self._was_confirmed(part, confirmed)
        if self._is_stopped:
            self._owner.settle()
        self._shared.pump()

    def _was_confirmed(self, part: Part, confirmed: ConfirmedPart) -> None:
        self._machine.confirmed(confirmed)
        self._source.was_sent(part)
        self._count_sent(part.length_bytes)
        self._owner.confirmed(confirmed)

    def _loser_ended(self, sending: Sending, taken: Response | None) -> None:
        """The other request of a confirmed part has ended."""
        number = sending.part.number
        if sending.tries:
            return
        # If it was taken too: where ETags aren't MD5s nobody knows which of the two the store has now.
        is_in_doubt = taken is not None and not self._is_stopped and self._machine.doubt(number, taken.headers["etag"])
        if is_in_doubt:
            self._count_resent(sending.part)
            self._count_sent(-sending.part.length_bytes)
        if is_in_doubt and sending.buffered is not None:
            sending.is_confirmed = False  # it keeps its bytes: a stream isn't read again, nor digests fed twice
        else:
            self._release(sending)
        self._owner.confirmed(None)
        if self._is_stopped:
            self._owner.settle()
        self._shared.pump()

    def _etag_mismatch(self, sending: Sending, response: Response) -> IntegrityError | None:
        """--verify etag: the store's MD5 of the part isn't ours."""
        md5 = sending.buffered.md5 if sending.buffered is not None else None
        if not self._job.verifies_etag or md5 is None:
            return None
        said = etag_says(md5, response)
        self.has_opaque_etags |= said is EtagSays.NOTHING
        if said is not EtagSays.OTHER:
            return None
        uri, etag = self._job.uri, response.headers["etag"].strip('"')
        return IntegrityError(
            f"{uri}: the MD5 of part {sending.part.number} is {md5}, and the store's ETag {etag}: it received other "
            "bytes than were read",
            bucket=uri.bucket, key=uri.key, part=sending.part.number, is_temporary=True,
        )  # fmt: skip

    def _not_taken(
        self, sending: Sending, sent: Try, response: Response, mismatch: IntegrityError | None
    ) -> None:
        """Tried again later, or the end of the upload."""
        assert self._endpoint is not None and self._link is not None
        error: FastputError | None = self._source.failure_of(sent.body)
        if error is None:
            number = sending.part.number if self._machine.upload_id is not None else None
            verdict = Verdict(mismatch) if mismatch else judge(
                self._job.uri, self._endpoint, number, response, self._link.has_answered
            )  # fmt: skip
            error = verdict.error
            if verdict.is_expired:
                self._shared.renew_credentials()
            self._shared.counted.failed(verdict.is_throttling)
            if verdict.is_throttling:
                self._shared.throttle.slow_down(time.monotonic(), self._shared.in_flight + 1)
            delay_s = retry_delay_s(
                sending, response, verdict, self._link, self._shared.retry, time.monotonic(), random.random()
            )
            if delay_s is not None:
                never_left = response.failure in (Failure.CONNECT, Failure.NAME, Failure.TLS)
                self._send_again_later(sending, delay_s, never_left)
                return
            if isinstance(error, ObjectExists) and sending.attempt + sending.throttled > 1:
                self._look_up(sending, sent, error)
                return
        self._release(sending)
        self._owner.fail(error)

    def _look_up(self, sending: Sending, sent: Try, error: ObjectExists) -> None:
        """--no-clobber met an object, after an answer was lost: is it our own?"""
        part, buffered, uri = sending.part, sending.buffered, self._job.uri
        crc64nvme = buffered.crc64nvme if buffered else sent.body.crc64nvme
        shared, source, checksum = self._shared, self._source, self._protection.checksum

        def look() -> tuple[ConfirmedPart, Completed | None]:
            md5 = buffered.md5_of() if buffered is not None else digest_part(source, part).md5.hex()
            mine = ConfirmedPart(part.number, part.offset_bytes, part.length_bytes, md5, crc64nvme, None)
            completion = Completion(None, (mine,), part.length_bytes, crc64nvme)
            return mine, look_up(shared.store, uri, completion, checksum, shared.retry, shared.stop)

        def looked(done: Future[tuple[ConfirmedPart, Completed | None]]) -> None:
            self._release(sending)
            mine, found = done.result()
            if found is None:
                raise error
            self.version_id = found.version_id
            self._was_confirmed(part, replace(mine, etag=found.etag))

        shared.loop.control(look, lambda done: self._owner.guard(lambda: looked(done)))

    def _send_again_later(self, sending: Sending, delay_s: float, never_left: bool) -> None:
        part = sending.part
        if never_left:
            self._shared.rate.charge(-part.length_bytes)
        else:
            self._count_resent(part)
        if sending.buffered is None:
            self._shared.budget.release(sending.held_bytes)
            sending.held_bytes = 0

        def again() -> None:
            if not self._is_stopped:
                self._machine.lost(part.number)
                self._shared.pump()

        self._shared.loop.call_later(delay_s, lambda: self._owner.guard(again))
        self._shared.pump()

    def forget_sent(self) -> None:
        """All of it will be sent again."""
        self._shared.sent_bytes -= self.sent_bytes
        self._shared.resent_bytes += self.sent_bytes

    def _count_sent(self, length_bytes: int) -> None:
        self.sent_bytes += length_bytes
        self._shared.sent_bytes += length_bytes

    def _count_resent(self, part: Part) -> None:
        self.resent_bytes += part.length_bytes
        self._shared.resent_bytes += part.length_bytes

    def _cancel_all(self) -> None:
        for sending in list(self._sending.values()):
            self._cancel(sending)

    def _cancel(self, sending: Sending) -> None:
        for sent in list(sending.tries):
            if sent.ticket is not None:
                sent.ticket.cancel()

    def _give_slot_back(self, sending: Sending) -> None:
        self._shared.in_flight -= sending.has_slot
        sending.has_slot = False

    def _release(self, sending: Sending) -> None:
        del self._sending[sending.part.number]
        self._give_slot_back(sending)
        self._shared.budget.release(sending.held_bytes)


def _trailer_value(body: PartBody) -> str | None:
    if body.trailer is None:
        return None
    checksum = Checksum(body.trailer)
    return encode_crc(body.crc64nvme if checksum is Checksum.CRC64NVME else body.crc32c, checksum)
