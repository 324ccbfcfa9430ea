"""One object's upload, from opening its source to the receipt. Runs on the loop's thread.

    start -> _was_prepared -> _create -> _created -> (parts.py sends) -> _complete -> _completed
                 \\_____________\\__________\\_____________\\_______________\\-> fail -> settle -> leave or abort

A failed upload waits for what is in flight. If an earlier run's journal or this one's can bring it on later, its parts
stay on the store; otherwise it is aborted there. When what the probe had begun is off the store, too, its source is
closed and its future resolved.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fastput.engine.digests import Digests, digest_source
from fastput.engine.job import Job
from fastput.engine.keeper import JournalEnd, Keeper
from fastput.engine.multipart import Completion, MultipartUpload, State
from fastput.engine.parts import PartSender
from fastput.engine.prepare import Created, Preparation, Prepared
from fastput.engine.resume import is_md5
from fastput.engine.shared import Shared
from fastput.errors import (
    FastputError,
    IntegrityError,
    Interrupted,
    JournalError,
    ObjectExists,
    Resumable,
    SourceChanged,
    StoreError,
    UploadGone,
    UsageError,
)
from fastput.model import Checksum, ConfirmedPart, Progress, Receipt, encode_crc
from fastput.profile import StoreProfile
from fastput.source import Source
from fastput.store import Completed
from fastput.units import format_size

# What a store says that doesn't take what it took when it was probed.
_STORE_HAS_CHANGED = {"NotImplemented", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest"}


class _Misjudged(FastputError):
    """The upload was begun in a way that the store doesn't take."""


def _is_final(error: FastputError) -> bool:
    """Nothing of the upload is of use to a later run."""
    # Complete that was refused for its bytes would be refused again: the parts that the store has aren't ours.
    is_wrong_whole = isinstance(error, IntegrityError) and error.part is None
    return isinstance(error, (SourceChanged, UploadGone, ObjectExists, UsageError, _Misjudged)) or is_wrong_whole


