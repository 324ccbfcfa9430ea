"""Small files, some tens in a request's place: those that nobody has to open, plan or keep a journal for.

    add() -> waiting -> a batch on a connection of its own -> receipts

What goes wrong with a file is found out on the ordinary way, which has the patience and the words for it: the file is
handed back, and the others of its batch wait for another. Runs on the loop's thread.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fastput.engine.job import Job
from fastput.engine.links import Link
from fastput.engine.request import object_path, put_headers
from fastput.engine.shared import Shared
from fastput.errors import FastputError, Interrupted
from fastput.model import Checksum, ConfirmedPart, Endpoint, Receipt, SourceStat, encode_crc
from fastput.native import put
from fastput.native.put import Sent
from fastput.profile import Carriage, Protection
from fastput.transport import MOST_SMALL_BYTES, MOST_SMALL_FILES, SmallAnswer, SmallFile, Ticket

Outcome = Receipt | FastputError
OnDone = Callable[[Sequence[tuple[Job, Outcome]]], None]
# A batch ends within about so long where there is a cap.
_CAPPED_S = 0.5
_THROTTLING_STATUSES = (429, 503)


@dataclass(frozen=True, slots=True)
class _Waiting:
    job: Job
    on_done: OnDone


@dataclass(frozen=True, slots=True)
class _Way:
    """How a bucket's small files go; link is None: as all others."""

    endpoint: Endpoint | None = None
    link: Link | None = None
    protection: Protection | None = None


@dataclass(eq=False)
class _Batch:
    files: Sequence[_Waiting]
    way: _Way
    mean_bytes: int
    sent_at: float
    sent_at_s: float
    ticket: Ticket | None = None


