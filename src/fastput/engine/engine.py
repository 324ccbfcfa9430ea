"""All uploads of a client: who may send next, within the window and the memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from fastput.engine.budget import Budget
from fastput.engine.job import Job
from fastput.engine.links import Connect, Links
from fastput.engine.loop import Loop
from fastput.engine.meter import Meter
from fastput.engine.retry import RetryPolicy
from fastput.engine.shared import Shared
from fastput.engine.small import OnDone, SmallFiles
from fastput.engine.upload import Upload
from fastput.engine.watchdog import Watchdog
from fastput.errors import FastputError, Interrupted, Stalled
from fastput.limits import AMAZON_S3, StoreLimits
from fastput.model import Receipt
from fastput.profile import StoreProfile
from fastput.store import Store
from fastput.transport import Traffic
from fastput.tuner import Bounds, Lack, Limit, Sample, Settings, Settled, State, begin, decide, settled

CANCEL_GRACE_S = 5.0
# What is in flight when an upload is interrupted may end by itself: a part that is nearly there needn't be sent again.
DRAIN_S = 2.0
STALL_TIMEOUT_S = 300.0
_TICK_S = 0.1
# While a cap is in force.
_STEER_S = 0.02
# A new connection sends as much as the link takes until it is paced: 8 MiB in 10 ms on loopback. So it is looked for
# from the request that it is for on, for as long as the runtime may take to read a part and to connect nearby; longer
# if there is surely one to come.
_GLANCE_S = 0.005
_GLANCES_S = 0.06
_CONNECTING_S = 0.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's counters at one moment, for displays. Bytes are object bytes.

    Attributes:
        limit: what holds the uploads back, as far as it's known; None where the window isn't tuned.
    """

    sent_bytes: int
    resent_bytes: int
    in_flight: int
    window: int
    reserved_bytes: int
    uploads: int
    limit: Limit | None


