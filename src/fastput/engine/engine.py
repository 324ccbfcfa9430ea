"""All uploads of a client: who may send next, within the window and the memory."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from fastput.engine.budget import Budget
from fastput.engine.job import Job
from fastput.engine.links import Connect, Links
from fastput.engine.loop import Loop
from fastput.engine.retry import RetryPolicy
from fastput.engine.shared import Shared
from fastput.engine.upload import Upload
from fastput.errors import FastputError, Interrupted
from fastput.limits import AMAZON_S3, StoreLimits
from fastput.model import Receipt
from fastput.store import Store
from fastput.tuner import Settings

CANCEL_GRACE_S = 5.0


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
    """The loop's thread owns everything here."""

    def __init__(
        self,
        store: Store,
        connect: Connect,
        settings: Settings,
        memory_bytes: int,
        limits: StoreLimits = AMAZON_S3,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._shared = Shared(
            loop=Loop(self._crashed),
            store=store,
            links=Links(store, connect),
            limits=limits,
            settings=settings,
            retry=retry or RetryPolicy(),
            budget=Budget(memory_bytes),
            pump=self._pump,
        )
        self._queued: deque[Upload] = deque()
        self._active: list[Upload] = []
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
            window=shared.settings.window,
            reserved_bytes=shared.budget.reserved_bytes,
            uploads=len(self._active) + len(self._queued),
        )

    def cancel(self, reason: str) -> None:
        """Ends all uploads with Interrupted. Any thread.

        Their futures resolve when nothing of them is in flight or on the store any more; after five seconds, because
        a store doesn't answer, even so, and the error says that something may be left.
        """

        def end() -> None:
            self._is_closing = True
            uploads = [*self._active, *self._queued]
            self._queued.clear()
            for upload in uploads:
                upload.fail(Interrupted(f"{upload.job.uri}: {reason}"))
            self._shared.loop.call_later(CANCEL_GRACE_S, lambda: self._give_up(uploads, reason))

        self._shared.loop.call(end)

    def close(self) -> None:
        """Ends the threads and connections. Call it when all futures are resolved."""
        self._shared.loop.stop()
        self._shared.links.close()
        self._shared.store.close()

    def _pump(self) -> None:
        """Sends and starts whatever the window and the memory have room for. Oldest uploads first."""
        while self._shared.in_flight < self._shared.settings.window:
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
                return  # no memory: wait for a part to end, and let nobody overtake

    def _give_up(self, uploads: list[Upload], reason: str) -> None:
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
