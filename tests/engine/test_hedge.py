"""Requests that take too long: sent a second time, and whatever becomes of the two, one right object."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fastput.engine import engine as engine_module
from fastput.engine import pace
from fastput.errors import FastputError, Interrupted, ObjectExists, Stalled, StoreError
from fastput.limits import REQUEST_OVERHEAD_BYTES
from fastput.model import Checksum, ConfirmedPart, ObjectAttributes, ObjectInfo, ObjectUri, Progress
from fastput.source import Source, StreamSource
from fastput.store import Completed
from fastput.transport import Failure, Request, Response, Ticket, Transport
from fastput.transport.base import WithoutConnections
from fastput.transport.faulty import Fault
from tests.engine.harness import PART, SECONDS, CheckingStore, Rig, part_of, rig, stream
from tests.support.content import MIB, content, crc64nvme_base64

DATA = content(7 * PART + 5, seed=11)
LAST = 8
SMALL = content(1000, seed=12)
ALWAYS = 1000
KINDS = ["file", "memory", "stream"]

Given = Path | bytes | Callable[[], Source]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(pace, "_LEAST_S", 0.05)
    monkeypatch.setattr(engine_module, "_TICK_S", 0.01)
    monkeypatch.setattr(engine_module, "DRAIN_S", 0.05)


def make(kind: str, tmp_path: Path, data: bytes = DATA) -> Given:
    if kind == "stream":
        return stream(data)
    if kind == "memory":
        return data
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


@pytest.fixture(params=["file", "stream"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Given:
    return make(request.param, tmp_path)


class Gate(WithoutConnections):
    """Holds requests back before they are sent, by part and count, until they are let go or answered by the test.

    One that is cancelled says so at once, unless `is_deaf`: then it ends only when it is let go.
    """

    def __init__(self, *held: tuple[int | None, int], is_deaf: bool = False) -> None:
        self._inner: Transport
        self._held = set(held)
        self._is_deaf = is_deaf
        self._waiting: dict[tuple[int | None, int], tuple[Request, Callable[[Response], None]]] = {}
        self._counts: Counter[int | None] = Counter()
        self._cancelled: set[tuple[int | None, int]] = set()
        self._changed = threading.Condition()

    def over(self, inner: Transport) -> Gate:
        self._inner = inner
        return self

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        with self._changed:
            part = part_of(request)
            self._counts[part] += 1
            name = (part, self._counts[part])
            if name in self._held:
                self._waiting[name] = (request, on_done)
            self._changed.notify_all()
        return _Held(self, name) if name in self._held else self._inner.send(request, on_done)

    def cancel(self, name: tuple[int | None, int]) -> None:
        with self._changed:
            self._cancelled.add(name)
            self._changed.notify_all()
        if not self._is_deaf:
            self.answer(*name, Response(failure=Failure.CANCELLED, reason="cancelled"))

    def wait_for(self, part: int | None, count: int) -> None:
        """Until this request was sent."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._counts[part] >= count, SECONDS), (part, count)

    def wait_for_cancel(self, part: int | None, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: (part, count) in self._cancelled, SECONDS), (part, count)

    def answer(self, part: int | None, count: int, response: Response) -> None:
        """Ends a request that is held, if it is."""
        with self._changed:
            _, on_done = self._waiting.pop((part, count), (None, None))
        if on_done is not None:
            on_done(response)

    def let_go(
        self, part: int | None, count: int, change: Callable[[Response], Response] = lambda answer: answer
    ) -> None:
        """Carries a request out that is held, and waits for its end."""
        ended = threading.Event()
        with self._changed:
            request, on_done = self._waiting.pop((part, count))

        def done(response: Response) -> None:
            on_done(change(response))
            ended.set()

        self._inner.send(request, done)
        assert ended.wait(SECONDS)

    def close(self) -> None:
        for name in list(self._waiting):
            self.answer(*name, Response(failure=Failure.CANCELLED, reason="closed"))
        self._inner.close()


class _Held:
    def __init__(self, gate: Gate, name: tuple[int | None, int]) -> None:
        self._gate = gate
        self._name = name

    def cancel(self) -> None:
        self._gate.cancel(self._name)


