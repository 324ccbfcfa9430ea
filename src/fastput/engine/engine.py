"""All uploads of a client: who may send next, within the window and the memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from fastput.engine.budget import Budget
from fastput.engine.job import Job
from fastput.engine.links import Connect, Links
from fastput.engine.loop import Loop
from fastput.engine.retry import RetryPolicy
from fastput.engine.shared import Shared
from fastput.engine.upload import Upload
from fastput.engine.watchdog import Watchdog
from fastput.errors import FastputError, Interrupted, Stalled
from fastput.limits import AMAZON_S3, StoreLimits
from fastput.model import Receipt
from fastput.profile import StoreProfile
from fastput.store import Store
from fastput.tuner import Settings

CANCEL_GRACE_S = 5.0
# What is in flight when an upload is interrupted may end by itself: a part that is nearly there needn't be sent again.
DRAIN_S = 2.0
STALL_TIMEOUT_S = 300.0
_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's counters at one moment, for displays. Bytes are object bytes."""

    sent_bytes: int
    resent_bytes: int
    in_flight: int
    window: int
    reserved_bytes: int
    uploads: int


class Engine:
    """The loop's thread owns everything here.

    Args:
        connect: makes a transport to an endpoint; called on a thread that may block.
        retry: for whatever fails.
        state_directory: makes and returns where journals and profiles are kept; None: nowhere.
        profile: what all endpoints take, if it is known.
        probes_again: what is remembered of endpoints isn't believed.
        stall_timeout_s: how long nothing at all may move before uploads end with Stalled.
        on_stall: told what it is waiting for while nothing moves; on the engine's thread.
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
        self._is_ticking = False
        self._queued: deque[Upload] = deque()
        self._active: list[Upload] = []
        self._refused: list[Upload] = []  # without waiting for what they had under way
        self._is_closing = False

    def submit(self, job: Job) -> Future[Receipt]:
        """Queues an upload. Any thread."""
        future: Future[Receipt] = Future()
        upload = Upload(self._shared, job, future, self._finished)

        def enqueue() -> None:
            if self._is_closing:
                upload.refuse(Interrupted(f"{job.uri}: the client is closed"))
                return
            self._queued.append(upload)
            self._pump()

        self._shared.loop.call(enqueue)
        return future

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
        self._shared.links.close()
        self._shared.store.close()

    def _pump(self) -> None:
        """Sends and starts whatever the window and the memory have room for. Oldest uploads first."""
        self._tick_while_active()
        while self._shared.in_flight < self._shared.window:
            upload = next((upload for upload in self._active if upload.wants_to_send()), None)
            if upload is None:
                # Uploads that wait for an open, a Create or a Complete take no place in the window.
                if not self._queued or len(self._active) >= 2 * self._shared.settings.window:
                    return
                upload = self._queued.popleft()
                if upload.future.set_running_or_notify_cancel():
                    self._active.append(upload)
                    upload.start()
            elif not upload.send():
                # No memory: wait for a part to end, and let nobody overtake but those that have theirs already.
                upload = next((upload for upload in self._active if upload.holds_next()), None)
                if upload is None:
                    return
                upload.send()

    def _tick_while_active(self) -> None:
        if not self._is_ticking and (self._active or self._queued):
            self._is_ticking = True
            self._shared.loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Twice a second while there are uploads: requests that take too long, and whether anything moves at all."""
        self._is_ticking = False
        now_s, shared = time.monotonic(), self._shared
        is_tail = not self._queued and not any(upload.wants_to_send() for upload in self._active)
        for upload in list(self._active):
            upload.hurry(now_s, is_tail)
        waiting = [(upload, reason) for upload in self._active if (reason := upload.waits_for) is not None]
        # Without a part in flight it could only be control calls that are said again and again: nothing moves by that.
        moved_bytes = shared.links.moved_bytes if shared.in_flight else lambda: 0
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

    def _finished(self, upload: Upload) -> None:
        """The upload has resolved its future."""
        if upload in self._active:
            self._active.remove(upload)
        self._pump()

    def _crashed(self, error: BaseException) -> None:
        """A mistake of ours: every upload fails with it rather than hang."""
        self._is_closing = True
        for upload in [*self._active, *self._queued]:
            failure = FastputError(f"{upload.job.uri}: fastput failed inside: {type(error).__name__}: {error}")
            failure.__cause__ = error
            upload.refuse(failure)
        self._active.clear()
        self._queued.clear()
