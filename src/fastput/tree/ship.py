"""Carries out decisions: files to the engine, a bounded number at a time, and an account of every one of them.

    decisions -> waiting (order.py) -> the engine -> results -> ledger, events

planned = sent + skipped + failed, at every moment when nothing is waiting or under way. Everything here happens on the
thread that calls run(), but the asking, which has threads of its own.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from fastput.errors import (
    CredentialsError,
    EndpointError,
    FastputError,
    Interrupted,
    NoSuchBucket,
    ObjectExists,
    SourceError,
)
from fastput.model import ConfirmedFile, Receipt, decode_crc
from fastput.state.ledger import Ledger
from fastput.transport import MOST_SMALL_BYTES
from fastput.tree.compare import stat_of
from fastput.tree.decide import Ask, Decision, Delete, Fail, Forget, Send, Skip
from fastput.tree.order import Order, Waiting
from fastput.tree.runs import Runs

# More than any window: the engine opens files while others are sent, and has batches of small ones for all of it.
_MOST_UNDER_WAY, _MOST_SMALL_UNDER_WAY = 512, 4096
# Until the first one is through: a bucket that isn't there needn't be told of for each of a thousand.
_MOST_UNPROVEN = 64
# Handed on together, while the engine has so many.
_AT_ONCE, _ENOUGH = 64, 256
_ASKING_THREADS = 16
_MOST_ASKED = 1_000
# What keeps one file from being sent keeps all of them.
_FOR_ALL = (NoSuchBucket, CredentialsError, EndpointError)
# What a crash may have sent for nothing.
_NOTED_EVERY_S, _NOTED_EVERY = 1.0, 1_000


OnSent = Callable[[Sequence[tuple[Send, Receipt | FastputError]]], None]


class Events(Protocol):
    """Told of every file, once, on the thread that ships."""

    def planned(self, send: Send) -> None:
        """Instead of sent(), where nothing is sent."""

    def sent(self, send: Send, receipt: Receipt) -> None: ...

    def skipped(self, skip: Skip) -> None: ...

    def failed(self, path: bytes, error: FastputError) -> None: ...


@dataclass
class Account:
    """What has become of the files. skipped: by reason."""

    sent: int = 0
    sent_bytes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    deleted: int = 0
    failed_deletions: int = 0
    hard_links: int = 0
    first_error: FastputError | None = None

    @property
    def planned(self) -> int:
        return self.sent + self.skipped.total() + self.failed


@dataclass(slots=True)
class _Queue:
    """Files that wait, and how many of them are under way."""

    waiting: Waiting
    most_under_way: int
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class ShipOptions:
    """
    Attributes:
        most_errors: after so many files that failed nothing more is begun; None: however many.
        is_last: of a path below the root: sent when all others are there, and only then.
    """

    order: Order = Order.LARGEST
    most_errors: int | None = None
    is_last: Callable[[str], bool] = lambda path: False


class Shipment:
    """
    Args:
        send: hands files to the engine, and calls back with what became of some of them, on any thread, until each
            has been told of once. None: nothing is sent, only told of.
        ask: finds out about a file whose object has to be asked; on threads of its own; may raise FastputError.
        ledger: None: nothing is noted.
        stop: when it is set nothing more is begun.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Send], OnSent], None] | None,
        ask: Callable[[Ask], Send | Skip],
        events: Events,
        options: ShipOptions,
        ledger: Ledger | None,
        stop: threading.Event,
    ) -> None:
        self.account = Account()
        self.deletions = Runs(lambda row: row[0])  # rows of one key
        self._send = send
        self._ask = ask
        self._events = events
        self._options = options
        self._ledger = ledger
        self._stop = stop
        self._large = _Queue(Waiting(options.order), _MOST_UNDER_WAY)
        # Largest first is for the end's sake, and that small ones don't make: they go beside the others.
        splits = options.order is Order.LARGEST
        self._small = _Queue(Waiting(options.order), _MOST_SMALL_UNDER_WAY) if splits else self._large
        # An order that was asked for has to know what there is.
        self._has_to_know = options.order not in (Order.LARGEST, Order.NAME)
        self._last: list[Send] = []
        self._is_all_known = False
        self._given_up: str | None = None
        self._event_error: Exception | None = None
        self._asked = 0
        self._done: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._noted: list[ConfirmedFile] = []
        self._gone: list[bytes] = []
        self._noted_at_s = time.monotonic()

    @property
    def is_wanted(self) -> bool:
        """Whether what is under way, and hasn't begun, is to begin. Any thread."""
        return self._why_not is None

    @property
    def _why_not(self) -> str | None:
        """Why nothing more is begun."""
        most = self._options.most_errors
        if self._stop.is_set():
            return "interrupted"
        if self._given_up is not None:
            return self._given_up
        return "not tried: too many had failed" if most is not None and self.account.failed >= most else None

    def run(self, decisions: Iterator[Decision]) -> Account:
        """Until all that was decided has been done, or too much has failed.

        Raises:
            Whatever decisions or events raise, when what is under way has ended: nothing arrives on the store later.
        """
        failure: Exception | None = None
        try:
            with ThreadPoolExecutor(_ASKING_THREADS, "fastput-ask") as pool:
                try:
                    for decision in decisions:
                        self._take(decision, pool)
                        self._go_on(lambda: self._is_full or self._asked >= _MOST_ASKED)
                        if self._why_not is not None:
                            break
                except Exception as error:
                    failure = error
                self._is_all_known = True
                self._go_on(lambda: self._is_busy)
            if failure is None:
                self._finish()
        except KeyboardInterrupt:
            self._given_up = "interrupted"
            raise
        finally:
            self._note(is_end=True)
        if failure := failure or self._event_error:
            raise failure
        return self.account

    def _tell(self, event: Callable[..., None], *what: object) -> None:
        """Events that raise end the transfer, but not in the middle of one of its steps."""
        if self._event_error is not None:
            return
        try:
            event(*what)
        except Exception as error:
            self._event_error = error
            self._given_up = "not tried: telling of the others failed"

    def _take(self, decision: Decision, pool: ThreadPoolExecutor) -> None:
        match decision:
            case Send():
                self._plan(decision)
            case Skip():
                self._skip(decision)
            case Fail():
                self._fail(decision.path, SourceError(f"{os.fsdecode(decision.path)}: {decision.reason}"))
            case Ask():
                self._asked += 1
                future = pool.submit(self._ask, decision)
                future.add_done_callback(lambda done: self._done.put(lambda: self._answered(decision, done)))
            case Delete():
                self.deletions.append((decision.key,))
            case Forget():
                self._gone.append(decision.known.path)

    def _plan(self, send: Send) -> None:
        self.account.hard_links += send.found.entry.links > 1
        if self._options.is_last(os.fsdecode(send.found.path)):
            self._last.append(send)
        else:
            self._queue_of(send).waiting.add(send)

    def _queue_of(self, send: Send) -> _Queue:
        return self._small if send.found.entry.size_bytes <= MOST_SMALL_BYTES else self._large

    @property
    def _is_full(self) -> bool:
        return self._large.waiting.is_full or self._small.waiting.is_full

    @property
    def _is_under_way(self) -> bool:
        return bool(self._large.under_way or self._small.under_way)

    @property
    def _is_busy(self) -> bool:
        return bool(self._large.waiting or self._small.waiting or self._is_under_way or self._asked)

    def _room(self, those: _Queue) -> int:
        """How many may be begun now, together."""
        waiting = len(those.waiting)
        if not waiting:
            return 0
        if not self._is_all_known:
            has_enough = those.under_way >= _ENOUGH and waiting < _AT_ONCE
            if has_enough or (self._has_to_know and not those.waiting.is_full):
                return 0
        most = those.most_under_way if self.account.sent else _MOST_UNPROVEN
        return max(0, min(waiting, _AT_ONCE, most - those.under_way))

    def _go_on(self, waits: Callable[[], bool]) -> None:
        """Does what there is to do, and waits as long as that has to be."""
        while True:
            for those in (self._large, self._small):
                while room := self._room(those):
                    self._begin([those.waiting.pop() for _ in range(room)], those)
            must_wait = waits()
            can_wait = self._is_under_way or self._asked > 0
            if not (must_wait and can_wait) and self._done.empty():
                if must_wait and (self._room(self._large) or self._room(self._small)):
                    continue
                return
            self._done.get()()
            self._note()

    def _begin(self, sends: Sequence[Send], those: _Queue) -> None:
        if (why := self._why_not) is not None:
            for send in sends:
                self._skip(Skip(send.found.path, why, send.found.entry.size_bytes))
        elif self._send is None:
            for send in sends:
                self.account.sent += 1
                self.account.sent_bytes += send.found.entry.size_bytes
                self._tell(self._events.planned, send)
        else:
            those.under_way += len(sends)
            self._send(sends, lambda results: self._done.put(lambda: self._ended(results)))

    def _ended(self, results: Sequence[tuple[Send, Receipt | FastputError]]) -> None:
        for send, outcome in results:
            self._queue_of(send).under_way -= 1
            if isinstance(outcome, Receipt):
                self._sent(send, outcome)
            elif isinstance(outcome, ObjectExists):
                self._skip(Skip(send.found.path, "an object is there already", send.found.entry.size_bytes))
            elif isinstance(outcome, Interrupted):
                self.account.first_error = self.account.first_error or outcome
                self._skip(Skip(send.found.path, self._why_not or "interrupted", send.found.entry.size_bytes))
            else:
                self._fail(send.found.path, outcome)

    def _sent(self, send: Send, receipt: Receipt) -> None:
        self.account.sent += 1
        self.account.sent_bytes += receipt.size_bytes
        if receipt.source_stat is not None:
            crc64nvme = decode_crc(receipt.crc64nvme)
            self._noted.append(ConfirmedFile(send.found.key_path, receipt.source_stat, receipt.etag, crc64nvme))
        self._tell(self._events.sent, send, receipt)

    def _answered(self, ask: Ask, done: Future[Send | Skip]) -> None:
        self._asked -= 1
        error = done.exception()
        if isinstance(error, FastputError):
            self._fail(ask.found.path, error)
        elif error is not None:
            raise error
        elif isinstance(decision := done.result(), Send):
            self._plan(decision)
        else:
            # What was compared needn't be asked for by the next run.
            stat = stat_of(ask.found.entry)
            self._noted.append(ConfirmedFile(ask.found.key_path, stat, ask.listed.etag, decision.crc64nvme))
            self._skip(decision)

    def _skip(self, skip: Skip) -> None:
        self.account.skipped[skip.reason] += 1
        self._tell(self._events.skipped, skip)

    def _fail(self, path: bytes, error: FastputError) -> None:
        self.account.failed += 1
        if isinstance(error, _FOR_ALL):
            self._given_up = "not tried: they would have failed as the others"
        if self.account.first_error is None or isinstance(self.account.first_error, Interrupted):
            self.account.first_error = error
        self._tell(self._events.failed, path, error)

    def _note(self, is_end: bool = False) -> None:
        """Writes down what was confirmed, now and then."""
        if self._ledger is None:
            return
        now_s = time.monotonic()
        count = len(self._noted) + len(self._gone)
        is_due = count >= _NOTED_EVERY or now_s - self._noted_at_s >= _NOTED_EVERY_S
        if count and (is_due or is_end):
            self._ledger.confirm(self._noted)
            self._ledger.forget(self._gone)
            self._noted, self._gone, self._noted_at_s = [], [], now_s

    def _finish(self) -> None:
        """What has to come last: it tells others that all is there."""
        for send in self._last:
            if self.account.failed:
                reason = f"not sent: it comes last, and {self.account.failed:,} others had failed"
                self._skip(Skip(send.found.path, reason, send.found.entry.size_bytes))
            else:
                self._queue_of(send).waiting.add(send)
        self._last = []
        self._go_on(lambda: self._is_busy)