def with_etag(etag: str) -> Callable[[Response], Response]:
    return lambda answer: replace(answer, headers={**answer.headers, "etag": etag})


class WatchedStore(CheckingStore):
    """Notes when it is completed."""

    def __init__(self) -> None:
        super().__init__()
        self.is_completed = threading.Event()

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int | None,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        self.is_completed.set()
        return super().complete(uri, upload_id, parts, size_bytes, checksum, checksum_value, no_clobber)


def numbers(engine: Rig) -> list[int | None]:
    return [part_of(request) for request in engine.watching.requests]


def check(engine: Rig, given: Given, data: bytes = DATA, resent_bytes: int | None = None) -> None:
    """Sends it; the object and every counter are right."""
    receipt = engine.engine.submit(engine.job(given)).result(SECONDS)
    check_done(engine, data)
    assert (receipt.size_bytes, receipt.crc64nvme) == (len(data), crc64nvme_base64(data))
    # At least: on a busy machine another part may be late too.
    assert receipt.resent_bytes >= (resent_bytes or 0)


def check_done(engine: Rig, data: bytes = DATA) -> None:
    assert engine.store.objects["s3://bucket/key"] == data
    engine.expect_nothing_held()
    snapshot = engine.engine.snapshot()
    assert snapshot.sent_bytes == sum(map(len, engine.store.objects.values()))
    sent_bytes = sum(request.body.length_bytes for request in engine.watching.requests)
    assert snapshot.sent_bytes + snapshot.resent_bytes == sent_bytes


# ---- one hangs


@pytest.mark.parametrize("part", [1, 3, 7, LAST])
def test_a_part_that_hangs_once(given: Given, part: int) -> None:
    with rig([Fault("hang", part)]) as engine:
        check(engine, given, resent_bytes=5 if part == LAST else PART)
        assert numbers(engine).count(part) >= 2


@pytest.mark.parametrize(("part", "times"), [(2, 2), (LAST, 3)])
def test_a_part_that_hangs_several_times(given: Given, part: int, times: int) -> None:
    with rig([Fault("hang", part, times)]) as engine:
        check(engine, given)
        assert numbers(engine).count(part) >= times + 1


def test_several_parts_that_hang(given: Given) -> None:
    with rig([Fault("hang", part) for part in (2, 5, 6, LAST)], window=8) as engine:
        check(engine, given)


@pytest.mark.parametrize("part", [5, 7, LAST])
def test_a_window_of_one(given: Given, part: int) -> None:
    """Was a bug: without room in the window nothing was ever sent again. It is never exceeded."""
    with rig([Fault("hang", part)], window=1) as engine:
        check(engine, given, resent_bytes=5 if part == LAST else PART)
        assert engine.watching.most_requests == 1


@pytest.mark.parametrize("window", [2, 4])
def test_the_window_holds_the_second_requests_too(given: Given, window: int) -> None:
    """All but one of it hang."""
    with rig([Fault("hang", part) for part in range(5, 4 + window)], window=window) as engine:
        check(engine, given)
        assert engine.watching.most_requests <= window


def test_memory_holds_the_second_requests_too(tmp_path: Path) -> None:
    """Was a bug: where the memory had no room for a second request, nothing was done about the first."""
    memory_bytes = PART + REQUEST_OVERHEAD_BYTES
    with rig([Fault("hang", 5), Fault("hang", 7)], memory_bytes=memory_bytes) as engine:
        check(engine, make("file", tmp_path))
        assert engine.watching.most_bytes <= memory_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_parts_that_hold_their_memory_go_first_where_there_is_none(tmp_path: Path, kind: str) -> None:
    """Was a bug: the oldest upload waited for memory that younger ones held for parts that had to be sent again, and
    those waited for their turn: for ever.

    The older one's Create takes its time, so that the younger gets all the memory.
    """
    creates, gate = threading.Event(), Gate((1, 1), (2, 1))

    class Slow(CheckingStore):
        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            assert uri.key != "older" or creates.wait(SECONDS)
            return super().create(uri, attributes, checksum)

    memory_bytes = 2 * (2 * PART + REQUEST_OVERHEAD_BYTES)
    with rig(wrap=gate.over, store=Slow(), memory_bytes=memory_bytes) as engine:
        older = engine.engine.submit(engine.job(DATA, "older", Checksum.MD5))
        engine.settle()
        younger = engine.engine.submit(engine.job(make(kind, tmp_path), "younger", Checksum.MD5))
        gate.wait_for(1, 1)
        gate.wait_for(2, 1)
        creates.set()
        deadline_s = time.monotonic() + SECONDS
        while not engine.engine._active[0].wants_to_send():
            assert time.monotonic() < deadline_s
            engine.settle()
        for part in (1, 2):
            gate.answer(part, 1, ENDINGS["500"])
        assert older.result(SECONDS).size_bytes == younger.result(SECONDS).size_bytes == len(DATA)
        engine.expect_nothing_held()