class Upload:
    """Resolves its future exactly once, with a receipt or a FastputError."""

    def __init__(
        self,
        shared: Shared,
        job: Job,
        future: Future[Receipt],
        on_finished: Callable[[Upload], None],
        on_misjudged: Callable[[Upload], None],
    ) -> None:
        self.job = job
        self.future = future
        self._shared = shared
        self._on_finished = on_finished
        self._on_misjudged = on_misjudged
        self._source: Source | None = None
        self._preparation: Preparation | None = None
        self._prepared: Prepared | None = None
        self._machine: MultipartUpload | None = None
        self._sender: PartSender | None = None
        self._keeper: Keeper | None = None
        self._digests: Digests | None = None
        self._digest_values: dict[str, str] = {}
        self._calls = 0  # control calls under way
        self._doing = ""  # what they do, for people
        self._error: FastputError | None = None
        self._is_finished = False
        self._is_first_whole = False  # one part of a stream is all of it
        self._journal_end = JournalEnd()
        self._started_at = 0.0

    # ---- towards the receipt

    @property
    def upload_id(self) -> str | None:
        """The multipart upload on the store, if one is known."""
        return self._machine.upload_id if self._machine is not None else None

    @property
    def left_bytes(self) -> int | None:
        """To be sent behind what is in flight; None: unknown."""
        return self._machine.left_bytes if self._machine is not None else None

    @property
    def waits_for(self) -> str | None:
        """What holds it up, for people; None: nothing that could be late."""
        if self._calls:
            return f"{self.job.uri}: {self._doing}"
        return self._sender.waits_for if self._sender is not None else None

    def start(self) -> None:
        """Opens the source, and finds out where to."""
        self._started_at = time.time()
        shared, job = self._shared, self.job

        def prepare() -> Prepared:
            job.check_wanted()
            self._source = source = self._open()
            self._doing = "the store to say what it takes and has"
            self._preparation = preparation = Preparation(
                job, source, shared.store, shared.links, shared.settings, shared.limits, shared.budget.limit_bytes,
                shared.retry, shared.stop, shared.state_directory,
            )  # fmt: skip
            self._prepared = prepared = preparation.run()
            self._journal_end.holds(prepared.journal)
            return prepared

        self._control("its source to be opened", prepare, self._was_prepared)

    def _open(self) -> Source:
        source, compression = self.job.open_source(), self.job.compression
        if compression is None:
            return source
        from fastput.codec import ZstdCodec  # only who compresses pays for it
        from fastput.engine.encoded import EncodedSource

        return EncodedSource(source, ZstdCodec(), compression, lambda: self._shared.link_rate)

    def _was_prepared(self, prepared: Prepared) -> None:
        source, shared = self._source, self._shared
        assert source is not None
        taken = prepared.taken
        if prepared.journal is not None:
            self._keeper = Keeper(shared.loop, prepared.journal, self.job.note)
        self._machine = MultipartUpload(prepared.plan, taken.parts if taken is not None else ())
        if taken is not None and taken.done is not None:
            self._machine.taken_over(taken.upload_id)
            done, names = taken.done, self.job.digests

            def finish() -> tuple[Completion, Completed]:
                if names:
                    self._digest_values = digest_source(source, names, shared.stop)
                self._journal_end.end(removes=True)
                return done

            self._control(f"{source.name} to be read", finish, self._completed)
            return
        if taken is not None:
            self._machine.created(taken.upload_id)
        if self._error is not None:
            return
        # What earlier runs have sent isn't read in order: its digests come at the end, from a pass of their own.
        self._digests = Digests(self.job.digests) if self.job.digests and not self._machine.resumed_bytes else None
        self._sender = PartSender(
            shared, self.job, source, prepared.protection, self._machine, self._digests, self
        )
        if taken is not None:
            text = f"{self._machine.confirmed_count} parts, {format_size(self._machine.resumed_bytes)}"
            self.job.note(f"{self.job.uri}: going on with an earlier upload: {text} are there already")
        if source.size_bytes is None:
            shared.pump()  # reads the first part; first_buffered() goes on
        else:
            if (first := self._machine.peek()) is not None:
                source.will_send(first)  # the disk works while the store's client gets ready
            self._create(prepared.plan.is_multipart)
        if prepared.is_guess:
            assert self._preparation is not None
            ask = functools.partial(self._preparation.ask, prepared.endpoint, prepared.link)
            self._control("the store to say what it takes", ask, self._was_told)

    def _was_told(self, profile: StoreProfile) -> None:
        """What the store takes, of which there was only a guess so far."""
        assert self._prepared is not None and self._machine is not None
        if (prepared := self._prepared.told(profile)) is not None:
            self._prepared = prepared
            if self._is_first_whole:
                self._create(is_multipart=False)
            elif self._machine.is_whole:
                self.confirmed(None)
            return
        if isinstance(self._error, StoreError):
            self._error = None  # it refused what it doesn't take
        self.fail(_Misjudged(f"{self.job.uri}: the store doesn't take {self._prepared.protection.checksum.value}"))

    def first_buffered(self, is_whole: bool) -> None:
        # A stream that fits one part is an object of its own; none is made by a guess.
        assert self._prepared is not None
        self._is_first_whole = is_whole
        if not (is_whole and self._prepared.is_guess):
            self._create(is_multipart=not is_whole)

    def _create(self, is_multipart: bool) -> None:
        preparation, prepared = self._preparation, self._prepared
        assert preparation is not None and prepared is not None
        if not is_multipart and prepared.taken is None:
            self._created(Created(prepared.endpoint, prepared.link, None, None))
            return

        def create() -> Created:
            created = preparation.create(prepared)
            if created.journal_error is not None and self._keeper is not None:
                self._keeper.broken(created.journal_error)
            return created

        self._control("the multipart upload to be created", create, self._created)

    def _created(self, created: Created) -> None:
        assert self._machine is not None and self._sender is not None
        created.link.is_reached |= created.upload_id is not None
        if self._machine.state is State.CREATING:
            self._machine.created(created.upload_id)
        if self._error is not None:
            return
        self._sender.connected(created.endpoint, created.link)
        if self._machine.is_whole:  # an earlier run sent all of it
            self.confirmed(None)
        self._shared.pump()

    def wants_to_send(self) -> bool:
        """Whether send() has something to do now."""
        return self._sender is not None and self._error is None and self._sender.wants_to_send()

    def shed(self, most: int) -> int:
        """Takes back requests; returns how many."""
        return self._sender.shed(most) if self._sender is not None else 0

    def holds_next(self) -> bool:
        """Whether send() has something to do that needs no memory."""
        return self.wants_to_send() and self._sender is not None and self._sender.holds_next()

    def send(self) -> bool:
        """Takes the next part on its way. False: there is no memory for it now."""
        assert self._sender is not None
        return self._sender.send()

    def hurry(self, now_s: float, is_tail: bool) -> None:
        """Sends parts again that take too long."""
        if (sender := self._sender) is not None and self._error is None:
            self.guard(lambda: sender.hurry(now_s, is_tail))

    def confirmed(self, part: ConfirmedPart | None) -> None:
        machine, sender = self._machine, self._sender
        assert machine is not None and sender is not None
        if part is not None and self._keeper is not None and machine.upload_id is not None:
            self._keeper.note(part)
        self._report()
        # Not before the last request has ended: a part that arrives after Complete would be left over.
        is_judged = self._prepared is not None and not self._prepared.is_guess
        if self._error is None and machine.is_whole and sender.is_idle and is_judged:
            completion = machine.complete()
            if self._keeper is None:
                self._complete(completion)
            else:
                self._keeper.when_written(lambda: self.guard(lambda: self._complete(completion)))

    def _complete(self, completion: Completion) -> None:
        job, source, sender, prepared = self.job, self._source, self._sender, self._prepared
        assert source is not None and sender is not None and prepared is not None
        if self._error is not None:
            self.settle()
            return
        digests_again = job.digests if self._digests is None else ()

        def complete() -> tuple[Completion, Completed]:
            try:
                source.check_unchanged()
            except SourceChanged as error:
                if completion.upload_id is None:  # the object is there, whole, as the file was when it was read
                    raise SourceChanged(f"{error.message}; {job.uri} holds what it was before") from None
                raise
            if digests_again:
                self._digest_values = digest_source(source, digests_again, self._shared.stop)
            self._shared.links.wait_until_clean()
            if completion.upload_id is None:
                self._journal_end.end(removes=True)  # of an earlier run that had begun with parts
                # An answer may repeat what it was told: it counts where the store was seen to look.
                kept = sender.kept_crc64nvme if prepared.protection.is_checked else None
                checksums = {"crc64nvme": kept} if kept is not None else {}
                return completion, Completed(completion.parts[0].etag, sender.version_id, checksums)
            if prepared.journal is not None and self._keeper is not None and not self._keeper.is_broken:
                try:
                    prepared.journal.completing(completion.crc64nvme)
                except JournalError as error:
                    self._keeper.broken(error)
            completed = prepared.finisher.complete(completion)
            self._journal_end.end(removes=True)
            return completion, completed

        self._control("the multipart upload to be completed", complete, self._completed)

    def _completed(self, answer: tuple[Completion, Completed]) -> None:
        completion, completed = answer
        machine, source, prepared = self._machine, self._source, self._prepared
        assert machine is not None and source is not None and prepared is not None
        machine.completed()
        if self._error is not None:
            self._error = None  # cancelled too late: the object is there
        crc64nvme = encode_crc(completion.crc64nvme, Checksum.CRC64NVME)
        is_kept = completed.checksums.get("crc64nvme") == crc64nvme
        protection = prepared.protection
        receipt = Receipt(
            source=source.name,
            bucket=self.job.uri.bucket,
            key=self.job.uri.key,
            version_id=completed.version_id,
            etag=completed.etag,
            size_bytes=completion.size_bytes,
            crc64nvme=crc64nvme,
            checksum=protection.checksum.value,
            is_checked=protection.is_checked or self._is_compared(completion),
            is_kept=is_kept,
            parts=completion.parts,
            source_stat=source.stat(),
            upload_id=completion.upload_id,
            started_at=self._started_at,
            ended_at=time.time(),
            resent_bytes=self._sender.resent_bytes if self._sender is not None else 0,
            resumed_bytes=machine.resumed_bytes,
            digests=self._digests.hexdigests() if self._digests is not None else self._digest_values,
            content=source.content(),
        )
        self._finish(receipt)

    def _is_compared(self, completion: Completion) -> bool:
        """--verify etag has compared every part's MD5 with the store's."""
        has_opaque = self._sender is None or self._sender.has_opaque_etags
        return self.job.verifies_etag and not has_opaque and all(is_md5(part.etag) for part in completion.parts)

    # ---- failing

    def fail(self, error: FastputError, grace_s: float = 0.0) -> None:
        """Gives up. The first error counts. What is in flight has so long to end by itself."""
        if self._error is not None or self._is_finished:
            return
        self._error = error
        if self._sender is not None:
            self._sender.stop(grace_s)
        self.settle()

    def settle(self) -> None:
        """When nothing is under way any more: leaves the upload to a later run or aborts it, then reports the error."""
        is_idle = self._calls == 0 and (self._sender is None or self._sender.is_idle)
        if self._error is None or not is_idle or self._is_finished:
            return
        machine, error = self._machine, self._error
        if machine is None or machine.state is State.DONE:
            self._end(error)
        elif self.is_worth_keeping and not _is_final(error):
            machine.leave()

            def put_away() -> None:
                self._error = self._with_hint(error)

            self._when_written(lambda: self._journal_end.end(removes=False), put_away)
        else:
            self._abort(machine, error)

    def _abort(self, machine: MultipartUpload, error: FastputError) -> None:
        upload_id = machine.abort()
        is_gone = isinstance(error, UploadGone)

        def abort() -> None:
            try:
                if upload_id is not None and not is_gone:
                    self._shared.store.abort(self.job.uri, upload_id)
            except FastputError:
                error.upload_id = upload_id
            self._journal_end.end(removes=True)

        if upload_id is None and self._keeper is None:
            self._end(error)
            return
        self._when_written(abort, machine.aborted)

    def _when_written(self, work: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Runs work on a control thread when the journal isn't in use."""

        def go() -> None:
            self._control("the upload to be put away", work, lambda _: then())

        if self._keeper is None:
            go()
        else:
            self._calls += 1  # not settled before it is written

            def written() -> None:
                self._calls -= 1
                go()

            self._keeper.when_written(written)

    @property
    def is_worth_keeping(self) -> bool:
        """A later run can go on with what the store has."""
        machine, source = self._machine, self._source
        has_parts = machine is not None and machine.upload_id is not None and machine.confirmed_count > 0
        can_resume = self.job.is_resumable and source is not None and source.stat() is not None
        return has_parts and can_resume

    def _with_hint(self, error: FastputError) -> FastputError:
        """The error, saying what is kept and how to go on."""
        machine, source = self._machine, self._source
        assert machine is not None and source is not None
        if isinstance(error, Interrupted) and not isinstance(error, Resumable):
            error = Resumable(error.message, bucket=error.bucket, key=error.key)
        error.upload_id = machine.upload_id
        has_journal = self._keeper is not None and not self._keeper.is_broken
        how = "put it again" if has_journal else f"fastput uploads resume {self.job.uri} {source.name}"
        kept = f"{format_size(machine.confirmed_bytes)} of {format_size(source.size_bytes or 0)}"
        error.hint = f"{kept} are kept on the store: {how} to go on from there"
        return error

    def refuse(self, error: FastputError) -> None:
        """Resolves the future without waiting for anything; what is under way is still cleaned up when it ends."""
        if not self.future.done() and not self._is_finished:
            if self._error is not None and not isinstance(self._error, Interrupted):
                error = self._error  # what it was before it couldn't even be put away
            self._error = error
            if self.is_worth_keeping and not _is_final(error):
                error = self._with_hint(error)
            elif error.upload_id is None:
                error.upload_id = self.upload_id  # nobody knows whether it could still be aborted
            if self._keeper is not None and self._keeper.is_idle:
                self._journal_end.end(removes=False)  # who puts it again must not wait for what never ends
            # Out of the engine: what never ends must not keep others waiting.
            self._on_finished(self)
            self.future.set_exception(error)

    def let_go(self) -> None:
        """After the loop has stopped: a store still holds a call of an upload that was refused."""
        if not self._is_finished:
            self._is_finished = True
            if self._source is not None:
                self._source.close()
            self._journal_end.end(removes=False)

    def guard(self, event: Callable[[], Any]) -> None:
        """Runs an event; what it raises fails this upload only."""
        try:
            event()
        except FastputError as error:
            self.fail(error)
        except Exception as error:
            failure = FastputError(f"{self.job.uri}: failed inside: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.fail(failure)
        if self._error is not None:
            self.settle()  # what was cut short may have been the last thing that was waited for

    # ---- ending

    def _end(self, error: FastputError) -> None:
        """Says how it failed when what was begun to find out what the store takes is off it, too."""
        links = self._shared.links
        if links.is_clean:
            self._finish(error)
        else:
            what = "what was begun to ask the store to be aborted"
            self._control(what, links.wait_until_clean, lambda _: self._finish(error))

    def _finish(self, outcome: Receipt | FastputError) -> None:
        self._is_finished = True
        if isinstance(outcome, StoreError) and outcome.code in _STORE_HAS_CHANGED and self._prepared is not None:
            self._shared.links.distrust(self._prepared.endpoint, self._prepared.link)
        if self._source is not None:
            self._source.close()
        if isinstance(outcome, _Misjudged):
            if self._sender is not None:
                self._sender.forget_sent()
            if outcome.upload_id is not None:
                self.job.note(f"{outcome.message}: multipart upload {outcome.upload_id} is left on the store")
            self._on_misjudged(self)
            return
        # First out of the engine: who waits for the future may look at the counters.
        self._on_finished(self)
        if self.future.done():
            pass  # refused before, or cancelled while it was queued
        elif isinstance(outcome, Receipt):
            self.future.set_result(outcome)
        else:
            self.future.set_exception(outcome)

    def _control(self, doing: str, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Runs blocking work elsewhere, then goes on here."""
        self._calls += 1
        self._doing = doing

        def done(future: Future[Any]) -> None:
            self._calls -= 1
            self._shared.activity += 1
            self.guard(lambda: then(future.result()))
            self.settle()

        self._shared.loop.control(work, done)

    def _report(self) -> None:
        if self.job.on_progress is None or self._error is not None:
            return
        assert self._source is not None and self._machine is not None and self._sender is not None
        self.job.on_progress(
            Progress(
                uri=str(self.job.uri),
                sent_bytes=self._sender.sent_bytes + self._machine.resumed_bytes,
                size_bytes=self._source.size_bytes,
                parts_confirmed=self._machine.confirmed_count,
                parts_in_flight=self._sender.in_flight,
            )
        )
