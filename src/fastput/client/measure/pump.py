"""Keeps a window of UploadParts of one upload full, of random bytes from memory, and samples what comes of it.

Everything happens on the caller's thread: the transport's threads only put answers into a queue.
"""

from __future__ import annotations

import os
import queue
import time
from dataclasses import dataclass

from fastput.client.measure.numbers import PartNumbers
from fastput.engine.meter import Counted, Meter
from fastput.engine.request import part_request
from fastput.engine.verdict import judge
from fastput.errors import Interrupted
from fastput.limits import KIB, MIB
from fastput.model import Endpoint, ObjectUri
from fastput.native.slicer import MemoryBody
from fastput.transport import Failure, Response, Ticket, Transport
from fastput.tuner import Lack, Sample

# Fine enough for a few samples of 200 MB at 1 GB/s, coarse enough to cost nothing.
TICK_S = 0.05
# Each part begins elsewhere in the random bytes, so that no two are the same to who looks for repetitions.
_SHIFT_BYTES = 4099
_SPARE_BYTES = MIB
# So many failures without a success between them are no accident.
_MOST_FAILURES = 12
_BACKOFF_S = 0.2
_CANCEL_WITHIN_S = 5.0


@dataclass(slots=True, eq=False)
class _Sent:
    """A request under way."""

    number: int
    body: MemoryBody
    at_s: float
    ticket: Ticket | None = None


class Pump:
    """
    Attributes:
        window, part_bytes: of what is sent next.
        sent_bytes: of all requests that were begun; never above the budget.
    """

    def __init__(
        self,
        transport: Transport,
        endpoint: Endpoint,
        uri: ObjectUri,
        upload_id: str,
        budget_bytes: int,
        largest_part_bytes: int,
    ) -> None:
        self.window = 0
        self.part_bytes = 0
        self.sent_bytes = 0
        self.is_stopped = False  # set by a signal handler
        self._transport = transport
        self._endpoint = endpoint
        self._uri = uri
        self._upload_id = upload_id
        self._budget_bytes = budget_bytes
        self._data = memoryview(os.urandom(largest_part_bytes + _SPARE_BYTES))
        self._numbers = PartNumbers()
        self._under_way: set[_Sent] = set()
        self._answers: queue.SimpleQueue[tuple[_Sent, Response]] = queue.SimpleQueue()
        self._counted = Counted()
        self._meter = Meter(self._counted)
        self._failures = 0  # since the last success
        self._waits_until_s = 0.0

    @property
    def left_bytes(self) -> int:
        return self._budget_bytes - self.sent_bytes

    @property
    def in_flight(self) -> int:
        return len(self._under_way)

    @property
    def has_settled(self) -> bool:
        """No request is left from before the window or the part size was changed."""
        return self.in_flight <= self.window and all(
            sent.body.length_bytes == self.part_bytes for sent in self._under_way
        )

    @property
    def is_starved(self) -> bool:
        """The budget has no room for another part."""
        return self.left_bytes < self.part_bytes

    def tick(self) -> Sample | None:
        """Sends and answers for 0.05 s; what was seen in them.

        Raises:
            FastputError: the store refuses, or the survey was interrupted.
        """
        until_s = time.monotonic() + TICK_S
        self._fill()
        while (left_s := until_s - time.monotonic()) > 0:
            self._wait(left_s)
            self._fill()
        lack = Lack.NOTHING if self.in_flight >= self.window else Lack.SOURCE
        traffic = self._transport.traffic()
        left_bytes = 0 if self.is_starved else None
        return self._meter.sample(
            time.monotonic(), traffic, self.in_flight, self.part_bytes, self.window, lack, left_bytes
        )

    def small_request_s(self) -> float:
        """How long one tiny part takes; nothing else is under way."""
        self.window, self.part_bytes = 0, KIB
        began_s = time.monotonic()
        confirmed = self._counted.confirmed
        while self._counted.confirmed == confirmed:
            if not self._under_way and time.monotonic() >= self._waits_until_s:
                began_s = time.monotonic()
                self._send()
            self._wait(TICK_S)
        return time.monotonic() - began_s

    def cancel(self) -> bool:
        """Ends what is under way; whether the transport has let go of all of it."""
        for sent in self._under_way:
            if sent.ticket is not None:
                sent.ticket.cancel()
        until_s = time.monotonic() + _CANCEL_WITHIN_S
        while self._under_way and (left_s := until_s - time.monotonic()) > 0:
            try:
                sent, _ = self._answers.get(timeout=left_s)
            except queue.Empty:
                break
            self._under_way.discard(sent)
            self._numbers.give_back(sent.number)
        return not self._under_way

    def _fill(self) -> None:
        while self.in_flight < self.window and not self.is_starved and time.monotonic() >= self._waits_until_s:
            self._send()

    def _send(self) -> None:
        number = self._numbers.take()
        first = number * _SHIFT_BYTES % _SPARE_BYTES
        # The checksum is computed as in an upload, and not sent: not every store takes one.
        body = MemoryBody(self._data[first : first + self.part_bytes])
        sent = _Sent(number, body, time.monotonic())
        self._under_way.add(sent)
        self.sent_bytes += self.part_bytes
        request = part_request(self._endpoint, self._uri, self._upload_id, number, (), body)
        sent.ticket = self._transport.send(request, lambda response: self._answers.put((sent, response)))

    def _wait(self, timeout_s: float) -> None:
        """Takes the answers that there are, or the first that comes."""
        if self.is_stopped:
            raise Interrupted(f"{self._uri}: interrupted")
        try:
            sent, response = self._answers.get(timeout=timeout_s)
            self._answered(sent, response)
            while True:
                self._answered(*self._answers.get_nowait())
        except queue.Empty:
            pass

    def _answered(self, sent: _Sent, response: Response) -> None:
        self._under_way.discard(sent)
        sent.ticket = None  # they hold each other
        if response.failure is None and 200 <= response.status < 300 and "etag" in response.headers:
            self._failures = 0
            self._counted.part(sent.body.length_bytes, time.monotonic() - sent.at_s, sent.body)
            return
        if response.status == 400 and self._numbers.refused(sent.number):
            return
        self._numbers.give_back(sent.number)
        if response.failure is Failure.CANCELLED:
            return
        found = judge(self._uri, self._endpoint, sent.number, response, self._counted.confirmed > 0)
        self._counted.failed(found.is_throttling)
        self._failures += 1
        if not found.error.is_temporary or self._failures >= max(_MOST_FAILURES, 2 * self.window):
            raise found.error
        self._waits_until_s = time.monotonic() + max(_BACKOFF_S, found.retry_after_s)
