"""One object's upload, from opening its source to the receipt. Runs on the loop's thread.

    start -> _opened -> _create -> _created -> (parts.py sends) -> _complete -> _completed
                 \\__________\\____________________\\_____________________\\-> fail -> settle -> abort

Nothing is left behind: a failed upload waits for what is in flight, aborts on the store, and closes its source before
its future is resolved.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fastput.engine.job import Job
from fastput.engine.links import Link
from fastput.engine.multipart import Completion, MultipartUpload, State
from fastput.engine.parts import PartSender, is_direct
from fastput.engine.plan import make_plan
from fastput.engine.shared import Shared
from fastput.errors import FastputError, ObjectExists, SourceChanged
from fastput.model import Checksum, Endpoint, Progress, Receipt, decode_crc, encode_crc
from fastput.native.crc import crc32c_combine
from fastput.source import Source
from fastput.store import Completed


class Upload:
    """Resolves its future exactly once, with a receipt or a FastputError."""

    def __init__(
        self, shared: Shared, job: Job, future: Future[Receipt], on_finished: Callable[[Upload], None]
    ) -> None:
        self.job = job
        self.future = future
        self._shared = shared
        self._on_finished = on_finished
        self._source: Source | None = None
        self._machine: MultipartUpload | None = None
        self._sender: PartSender | None = None
        self._calls = 0  # control calls under way
        self._error: FastputError | None = None
        self._is_finished = False
        self._started_at = 0.0

    # ---- towards the receipt

    @property
    def upload_id(self) -> str | None:
        """The multipart upload on the store, if one is known."""
        return self._machine.upload_id if self._machine is not None else None

    def start(self) -> None:
        """Opens the source."""
        self._started_at = time.time()
        self._control(self.job.open_source, self._opened)

    def _opened(self, source: Source) -> None:
        self._source = source
        if self._error is not None:
            return
        shared, copies = self._shared, 1 if is_direct(source, self.job.checksum) else 2
        plan = make_plan(source.size_bytes, shared.settings, shared.budget.limit_bytes, copies, shared.limits)
        self._machine = MultipartUpload(plan)
        self._sender = PartSender(shared, self.job, source, self._machine, self)
        if source.size_bytes is None:
            shared.pump()  # reads the first part; first_buffered() goes on
            return
        if (first := self._machine.peek()) is not None:
            source.will_send(first)  # the disk works while the store's client gets ready
        self._create(plan.is_multipart)

    def first_buffered(self, is_whole: bool) -> None:
        # A stream that fits one part is an object of its own.
        self._create(is_multipart=not is_whole)

    def _create(self, is_multipart: bool) -> None:
        job, shared = self.job, self._shared

        def create() -> tuple[Endpoint, Link, str | None]:
            if job.no_clobber and shared.store.exists(job.uri):
                text = f"{job.uri}: an object is there already, and --no-clobber was given"
                raise ObjectExists(text, bucket=job.uri.bucket, key=job.uri.key)
            upload_id = shared.store.create(job.uri, job.attributes, job.checksum) if is_multipart else None
            try:
                # After Create, which follows redirects to the bucket's own region.
                endpoint, link = shared.links.to(job.uri)
            except FastputError:
                if upload_id is not None:  # nobody else knows of it yet
                    shared.store.abort(job.uri, upload_id)
                raise
            return endpoint, link, upload_id

        self._control(create, self._created)

    def _created(self, answer: tuple[Endpoint, Link, str | None]) -> None:
        endpoint, link, upload_id = answer
        assert self._machine is not None and self._sender is not None
        self._machine.created(upload_id)
        if self._error is None:
            self._sender.connected(endpoint, link)
            self._shared.pump()

    def wants_to_send(self) -> bool:
        """Whether send() has something to do now."""
        return self._sender is not None and self._error is None and self._sender.wants_to_send()

    def send(self) -> bool:
        """Takes the next part on its way. False: there is no memory for it now."""
        assert self._sender is not None
        return self._sender.send()

    def confirmed(self) -> None:
        self._report()
        assert self._machine is not None
        if self._machine.is_whole:
            self._complete(self._machine.complete())

    def _complete(self, completion: Completion) -> None:
        job, source, store, sender = self.job, self._source, self._shared.store, self._sender
        assert source is not None and sender is not None

        def complete() -> tuple[Completion, Completed]:
            try:
                source.check_unchanged()
            except SourceChanged as error:
                if completion.upload_id is None:  # the object is there, whole, as the file was when it was read
                    raise SourceChanged(f"{error.message}; {job.uri} holds what it was before") from None
                raise
            if completion.upload_id is None:
                return completion, Completed(completion.parts[0].etag, sender.version_id)
            return completion, store.complete(
                job.uri,
                completion.upload_id,
                completion.parts,
                completion.size_bytes,
                job.checksum,
                _object_checksum(job.checksum, completion),
                job.no_clobber,
            )

        self._control(complete, self._completed)

    def _completed(self, answer: tuple[Completion, Completed]) -> None:
        completion, completed = answer
        assert self._machine is not None and self._source is not None and self._sender is not None
        self._machine.completed()
        if self._error is not None:
            self._error = None  # cancelled too late: the object is there
        receipt = Receipt(
            source=self._source.name,
            bucket=self.job.uri.bucket,
            key=self.job.uri.key,
            version_id=completed.version_id,
            etag=completed.etag,
            size_bytes=completion.size_bytes,
            crc64nvme=encode_crc(completion.crc64nvme, Checksum.CRC64NVME),
            checksum=self.job.checksum.value,
            parts=completion.parts,
            source_stat=self._source.stat(),
            upload_id=completion.upload_id,
            started_at=self._started_at,
            ended_at=time.time(),
            resent_bytes=self._sender.resent_bytes,
        )
        self._finish(receipt)

    # ---- failing

    def fail(self, error: FastputError) -> None:
        """Gives up. The first error counts."""
        if self._error is not None or self._is_finished:
            return
        self._error = error
        if self._sender is not None:
            self._sender.stop()
        self.settle()

    def settle(self) -> None:
        """When nothing is under way any more: aborts on the store, then reports the error."""
        is_idle = self._calls == 0 and (self._sender is None or self._sender.is_idle)
        if self._error is None or not is_idle or self._is_finished:
            return
        machine = self._machine
        if machine is None or machine.state is State.DONE:
            self._finish(self._error)
            return
        error, upload_id = self._error, machine.abort()
        if upload_id is None:
            self._finish(error)
            return

        def abort() -> None:
            try:
                self._shared.store.abort(self.job.uri, upload_id)
            except FastputError:
                error.upload_id = upload_id

        self._control(abort, lambda _: machine.aborted())

    def refuse(self, error: FastputError) -> None:
        """Resolves the future without waiting for anything; what is under way is still cleaned up when it ends."""
        if not self.future.done():
            self._error = self._error or error
            self.future.set_exception(error)

    def guard(self, event: Callable[[], None]) -> None:
        """Runs an event; what it raises fails this upload only."""
        try:
            event()
        except FastputError as error:
            self.fail(error)
        except Exception as error:
            failure = FastputError(f"{self.job.uri}: failed inside: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.fail(failure)

    # ---- ending

    def _finish(self, outcome: Receipt | FastputError) -> None:
        self._is_finished = True
        if self._source is not None:
            self._source.close()
        # First out of the engine: who waits for the future may look at the counters.
        self._on_finished(self)
        if self.future.done():
            pass  # refused before, or cancelled while it was queued
        elif isinstance(outcome, Receipt):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)

    def _control(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Runs blocking work elsewhere, then goes on here."""
        self._calls += 1

        def done(future: Future[Any]) -> None:
            self._calls -= 1
            self.guard(lambda: then(future.result()))
            self.settle()

        self._shared.loop.control(work, done)

    def _report(self) -> None:
        if self.job.on_progress is None:
            return
        assert self._source is not None and self._machine is not None and self._sender is not None
        self.job.on_progress(
            Progress(
                uri=str(self.job.uri),
                sent_bytes=self._sender.sent_bytes,
                size_bytes=self._source.size_bytes,
                parts_confirmed=self._machine.confirmed_count,
                parts_in_flight=self._sender.in_flight,
            )
        )


def _object_checksum(checksum: Checksum, completion: Completion) -> str | None:
    """The full-object checksum that goes with Complete, combined from the parts'."""
    if checksum is Checksum.CRC64NVME:
        return encode_crc(completion.crc64nvme, checksum)
    if checksum is not Checksum.CRC32C:
        return None
    crc = 0
    for part in completion.parts:
        assert part.checksum is not None
        crc = crc32c_combine(crc, decode_crc(part.checksum), part.length_bytes)
    return encode_crc(crc, checksum)