class Slowed(WithoutConnections):
    """Answers each request with a delay once `is_slow` says so; cancelled ones at once."""

    def __init__(self, delay_s: float, is_slow: Callable[[Request], bool]) -> None:
        self._delay_s = delay_s
        self._is_slow = is_slow

    def over(self, inner: Transport) -> Slowed:
        self._inner = inner
        return self

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        if not self._is_slow(request):
            return self._inner.send(request, on_done)
        begun = threading.Lock()  # taken by whatever ends the delay
        tickets: list[Ticket] = []

        def carry_out() -> None:
            if begun.acquire(blocking=False):
                tickets.append(self._inner.send(request, on_done))

        def cancel() -> None:
            if begun.acquire(blocking=False):
                timer.cancel()
                on_done(Response(failure=Failure.CANCELLED, reason="cancelled"))
            for ticket in tickets:
                ticket.cancel()

        timer = threading.Timer(self._delay_s, carry_out)
        timer.daemon = True
        timer.start()
        return _Cancellable(cancel)

    def close(self) -> None:
        self._inner.close()


class _Cancellable:
    def __init__(self, cancel: Callable[[], None]) -> None:
        self.cancel = cancel


def test_an_overtaken_part_is_not_left_for_the_end(tmp_path: Path) -> None:
    """Was a bug: while there was something else to send the window was full, and the late part waited for all."""
    data = content(40 * PART, seed=13)
    slow = Slowed(0.02, lambda request: True)
    with rig([Fault("hang", 5)], wrap=slow.over) as engine:
        check(engine, make("file", tmp_path, data), data)
        order = numbers(engine)
        assert order.index(5, order.index(5) + 1) < order.index(40)


def test_a_link_that_becomes_slow_for_all_at_the_end(given: Given) -> None:
    """Was a bug: what took more than six times as long as usual was cancelled until the attempts were used up.

    Each of the last parts takes 16 times as long as what counts as late.
    """
    slow = Slowed(0.8, lambda request: (part_of(request) or 0) >= 6)
    with rig(wrap=slow.over) as engine:
        check(engine, given)


def test_a_small_object_on_a_link_that_became_slow() -> None:
    """Was a bug: as above."""
    slow = Slowed(0.8, lambda request: request.path.endswith("/key"))
    with rig(wrap=slow.over) as engine:
        teach(engine)
        check(engine, SMALL, SMALL)


def test_hedges_that_are_refused_while_the_first_hangs(given: Given) -> None:
    """Was a bug: they were sent again twice a second, for ever, and none of them counted."""
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    faults = [Fault("hang", 2), Fault("answer", 2, ALWAYS, 403, denied)]
    with rig(faults) as engine:
        error = engine.engine.submit(engine.job(given)).exception(SECONDS)
        assert isinstance(error, StoreError)
        assert (error.status, error.part) == (403, 2)
        assert numbers(engine).count(2) <= 4
        engine.expect_nothing_held()


def test_hedges_that_are_lost_while_the_first_hangs(given: Given) -> None:
    with rig([Fault("hang", 2), Fault("lose", 2, 2), Fault("hang", 2)]) as engine:
        check(engine, given)


def test_nothing_is_late_before_anything_is_known() -> None:
    """The clock is set forward."""
    with rig([Fault("hang", times=ALWAYS)]) as engine:
        future = engine.engine.submit(engine.job(DATA))
        engine.wait_until_sent(4)
        (upload,) = engine.engine._active
        engine.engine._shared.loop.call(lambda: upload.hurry(time.monotonic() + 30.0, is_tail=True))
        engine.settle()
        assert sorted(filter(None, numbers(engine))) == [1, 2, 3, 4]
        engine.engine.cancel("enough")
        assert isinstance(future.exception(SECONDS), Interrupted)
        engine.expect_nothing_held()