class SmallFiles:
    """
    Args:
        hand_back: sends a file on the ordinary way.
    """

    def __init__(self, shared: Shared, hand_back: Callable[[Job, OnDone], None]) -> None:
        self._shared = shared
        self._hand_back = hand_back
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._batches: set[_Batch] = set()
        self._ways: dict[tuple[str, Checksum | None], _Way | None] = {}  # None: it is being found out
        self._on_probation = 0
        self._error: Callable[[Job], FastputError] | None = None

    @staticmethod
    def takes(job: Job) -> bool:
        """Whether nothing about it needs the ordinary way."""
        if job.file is None or job.file.size_bytes > MOST_SMALL_BYTES:
            return False
        wants_more = job.no_clobber or job.verifies_etag or job.digests or job.upload_id is not None
        return job.compression is None and not wants_more and job.checksum in (None, Checksum.CRC64NVME)

    def add(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        """Queues files; on_done is told of each of them once, of some at a time."""
        for job in jobs:
            assert job.file is not None
            self._waiting.append(_Waiting(job, on_done))
            self._waiting_bytes += job.file.size_bytes

    @property
    def left_bytes(self) -> int:
        """Of files that aren't on their way yet."""
        return self._waiting_bytes

    @property
    def has_waiting(self) -> bool:
        """Files that aren't on their way yet."""
        return bool(self._waiting)

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._batches

    @property
    def in_flight(self) -> int:
        return len(self._batches)

    def wants_to_send(self) -> bool:
        """Whether send() has something to do now. What isn't wanted any more ends here.

        While a file is on the ordinary way because of its connection or its store, the others wait for what it meets.
        """
        while self._waiting:
            try:
                self._waiting[0].job.check_wanted()
                break
            except Interrupted as error:
                file = self._take()
                file.on_done([(file.job, error)])
        if not self._waiting or self._on_probation:
            return False
        way = self._way(self._waiting[0].job)
        return way is not None

    def send(self) -> bool:
        """Takes the next batch on its way. False: there is no memory for it now."""
        shared = self._shared
        way = self._way(self._waiting[0].job)
        assert way is not None
        if way.link is None:
            file = self._take()
            self._hand_back(file.job, file.on_done)
            return True
        if not shared.budget.reserve(MOST_SMALL_BYTES):
            return False
        files = self._next_batch(way)
        size_bytes = sum(_size(file.job) for file in files)
        batch = _Batch(files, way, size_bytes // len(files), time.time(), time.monotonic())
        carried = [self._small_file(file.job, way) for file in files]
        loop = shared.loop
        batch.ticket = way.link.transport.send_small(
            carried, lambda answer: loop.call(lambda: self._answered(batch, answer))
        )
        if batch.ticket is None:
            self._put_back(files)
            shared.budget.release(MOST_SMALL_BYTES)
            self._ways[_way_key(files[0].job)] = _Way()
            return True
        self._batches.add(batch)
        shared.in_flight += 1
        shared.rate.charge(size_bytes)
        shared.rate.began(batch.mean_bytes)
        return True

    def stop(self, error: Callable[[Job], FastputError], grace_s: float) -> None:
        """Sends nothing more. What is on its way has so long to end by itself."""
        self._error = self._error or error
        files, self._waiting, self._waiting_bytes = list(self._waiting), deque(), 0
        for file in files:
            file.on_done([(file.job, error(file.job))])
        self._shared.loop.call_later(grace_s, self._cancel)

    def _cancel(self) -> None:
        for batch in self._batches:
            if batch.ticket is not None:
                batch.ticket.cancel()

    # ---- batches

    def _next_batch(self, way: _Way) -> list[_Waiting]:
        """Few where there are few, so that all connections have some; one bucket's."""
        shared = self._shared
        most = max(1, min(MOST_SMALL_FILES, len(self._waiting) // (2 * shared.window)))
        most_bytes = shared.rate.bytes_within(_CAPPED_S)
        files = [self._take()]
        key, taken_bytes = _way_key(files[0].job), _size(files[0].job)
        while len(files) < most and self._waiting and _way_key(self._waiting[0].job) == key:
            taken_bytes += _size(self._waiting[0].job)
            if most_bytes is not None and taken_bytes > most_bytes:
                break
            files.append(self._take())
        return files

    def _take(self) -> _Waiting:
        file = self._waiting.popleft()
        self._waiting_bytes -= _size(file.job)
        return file

    def _put_back(self, files: Sequence[_Waiting]) -> None:
        self._waiting.extendleft(reversed(files))
        self._waiting_bytes += sum(_size(file.job) for file in files)

    def _small_file(self, job: Job, way: _Way) -> SmallFile:
        assert job.file is not None and way.endpoint is not None and way.protection is not None
        names_encoding = way.protection.carriage is not Carriage.BARE_TRAILER
        known = job.file
        return SmallFile(
            known.path, known.size_bytes, known.mtime_ns, object_path(way.endpoint, job.uri),
            put_headers(job.attributes), names_encoding,
        )  # fmt: skip

    def _way(self, job: Job) -> _Way | None:
        """How files go to this one's bucket; None: that is being found out."""
        key = _way_key(job)
        if key not in self._ways:
            self._ways[key] = None
            self._shared.loop.control(lambda: self._find_way(job), lambda done: self._found_way(key, done))
        return self._ways[key]

    def _find_way(self, job: Job) -> _Way:
        """On a control thread: asks the store what it takes, if need be."""
        links = self._shared.links
        endpoint, link = links.to(job.uri)
        profile = links.profile(job.uri, endpoint, link, job.checksum, job.note)
        protection = profile.protection(job.checksum)
        is_small_way = protection.trailer == "crc64nvme" and not protection.is_before_body
        return _Way(endpoint, link, protection) if is_small_way else _Way()

    def _found_way(self, key: tuple[str, Checksum | None], done: Future[_Way]) -> None:
        # What goes wrong here goes wrong with each file, and is told with each.
        self._ways[key] = done.result() if done.exception() is None else _Way()
        self._shared.pump()

    # ---- answers

    def _answered(self, batch: _Batch, answer: SmallAnswer) -> None:
        shared, link = self._shared, batch.way.link
        assert link is not None
        self._batches.discard(batch)
        batch.ticket = None
        shared.in_flight -= 1
        shared.rate.ended(batch.mean_bytes)
        shared.budget.release(MOST_SMALL_BYTES)
        shared.activity += 1
        now_s, now = time.monotonic(), time.time()
        tried = list(zip(batch.files, answer.sent, strict=False))
        done = [(file, sent) for file, sent in tried if sent.outcome == put.DONE]
        if any(sent.status for _, sent in tried):
            link.has_answered, link.answered_at_s = True, now_s
        self._count(batch, [_size(file.job) for file, _ in done], answer, now_s)
        for on_done, group in itertools.groupby(done, key=lambda pair: pair[0].on_done):
            on_done([(file.job, _receipt(file.job, sent, batch, now)) for file, sent in group])
        troubled = [(file, sent) for file, sent in tried if sent.outcome != put.DONE]
        untried = list(batch.files[len(tried) :])
        shared.rate.charge(-sum(_size(file.job) for file in (*untried, *(file for file, _ in troubled))))
        if self._error is not None:
            for file in (*untried, *(file for file, _ in troubled)):
                file.on_done([(file.job, self._error(file.job))])
            shared.pump()
            return
        for file, sent in troubled:
            is_throttling = sent.status in _THROTTLING_STATUSES
            is_store = is_throttling or sent.status >= 500
            if is_store:
                shared.counted.failed(is_throttling)
            if is_throttling:
                shared.throttle.slow_down(now_s, shared.in_flight + 1)
            self._go_the_ordinary_way(file, is_store)
        if answer.is_lost and untried:
            self._go_the_ordinary_way(untried.pop(0), is_probation=True)
        self._put_back(untried)
        shared.pump()

    def _go_the_ordinary_way(self, file: _Waiting, is_probation: bool) -> None:
        if not is_probation:
            self._hand_back(file.job, file.on_done)
            return
        self._on_probation += 1

        def done(results: Sequence[tuple[Job, Outcome]]) -> None:
            self._on_probation -= 1
            file.on_done(results)
            if any(not isinstance(outcome, Receipt) for _, outcome in results):
                # It was no passing trouble: all others have patience side by side, not one after the other.
                while self._waiting:
                    other = self._take()
                    self._hand_back(other.job, other.on_done)
            self._shared.pump()

        self._hand_back(file.job, done)

    def _count(self, batch: _Batch, sizes_bytes: Sequence[int], answer: SmallAnswer, now_s: float) -> None:
        shared, counted = self._shared, self._shared.counted
        shared.sent_bytes += sum(sizes_bytes)
        counted.confirmed_bytes += sum(sizes_bytes)
        counted.confirmed += len(sizes_bytes)
        counted.latency_s += now_s - batch.sent_at_s
        counted.read_s += answer.read_ns / 1e9
        counted.read_cpu_s += answer.read_cpu_ns / 1e9
        for _ in sizes_bytes:
            shared.throttle.succeeded(shared.settings.window)


def _size(job: Job) -> int:
    return job.file.size_bytes if job.file is not None else 0


def _way_key(job: Job) -> tuple[str, Checksum | None]:
    return job.uri.bucket, job.checksum


def _receipt(job: Job, sent: Sent, batch: _Batch, now: float) -> Receipt:
    assert job.file is not None and batch.way.protection is not None
    size_bytes = job.file.size_bytes
    crc64nvme = encode_crc(sent.crc64nvme, Checksum.CRC64NVME)
    is_checked = batch.way.protection.is_checked
    return Receipt(
        source=job.file.path,
        bucket=job.uri.bucket,
        key=job.uri.key,
        version_id=sent.version_id or None,
        etag=sent.etag,
        size_bytes=size_bytes,
        crc64nvme=crc64nvme,
        checksum=Checksum.CRC64NVME.value,
        is_checked=is_checked,
        is_kept=is_checked and sent.kept_crc64nvme == crc64nvme,
        parts=(ConfirmedPart(1, 0, size_bytes, sent.etag, sent.crc64nvme, crc64nvme),),
        source_stat=SourceStat(sent.device, sent.inode, size_bytes, job.file.mtime_ns, sent.ctime_ns),
        upload_id=None,
        started_at=batch.sent_at,
        ended_at=now,
        resent_bytes=0,
    )
