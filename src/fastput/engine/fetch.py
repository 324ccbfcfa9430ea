"""Fetches ranges of one object side by side, whatever becomes of the bytes. Blocks its caller's thread.

The receiver's threads only hand answers on: all decisions are made here, one after another.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from fastput.engine.fetch_plan import Fetching, fetch_request, judge_fetch, retry_delay_s
from fastput.engine.pace import Pace
from fastput.engine.retry import RetryPolicy
from fastput.engine.throttle import Throttle
from fastput.engine.watchdog import Watchdog
from fastput.errors import Interrupted, Stalled
from fastput.model import Endpoint, ObjectUri, Part
from fastput.native.landing import Landing
from fastput.transport import Receiver, Response

# How often it is looked at what is late, and whether somebody wants it to end.
_TICK_S = 0.1


@dataclass
class Spring:
    """Whom objects are fetched from, and what was learned of it on the way; several fetchers share it.

    Attributes:
        renew_credentials: called when the store says that those have expired; may block.
    """

    receiver: Receiver
    renew_credentials: Callable[[], None]
    pace: Pace = field(default_factory=Pace)
    has_answered: bool = False


class Fetcher:
    """One object, as it was when it had this ETag.

    Args:
        window: the most ranges under way.
        stop: set by others to end it.
        stall_timeout_s: how long nothing at all may move.
    """

    def __init__(
        self,
        spring: Spring,
        endpoint: Endpoint,
        uri: ObjectUri,
        etag: str,
        version_id: str | None,
        window: int,
        retry: RetryPolicy,
        stop: threading.Event,
        stall_timeout_s: float,
    ) -> None:
        self._spring = spring
        self._endpoint = endpoint
        self._uri = uri
        self._etag = etag
        self._version_id = version_id
        self._window = window
        self._retry = retry
        self._stop = stop
        self._stall_timeout_s = stall_timeout_s
        self._watchdog = Watchdog(stall_timeout_s)
        self._throttle = Throttle()
        self._answers: queue.SimpleQueue[tuple[Fetching, Response]] = queue.SimpleQueue()
        self._under_way: set[Fetching] = set()
        self._waiting: list[tuple[float, int, Fetching]] = []  # a heap: when it is due
        self._order = itertools.count()
        self._is_all_begun = False
        self._landed_bytes = 0

    @property
    def received_bytes(self) -> int:
        """Of all ranges so far."""
        waiting = (fetching for _, _, fetching in self._waiting)
        return self._landed_bytes + sum(each.landing.received_bytes for each in (*self._under_way, *waiting))

    @property
    def in_flight(self) -> int:
        return len(self._under_way)

    def run(
        self,
        parts: Iterable[Part],
        land: Callable[[Part], Landing],
        landed: Callable[[Part, Landing], None],
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Until all ranges are there.

        Args:
            parts: asked for the next when there is room.
            land: where a range is to arrive.
            landed: told of each that is there, in the order in which they come; while it works nothing is begun.
            tick: called ten times a second.

        Raises:
            StoreError, EndpointError, CredentialsError: a range can't be had, or the object was replaced.
            Stalled: nothing moved for too long.
            Interrupted: stop was set.
            FastputError: the file doesn't take what comes.
        """
        todo = iter(parts)
        try:
            self._fill(todo, land)
            while self._under_way or self._waiting:
                with suppress(queue.Empty):
                    self._answered(*self._answers.get(timeout=_TICK_S), landed)
                    while True:
                        self._answered(*self._answers.get_nowait(), landed)
                self._fill(todo, land)
                self._look()
                tick()
        finally:
            self._end()

    def _fill(self, todo: Iterator[Part], land: Callable[[Part], Landing]) -> None:
        window = self._throttle.window(self._window)
        while len(self._under_way) < window:
            if self._waiting and self._waiting[0][0] <= time.monotonic():
                self._ask(heapq.heappop(self._waiting)[2])
            elif (part := next(todo, None)) is not None:
                self._ask(Fetching(part, land(part)))
            else:
                self._is_all_begun = True
                return

    def _ask(self, fetching: Fetching) -> None:
        spring = self._spring
        fetching.attempt += 1
        fetching.asked_bytes = fetching.landing.left_bytes
        fetching.asked_at_s, fetching.answered_before = time.monotonic(), spring.pace.answered_count
        self._under_way.add(fetching)
        request = fetch_request(self._endpoint, self._uri, self._etag, self._version_id, fetching)
        fetching.ticket = spring.receiver.fetch(
            request, fetching.landing, lambda response: self._answers.put((fetching, response))
        )

    def _answered(self, fetching: Fetching, response: Response, landed: Callable[[Part, Landing], None]) -> None:
        spring, now_s = self._spring, time.monotonic()
        self._under_way.discard(fetching)
        verdict = judge_fetch(self._uri, self._endpoint, fetching.part, self._etag, response, spring.has_answered)
        spring.has_answered |= response.failure is None
        if verdict is None:
            spring.pace.note(fetching.asked_bytes, now_s - fetching.asked_at_s)
            self._throttle.succeeded(self._window)
            self._landed_bytes += fetching.part.length_bytes
            landed(fetching.part, fetching.landing)
            return
        if verdict.is_throttling:
            self._throttle.slow_down(now_s, len(self._under_way) + 1)
        if verdict.is_expired:
            spring.renew_credentials()
        delay_s = retry_delay_s(fetching, response, verdict, self._retry, random.random())
        if delay_s is None:
            raise verdict.error
        heapq.heappush(self._waiting, (now_s + delay_s, next(self._order), fetching))

    def _look(self) -> None:
        """
        Raises:
            Interrupted: stop was set.
            Stalled: nothing moves.
        """
        if self._stop.is_set():
            raise Interrupted(f"{self._uri}: cancelled")
        now_s, pace = time.monotonic(), self._spring.pace
        if self._watchdog.look(now_s, pace.answered_count, self.received_bytes, True).is_stalled:
            text = f"nothing has moved for {self._stall_timeout_s:g} s: check the network and the store"
            raise Stalled(f"{self._uri}: {text}", bucket=self._uri.bucket, key=self._uri.key)
        window, in_flight = self._throttle.window(self._window), len(self._under_way)
        is_tail = in_flight == 1 or (self._is_all_begun and in_flight < window)
        for fetching in self._under_way:
            # Twice as long each time: that others were quick doesn't prove that this can be.
            elapsed_s = (now_s - fetching.asked_at_s) / 2**fetching.cancels
            answered_since = pace.answered_count - fetching.answered_before
            is_late = pace.is_overdue(fetching.asked_bytes, elapsed_s, answered_since, window, is_tail)
            # The last attempt is left alone: no download fails because we ended it.
            if is_late and fetching.attempt < self._retry.max_attempts and fetching.ticket is not None:
                fetching.cancels += 1
                fetching.ticket.cancel()
                fetching.ticket = None

    def _end(self) -> None:
        """Nothing is written any more when this returns."""
        for fetching in self._under_way:
            if fetching.ticket is not None:
                fetching.ticket.cancel()
        while self._under_way:
            self._under_way.discard(self._answers.get()[0])