# ---- two are taken


@pytest.mark.parametrize("part", [2, LAST])
def test_complete_waits_for_the_loser(given: Given, part: int) -> None:
    """The runtime may take its time to let go of a request: a part that arrives after Complete would be left over."""
    gate, store = Gate((part, 1), is_deaf=True), WatchedStore()
    whole = threading.Event()

    def on_progress(progress: Progress) -> None:
        if progress.parts_confirmed == LAST:
            whole.set()

    with rig(wrap=gate.over, store=store) as engine:
        future = engine.engine.submit(engine.job(given, on_progress=on_progress))
        gate.wait_for_cancel(part, 1)
        assert whole.wait(SECONDS)
        engine.settle()
        assert not store.is_completed.is_set()
        assert engine.engine.snapshot().in_flight == 1
        gate.let_go(part, 1)
        future.result(SECONDS)
        check_done(engine)
        assert numbers(engine).count(part) >= 2, "both had one ETag: there is no doubt"


@pytest.mark.parametrize("part", [2, LAST])
@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.MD5])
def test_two_etags_leave_a_doubt_and_it_is_sent_once_more(given: Given, part: int, checksum: Checksum) -> None:
    gate, store = Gate((part, 1), is_deaf=True), WatchedStore()
    with rig(wrap=gate.over, store=store) as engine:
        future = engine.engine.submit(engine.job(given, checksum=checksum))
        gate.wait_for_cancel(part, 1)
        engine.settle()
        assert not store.is_completed.is_set()
        gate.let_go(part, 1, with_etag('"another"'))
        receipt = future.result(SECONDS)
        check_done(engine)
        assert numbers(engine).count(part) >= 3
        assert receipt.resent_bytes >= 2 * (5 if part == LAST else PART)
        assert [found.etag for found in receipt.parts].count('"another"') == 0


class Pausing(io.BytesIO):
    """A pipe whose writer pauses at a place until it is told to go on."""

    def __init__(self, data: bytes, at_bytes: int) -> None:
        super().__init__(data)
        self._at_bytes = at_bytes
        self.goes_on = threading.Event()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self.tell() >= self._at_bytes:
            assert self.goes_on.wait(SECONDS)
        return super().readinto(buffer)


def test_a_streams_part_in_doubt_is_sent_from_memory() -> None:
    """Was a bug: its bytes were read again from the stream, which gave those behind: a wrong object, and no error."""
    pipe, gate = Pausing(DATA, 5 * PART), Gate((2, 1), is_deaf=True)
    with rig(wrap=gate.over) as engine:
        future = engine.engine.submit(engine.job(lambda: StreamSource(pipe)))
        gate.wait_for_cancel(2, 1)
        gate.let_go(2, 1, with_etag('"another"'))
        engine.settle()
        pipe.goes_on.set()
        assert future.result(SECONDS).size_bytes == len(DATA)
        check_done(engine)


@pytest.mark.parametrize("size_bytes", [PART, 2 * PART, 2 * PART + 1, 3 * PART])
def test_a_part_that_is_lost_while_the_end_is_read(size_bytes: int) -> None:
    """Was a bug where the end was empty: the part couldn't be sent while the pipe was read, and nobody looked again."""
    data = content(size_bytes, seed=14)
    pipe = Pausing(data, size_bytes)
    lost = size_bytes // PART
    with rig([Fault("lose", lost)]) as engine:
        others = threading.Event()

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == lost - 1:
                others.set()

        future = engine.engine.submit(engine.job(lambda: StreamSource(pipe), on_progress=on_progress))
        engine.wait_until_sent(lost)
        assert lost == 1 or others.wait(SECONDS)
        for _ in range(5):  # it is judged, and comes back
            engine.settle()
        pipe.goes_on.set()
        assert future.result(SECONDS).size_bytes == size_bytes
        check_done(engine, data)