class Engine:
    """The loop's thread owns everything here.

    Args:
        connect: makes a transport to an endpoint; called on a thread that may block.
        settings: to begin with.
        retry: for whatever fails.
        state_directory: makes and returns where journals and profiles are kept; None: nowhere.
        profile: what all endpoints take, if it is known.
        probes_again: what is remembered of endpoints isn't believed.
        stall_timeout_s: how long nothing at all may move before uploads end with Stalled.
        on_stall: told what it is waiting for while nothing moves; on the engine's thread.
        bounds: for the window while it is tuned; None: it stays as it is.
        limit: the most bytes a second that all uploads may send at this moment, asked ten times a second and more;
            None: no limit, ever.
        on_tuning: told every sample and what was decided, on the engine's thread.
    """

    def __init__(
        self,
        store: Store,
        connect: Connect,
        settings: Settings,
        memory_bytes: int,
        limits: StoreLimits = AMAZON_S3,
        retry: RetryPolicy | None = None,
        state_directory: Callable[[], Path] | None = None,
        profile: StoreProfile | None = None,
        probes_again: bool = False,
        stall_timeout_s: float = STALL_TIMEOUT_S,
        on_stall: Callable[[str], None] | None = None,
        bounds: Bounds | None = None,
        on_tuning: Callable[[Sample, State], None] | None = None,
        limit: Callable[[], float | None] | None = None,
    ) -> None:
        retry, stop = retry or RetryPolicy(), threading.Event()
        retry = replace(retry, silence_s=min(retry.silence_s, stall_timeout_s))
        self._shared = Shared(
            loop=Loop(self._crashed),
            store=store,
            links=Links(store, connect, retry, stop, state_directory, profile, probes_again),
            limits=limits,
            settings=settings,
            retry=retry,
            budget=Budget(memory_bytes),
            pump=self._pump,
            stop=stop,
            state_directory=state_directory,
        )
        self._watchdog = Watchdog(stall_timeout_s)
        self._on_stall = on_stall
        self._meter = Meter(self._shared.counted)
        self._bounds = bounds
        self._tuning: State | None = None
        if bounds is not None:
            self._begin_tuning(bounds, None)
        self._on_tuning = on_tuning
        self._lacks = Lack.SOURCE
        self._is_ticking = False
        self._limit = limit
        self._is_steering = False
        self._is_glancing = False
        self._seen_bursts = 0
        self._begun_at_s = 0.0  # the newest of them
        self._small = SmallFiles(self._shared, self._hand_on)
        self._queued: deque[Upload] = deque()
        self._active: list[Upload] = []
        self._refused: list[Upload] = []  # without waiting for what they had under way
        self._is_closing = False

    def submit(self, job: Job) -> Future[Receipt]:
        """Queues an upload. Any thread."""
        future: Future[Receipt] = Future()
        upload = self._upload(job, future)

        def enqueue() -> None:
            self._enqueue(upload)
            self._pump()

        self._shared.loop.call(enqueue)
        return future

    def submit_all(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Queues uploads whose number may be large. Any thread.

        Args:
            on_done: told of each once, of some at a time, on the engine's thread: it must only hand them on.
        """

        def enqueue() -> None:
            small = []
            for job in jobs:
                if self._small.takes(job) and not self._is_closing:
                    small.append(job)
                else:
                    self._hand_on(job, on_done)
            self._small.add(small, on_done)
            self._pump()

        self._shared.loop.call(enqueue)

    def _hand_on(self, job: Job, on_done: OnDone) -> None:
        """Queues one upload."""
        future: Future[Receipt] = Future()

        def tell(done: Future[Receipt]) -> None:
            error = done.exception()
            assert error is None or isinstance(error, FastputError)
            on_done([(job, error or done.result())])

        future.add_done_callback(tell)
        self._enqueue(self._upload(job, future))

    def _enqueue(self, upload: Upload) -> None:
        if self._is_closing:
            upload.refuse(Interrupted(f"{upload.job.uri}: the client is closed"))
        else:
            self._queued.append(upload)

    def apply(self, settings: Settings) -> None:
        """Changes the window, and the size of parts not planned yet, while transfers run. Any thread."""

        def change() -> None:
            self._shared.settings = settings
            self._pump()

        self._shared.loop.call(change)

    def snapshot(self) -> Snapshot:
        """Any thread; the numbers may be of neighbouring moments."""
        shared = self._shared
        return Snapshot(
            sent_bytes=shared.sent_bytes,
            resent_bytes=shared.resent_bytes,
            in_flight=shared.in_flight,
            window=shared.window,
            reserved_bytes=shared.budget.reserved_bytes,
            uploads=len(self._active) + len(self._queued),
            limit=self._tuning.limit if self._tuning is not None else None,
        )

    def cancel(self, reason: str) -> None:
        """Ends all uploads with Interrupted, or Resumable where a later run can go on. Any thread.

        What is in flight has two seconds to end by itself. The futures resolve when nothing is in flight any more and
        the journals are written; after five seconds, because a store doesn't answer, even so, and the error says that
        something may be left.
        """

        def end() -> None:
            self._is_closing = True
            self._shared.stop.set()
            uploads = [*self._active, *self._queued]
            self._queued.clear()
            self._small.stop(lambda job: Interrupted(f"{job.uri}: {reason}"), DRAIN_S)
            for upload in uploads:
                upload.fail(Interrupted(f"{upload.job.uri}: {reason}"), DRAIN_S)
            self._shared.loop.call_later(CANCEL_GRACE_S, lambda: self._give_up(uploads, reason))

        self._shared.loop.call(end)

    def close(self) -> None:
        """Ends the threads and connections. Call it when all futures are resolved."""
        self._shared.stop.set()
        self._shared.loop.stop()
        for upload in self._refused:
            upload.let_go()
        is_free = self._bounds is not None and self._bounds.least_window < self._bounds.most_window
        if is_free and self._tuning is not None and (found := settled(self._tuning)) is not None:
            self._shared.links.remember_settled(found)
        self._shared.links.close()
        self._shared.store.close()

    def _pump(self) -> None:
        """Sends and starts whatever there is room for, and paces its connections."""
        if self._bounds is not None and (earlier := self._shared.links.take_settled()) is not None:
            self._begin_tuning(self._bounds, earlier)
        self._tick_while_active()
        self._send()
        if self._shared.rate.bursts != self._seen_bursts:
            self._seen_bursts = self._shared.rate.bursts
            self._begun_at_s = time.monotonic()
            if not self._is_glancing:
                self._glance()

    def _glance(self) -> None:
        """Looks for connections that aren't paced yet.

        A request may get a new one although another is idle: the runtime takes it back after it has told of the end.
        """
        links, requests = self._shared.links, self._shared.rate.requests
        traffic = links.traffic()
        if traffic is not None:
            links.pace(self._shared.rate.pace_bytes_per_s)  # one that was made just now hasn't heard of it
            links.catch(max(requests, traffic.open_connections + 1), _GLANCE_S)
            glances_s = _CONNECTING_S if traffic.open_connections < requests else _GLANCES_S
            self._is_glancing = time.monotonic() < self._begun_at_s + glances_s
            if self._is_glancing:
                self._shared.loop.call(self._glance)  # behind what has happened meanwhile

    def _send(self) -> None:
        """As much as the window, the cap and the memory have room for. Oldest uploads first."""
        self._lacks = Lack.SOURCE
        while self._shared.in_flight < self._shared.window:
            upload = next((upload for upload in self._active if upload.wants_to_send()), None)
            # Uploads that wait for an open, a Create or a Complete take no place in the window.
            if upload is None and self._queued and len(self._active) < 2 * self._shared.settings.window:
                upload = self._queued.popleft()
                if upload.future.set_running_or_notify_cancel():
                    self._active.append(upload)
                    upload.start()
                continue
            is_small_turn = self._is_small_turn(upload)
            if upload is None and not is_small_turn:
                return
            if not self._shared.rate.admits(self._shared.in_flight):
                self._lacks = Lack.RATE
                return
            if is_small_turn or upload is None:
                if not self._small.send():
                    self._lacks = Lack.MEMORY
                    return
            elif not upload.send():
                # No memory: wait for a part to end, and let nobody overtake but those that have theirs already.
                upload = next((upload for upload in self._active if upload.holds_next()), None)
                if upload is None:
                    self._lacks = Lack.MEMORY
                    return
                upload.send()

    def _is_small_turn(self, upload: Upload | None) -> bool:
        """Parts of large files and batches of small ones have half of the window each."""
        small = self._small
        return small.wants_to_send() and (upload is None or 2 * small.in_flight <= self._shared.in_flight)

    @property
    def _is_active(self) -> bool:
        return bool(self._active or self._queued) or not self._small.is_idle

    def _tick_while_active(self) -> None:
        if not self._is_ticking and self._is_active:
            self._is_ticking = True
            self._shared.loop.call_later(_TICK_S, self._tick)
        if self._limit is not None and not self._is_steering and self._is_active:
            self._steer(self._limit)

    def _steer(self, limit: Callable[[], float | None]) -> None:
        """Keeps to the cap, while there are uploads."""
        shared, rate = self._shared, self._shared.rate
        self._is_steering = self._is_active
        # Paces what was decided at the look before: it shares it among those that are sending now.
        shared.links.pace(rate.pace_bytes_per_s)
        traffic = shared.links.traffic()
        acknowledged_bytes = traffic.acknowledged_bytes if traffic is not None else None
        rate.advance(time.monotonic(), limit(), acknowledged_bytes, shared.in_flight)
        if rate.most_requests is not None:
            self._shed(rate.most_requests)
        if self._is_steering:
            shared.loop.call_later(_STEER_S if rate.is_capped else _TICK_S, lambda: self._steer_on(limit))

    def _shed(self, most_requests: int) -> None:
        """Takes back what is in flight beyond so many, the newest first."""
        excess = self._shared.in_flight - most_requests
        for upload in reversed(self._active):
            excess -= upload.shed(excess) if excess > 0 else 0

    def _steer_on(self, limit: Callable[[], float | None]) -> None:
        self._steer(limit)
        self._pump()

    def _tick(self) -> None:
        """Ten times a second while there are uploads: what is late, whether anything moves, how large the window is."""
        self._is_ticking = False
        now_s, shared = time.monotonic(), self._shared
        wants_more = any(upload.wants_to_send() for upload in self._active)
        is_tail = not (self._queued or self._small.has_waiting or wants_more)
        for upload in list(self._active):
            upload.hurry(now_s, is_tail)
        traffic = shared.links.traffic()
        self._tune(now_s, traffic, 0 if is_tail else self._left_bytes())
        waiting = [(upload, reason) for upload in self._active if (reason := upload.waits_for) is not None]
        moved_bytes = traffic.acknowledged_bytes if traffic is not None else 0
        judgement = self._watchdog.look(now_s, shared.activity, moved_bytes, bool(waiting))
        if judgement.should_say and self._on_stall is not None:
            with contextlib.suppress(Exception):  # a mistake of the caller's touches no upload
                self._on_stall(f"nothing has moved for {judgement.idle_s:.0f} s: waiting for {waiting[0][1]}")
        if judgement.is_stalled:
            for upload, reason in waiting:
                text = f"{upload.job.uri}: nothing moved for {judgement.idle_s:.0f} s: waiting for {reason}"
                upload.fail(Stalled(text))
            ended = [upload for upload, _ in waiting]
            shared.loop.call_later(CANCEL_GRACE_S, lambda: self._end_stalled(ended))
        self._pump()

    def _left_bytes(self) -> int | None:
        """To be sent behind what is in flight; None: unknown."""
        left = [upload.left_bytes for upload in self._active]
        known = [left_bytes for left_bytes in left if left_bytes is not None]
        return sum(known) + self._small.left_bytes if len(known) == len(left) and not self._queued else None

    def _tune(self, now_s: float, traffic: Traffic | None, left_bytes: int | None) -> None:
        shared = self._shared
        lack = Lack.NOTHING if shared.in_flight >= shared.window else self._lacks
        if shared.rate.is_reached and lack is Lack.NOTHING:
            lack = Lack.RATE
        part_bytes = shared.rate.outstanding_bytes // max(1, shared.rate.requests)
        sample = self._meter.sample(now_s, traffic, shared.in_flight, part_bytes, shared.window, lack, left_bytes)
        if sample is None:
            return
        if sample.confirmed_bytes or sample.goodput_bytes:
            taken_bytes = sample.confirmed_bytes if sample.goodput_bytes is None else sample.goodput_bytes
            shared.link_rate = shared.link_rate.seen(taken_bytes / sample.elapsed_s, lack is not Lack.SOURCE)
        if self._tuning is None:
            return
        self._tuning, settings = decide(self._tuning, sample)
        shared.settings = replace(shared.settings, window=settings.window)
        if settings.sheds:
            self._shed(settings.window)
        if self._on_tuning is not None:
            with contextlib.suppress(Exception):  # a mistake of the caller's touches no upload
                self._on_tuning(sample, self._tuning)

    def _begin_tuning(self, bounds: Bounds, earlier: Settled | None) -> None:
        self._tuning = begin(bounds, earlier)
        self._shared.settings = replace(self._shared.settings, window=self._tuning.window)

    def _end_stalled(self, uploads: list[Upload]) -> None:
        """The store doesn't let go of them either."""
        self._refused += uploads
        for upload in uploads:
            text = f"{upload.job.uri}: nothing moved, and what is under way doesn't end"
            upload.refuse(Stalled(text, upload_id=upload.upload_id))

    def _give_up(self, uploads: list[Upload], reason: str) -> None:
        self._refused += uploads
        for upload in uploads:
            text = f"{upload.job.uri}: {reason}; the store doesn't answer: an upload with parts may be left on it"
            upload.refuse(Interrupted(text, upload_id=upload.upload_id))

    def _upload(self, job: Job, future: Future[Receipt]) -> Upload:
        return Upload(self._shared, job, future, self._finished, self._misjudged)

    def _misjudged(self, upload: Upload) -> None:
        """The store doesn't take what was guessed; now it is known what it takes."""
        again = self._upload(upload.job, upload.future)
        self._active[self._active.index(upload)] = again
        if self._is_closing:
            again.refuse(Interrupted(f"{upload.job.uri}: interrupted"))
        else:
            again.start()

    def _finished(self, upload: Upload) -> None:
        """The upload has resolved its future."""
        if upload in self._active:
            self._active.remove(upload)
        self._pump()

    def _crashed(self, error: BaseException) -> None:
        """A mistake of ours: every upload fails with it rather than hang."""
        self._is_closing = True

        def failure(job: Job) -> FastputError:
            failed = FastputError(f"{job.uri}: fastput failed inside: {type(error).__name__}: {error}")
            failed.__cause__ = error
            return failed

        for upload in [*self._active, *self._queued]:
            upload.refuse(failure(upload.job))
        self._small.stop(failure, 0.0)
        self._active.clear()
        self._queued.clear()
