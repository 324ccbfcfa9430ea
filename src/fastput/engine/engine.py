"""All uploads of a client: who may send next, within the window and the memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from fastput.engine.budget import Budget
from fastput.engine.job import Job
from fastput.engine.loop import Loop
from fastput.engine.retry import RetryPolicy
from fastput.engine.upload import Upload
from fastput.errors import FastputError, Interrupted
from fastput.limits import AMAZON_S3, StoreLimits
from fastput.model import Credentials, Endpoint, ObjectUri, Receipt, TlsOptions
from fastput.store import Store
from fastput.transport import Transport
from fastput.tuner import Settings

Connect = Callable[[Endpoint, Callable[[], Credentials], TlsOptions], Transport]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine's counters at one moment, for displays. Bytes are object bytes."""

    sent_bytes: int
    resent_bytes: int
    in_flight: int
    window: int
    reserved_bytes: int
    uploads: int


class Link:
    """A transport and whether anything was ever heard through it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.has_answered = False


class Engine:
    """The loop's thread owns everything here but _links, which control threads fill under _links_lock."""

    def __init__(
        self,
        store: Store,
        connect: Connect,
        settings: Settings,
        memory_bytes: int,
        limits: StoreLimits = AMAZON_S3,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.store = store
        self.limits = limits
        self.settings = settings
        self.retry = retry or RetryPolicy()
        self.budget = Budget(memory_bytes)
        self.sent_bytes = 0
        self.resent_bytes = 0
        self.in_flight = 0
        self._connect = connect
        self._links: dict[tuple[str, str, int, str], Link] = {}
        self._links_lock = threading.Lock()
        self._queued: deque[Upload] = deque()
        self._active: list[Upload] = []
        self._is_closing = False
        self.loop = Loop(self._crashed)

    def submit(self, job: Job) -> Future[Receipt]:
        """Queues an upload. Any thread."""
        future: Future[Receipt] = Future()
        upload = Upload(self, job, future)

        def enqueue() -> None:
            if self._is_closing:
                upload.refuse(Interrupted(f"{job.uri}: the client is closed"))
                return
            self._queued.append(upload)
            self.pump()

        self.loop.call(enqueue)
        return future

    def apply(self, settings: Settings) -> None:
        """Changes the window, and the size of parts not planned yet, while transfers run. Any thread."""

        def change() -> None:
            self.settings = settings
            self.pump()

        self.loop.call(change)

    def snapshot(self) -> Snapshot:
        """Any thread; the numbers may be of neighbouring moments."""
        return Snapshot(
            sent_bytes=self.sent_bytes,
            resent_bytes=self.resent_bytes,
            in_flight=self.in_flight,
            window=self.settings.window,
            reserved_bytes=self.budget.reserved_bytes,
            uploads=len(self._active) + len(self._queued),
        )

    def cancel(self, reason: str) -> None:
        """Ends all uploads with Interrupted; their futures resolve when nothing is in flight any more. Any thread."""

        def end() -> None:
            self._is_closing = True
            uploads = [*self._active, *self._queued]
            self._queued.clear()
            for upload in uploads:
                upload.fail(Interrupted(f"{upload.job.uri}: {reason}"))

        self.loop.call(end)

    def close(self) -> None:
        """Ends the threads and connections. Call it when all futures are resolved."""
        self.loop.stop()
        for link in self._links.values():
            link.transport.close()
        self.store.close()

    def link(self, uri: ObjectUri) -> tuple[Endpoint, Link]:
        """The way to a bucket, made if it isn't there yet. Control threads only: it may import, resolve, read files."""
        endpoint = self.store.endpoint(uri)
        identity = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.region)
        with self._links_lock:
            if identity not in self._links:
                transport = self._connect(endpoint, self.store.credentials, self.store.tls())
                self._links[identity] = Link(transport)
            return endpoint, self._links[identity]

    def pump(self) -> None:
        """Sends and starts whatever the window and the memory have room for. Oldest uploads first."""
        while self.in_flight < self.settings.window:
            upload = next((upload for upload in self._active if upload.wants_to_send()), None)
            if upload is None:
                # Uploads that wait for an open, a Create or a Complete take no place in the window.
                if not self._queued or len(self._active) >= 2 * self.settings.window:
                    return
                upload = self._queued.popleft()
                if upload.future.set_running_or_notify_cancel():
                    self._active.append(upload)
                    upload.start()
            elif not upload.send():
                return  # no memory: wait for a part to end, and let nobody overtake

    def finished(self, upload: Upload) -> None:
        """The upload has resolved its future."""
        if upload in self._active:
            self._active.remove(upload)
        self.pump()

    def _crashed(self, error: BaseException) -> None:
        """A mistake of ours: every upload fails with it rather than hang."""
        self._is_closing = True
        for upload in [*self._active, *self._queued]:
            failure = FastputError(f"{upload.job.uri}: fastput failed inside: {type(error).__name__}: {error}")
            failure.__cause__ = error
            upload.refuse(failure)
        self._active.clear()
        self._queued.clear()