def test_a_part_that_is_lost_does_not_wait_for_the_pipe() -> None:
    """Its bytes are in memory: a writer that pauses for an hour needn't keep it."""
    pipe = Pausing(DATA, 2 * PART)
    with rig([Fault("lose", 2)]) as engine:
        future = engine.engine.submit(engine.job(lambda: StreamSource(pipe)))
        engine.wait_until_sent(3)
        assert Counter(numbers(engine)) == {1: 1, 2: 2}
        pipe.goes_on.set()
        assert future.result(SECONDS).size_bytes == len(DATA)
        check_done(engine)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [2, LAST])
def test_digests_of_a_part_in_doubt(tmp_path: Path, kind: str, part: int) -> None:
    """Was a bug: its bytes were read, and counted, twice."""
    gate = Gate((part, 1), is_deaf=True)
    with rig(wrap=gate.over) as engine:
        job = replace(engine.job(make(kind, tmp_path)), digests=("sha256", "md5"))
        future = engine.engine.submit(job)
        gate.wait_for_cancel(part, 1)
        gate.let_go(part, 1, with_etag('"another"'))
        digests = future.result(SECONDS).digests
        assert digests == {"sha256": hashlib.sha256(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest()}
        check_done(engine)


def test_a_part_in_doubt_is_not_counted_twice(tmp_path: Path) -> None:
    """Was a bug: progress went beyond the size of the file."""
    gate, seen = Gate((2, 1), is_deaf=True), list[int]()
    with rig(wrap=gate.over) as engine:
        job = engine.job(make("file", tmp_path), on_progress=lambda progress: seen.append(progress.sent_bytes))
        future = engine.engine.submit(job)
        gate.wait_for_cancel(2, 1)
        gate.let_go(2, 1, with_etag('"another"'))
        future.result(SECONDS)
        assert max(seen) == len(DATA)


ENDINGS: dict[str, Response] = {
    "closed": Response(failure=Failure.CLOSED, reason="closed"),
    "cancelled": Response(failure=Failure.CANCELLED, reason="cancelled"),
    "500": Response(500),
    "403": Response(403, body=b"<Error><Code>AccessDenied</Code></Error>"),
    "404": Response(404, body=b"<Error><Code>NoSuchUpload</Code></Error>"),
    "400": Response(400, body=b"<Error><Code>BadDigest</Code></Error>"),
    "no ETag": Response(200),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_the_loser_says_it_does_not_count(tmp_path: Path, ending: str) -> None:
    gate = Gate((3, 1), is_deaf=True)
    with rig(wrap=gate.over) as engine:
        future = engine.engine.submit(engine.job(make("file", tmp_path)))
        gate.wait_for_cancel(3, 1)
        gate.answer(3, 1, ENDINGS[ending])
        future.result(SECONDS)
        check_done(engine)
        assert numbers(engine).count(3) == 2


@pytest.mark.parametrize("is_deaf", [True, False])
def test_the_first_may_win(given: Given, is_deaf: bool) -> None:
    gate = Gate((3, 1), (3, 2), is_deaf=is_deaf)
    with rig(wrap=gate.over) as engine:
        future = engine.engine.submit(engine.job(given))
        gate.wait_for(3, 2)
        gate.let_go(3, 1)
        if is_deaf:
            gate.wait_for_cancel(3, 2)
            gate.let_go(3, 2)
        future.result(SECONDS)
        check_done(engine)


@pytest.mark.parametrize("first_bad", [1, 2])
def test_one_fails_and_the_other_is_waited_for(given: Given, first_bad: int) -> None:
    other = 3 - first_bad
    gate = Gate((3, 1), (3, 2), is_deaf=True)
    with rig(wrap=gate.over) as engine:
        future = engine.engine.submit(engine.job(given))
        gate.wait_for(3, 2)
        gate.answer(3, first_bad, ENDINGS["500"])
        engine.settle()
        gate.let_go(3, other)
        future.result(SECONDS)
        check_done(engine)


# ---- the end of it all


@pytest.mark.parametrize("is_deaf", [True, False])
def test_cancelling_between_the_two(given: Given, is_deaf: bool) -> None:
    gate, store = Gate((3, 1), (3, 2), is_deaf=is_deaf), WatchedStore()
    with rig(wrap=gate.over, store=store) as engine:
        future = engine.engine.submit(engine.job(given))
        gate.wait_for(3, 2)
        engine.engine.cancel("enough")
        if is_deaf:
            for count in (1, 2):
                gate.wait_for_cancel(3, count)
                assert not future.done()
                gate.let_go(3, count)
        assert isinstance(future.exception(SECONDS), Interrupted)
        assert not store.is_completed.is_set()
        engine.expect_nothing_held()


def test_cancelling_after_the_winner(given: Given) -> None:
    """What the loser says then is in doubt, and nothing is sent to clear it up."""
    gate = Gate((3, 1), is_deaf=True)
    with rig(wrap=gate.over) as engine:
        future = engine.engine.submit(engine.job(given))
        gate.wait_for_cancel(3, 1)
        engine.engine.cancel("enough")
        gate.let_go(3, 1, with_etag('"another"'))
        assert isinstance(future.exception(SECONDS), Interrupted)
        assert numbers(engine).count(3) == 2
        engine.expect_nothing_held()


def test_a_part_that_always_hangs_ends_with_stalled() -> None:
    """The last attempt isn't ended by us, so the watchdog does it. Who is told may fail: that was the end of all."""
    said: list[str] = []

    def on_stall(text: str) -> None:
        said.append(text)
        raise ValueError("a mistake of the caller's")

    with rig([Fault("hang", 3, ALWAYS)], stall_timeout_s=0.5, on_stall=on_stall) as engine:
        error = engine.engine.submit(engine.job(DATA)).exception(SECONDS)
        assert isinstance(error, Stalled)
        assert said
        assert numbers(engine).count(3) <= 8
        engine.expect_nothing_held()


# ---- small objects


def teach(engine: Rig, count: int = 6) -> None:
    """What a small object usually takes."""
    for number in range(count):
        engine.engine.submit(engine.job(SMALL, f"usual-{number}")).result(SECONDS)


def of_key(engine: Rig, key: str = "key") -> int:
    return sum(request.path.endswith(f"/{key}") for request in engine.watching.requests)


class HangsFor(Gate):
    """Holds the first requests of one key."""

    def __init__(self, times: int, key: str = "key") -> None:
        super().__init__()
        self._times, self._key = times, key
        self.at_once = 0  # the most requests of this key at a time
        self._now = 0

    def over(self, inner: Transport) -> HangsFor:
        self._inner = inner
        return self

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        if not request.path.endswith(f"/{self._key}"):
            return self._inner.send(request, on_done)
        with self._changed:
            self._counts[None] += 1
            name = (None, self._counts[None])
            self._now += 1
            self.at_once = max(self.at_once, self._now)

        def done(response: Response) -> None:
            self._now -= 1
            on_done(response)

        if name[1] > self._times:
            return self._inner.send(request, done)
        with self._changed:
            self._waiting[name] = (request, done)
        return _Held(self, name)


@pytest.mark.parametrize(("kind", "times"), [("file", 1), ("memory", 1), ("stream", 1), ("file", 3), ("stream", 3)])
def test_a_small_object_that_hangs(tmp_path: Path, kind: str, times: int) -> None:
    """Never two at a time: they would be two versions."""
    gate = HangsFor(times)
    with rig(wrap=gate.over) as engine:
        teach(engine)
        check(engine, make(kind, tmp_path, SMALL), SMALL, resent_bytes=times * len(SMALL))
        assert of_key(engine) == times + 1
        assert gate.at_once == 1


class Forgetful(CheckingStore):
    """Makes the object of the first PutObject of a key, and the answer is lost."""

    def __init__(self, answer: tuple[int, dict[str, str], bytes], theirs: bytes | None = None) -> None:
        super().__init__()
        self._answer = answer
        self._theirs = theirs
        self._is_lost = False

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if not path.endswith("/key") or self._is_lost:
            return super().receive(path, headers, body)
        self._is_lost = True
        if self._theirs is not None:
            assert super().receive(path, {}, self._theirs)[0] == 200
        else:
            assert super().receive(path, headers, body)[0] == 200
        return self._answer


LOST_ANSWERS: list[tuple[int, dict[str, str], bytes]] = [
    (500, {}, b"<Error><Code>InternalError</Code></Error>"),
    (502, {}, b"<html>Bad Gateway</html>"),
    (503, {}, b""),
    (503, {}, b"<Error><Code>SlowDown</Code></Error>"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keeps_checksums", [True, False])
@pytest.mark.parametrize("answer", LOST_ANSWERS)
def test_no_clobber_meets_our_own_small_object(
    tmp_path: Path, kind: str, answer: tuple[int, dict[str, str], bytes], keeps_checksums: bool
) -> None:
    """Was a bug after a 503: it isn't counted as an attempt, and so nobody looked whose object it is. And where no
    checksum is kept: the MD5 that the ETag is compared with wasn't known of what isn't buffered."""

    class Plain(Forgetful):
        def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
            info = super().head(uri, version_id)
            return info and (info if keeps_checksums else replace(info, checksums={}, is_full_object=False))

    with rig(store=Plain(answer)) as engine:
        job = engine.job(make(kind, tmp_path, SMALL), no_clobber=True)
        receipt = engine.engine.submit(job).result(SECONDS)
        assert receipt.etag.strip('"') == hashlib.md5(SMALL).hexdigest()
        assert engine.store.objects == {"s3://bucket/key": SMALL}
        engine.expect_nothing_held()
        assert engine.engine.snapshot().sent_bytes == len(SMALL)


@pytest.mark.parametrize("answer", LOST_ANSWERS)
@pytest.mark.parametrize("theirs", [b"theirs", content(1000, seed=99)])
def test_no_clobber_meets_a_foreign_small_object(answer: tuple[int, dict[str, str], bytes], theirs: bytes) -> None:
    with rig(store=Forgetful(answer, theirs)) as engine:
        error = engine.engine.submit(engine.job(SMALL, no_clobber=True)).exception(SECONDS)
        assert isinstance(error, ObjectExists)
        assert engine.store.objects == {"s3://bucket/key": theirs}
        engine.expect_nothing_held()


def test_cancelling_while_it_is_looked_whose_object_it_is() -> None:
    """The look is a call on a control thread: it has to be waited for, or is not in the way."""
    looks, may_look = threading.Event(), threading.Event()

    class Looking(Forgetful):
        is_first = True

        def head(self, uri: ObjectUri, version_id: str | None = None) -> None:
            if self.is_first:  # --no-clobber looks before
                self.is_first = False
                return None
            looks.set()
            assert may_look.wait(SECONDS)
            return super().head(uri, version_id)  # type: ignore[return-value]

    with rig(store=Looking(LOST_ANSWERS[0])) as engine:
        future = engine.engine.submit(engine.job(SMALL, no_clobber=True))
        other = engine.engine.submit(engine.job(SMALL, "other"))
        other.result(SECONDS)
        assert looks.wait(SECONDS)
        engine.engine.cancel("enough")
        engine.settle()
        may_look.set()
        outcome = future.exception(SECONDS)
        assert outcome is None or (isinstance(outcome, FastputError) and "inside" not in str(outcome))
        engine.expect_nothing_held()


def test_large_and_small_hang_together(tmp_path: Path) -> None:
    """Many uploads, each with a request that hangs: none is lost, none waits for another."""

    class Each(Gate):
        def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
            with self._changed:
                name = request.path
                self._counts[name] += 1  # type: ignore[index]
                is_first = self._counts[name] == 1  # type: ignore[index]
                is_chosen = "usual" not in name and sum(name.encode()) % 5 == 0
                if is_first and is_chosen:
                    key = (name, 1)
                    self._waiting[key] = (request, on_done)  # type: ignore[index]
                    return _Held(self, key)  # type: ignore[arg-type]
            return self._inner.send(request, on_done)

    with rig(wrap=Each().over, memory_bytes=32 * MIB, window=8) as engine:
        teach(engine, 10)
        jobs = {f"large-{number}": DATA for number in range(4)} | {f"small-{number}": SMALL for number in range(30)}
        futures = {key: engine.engine.submit(engine.job(data, key)) for key, data in jobs.items()}
        for key, future in futures.items():
            assert future.result(SECONDS).size_bytes == len(jobs[key])
            assert engine.store.objects[f"s3://bucket/{key}"] == jobs[key]
        engine.expect_nothing_held()
