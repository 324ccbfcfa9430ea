"""Uploads that begin while it is being found out what the store takes."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastput.errors import Interrupted, Resumable, StoreError
from fastput.state import journals
from fastput.transport import Request, Response, Ticket, Transport
from fastput.transport.base import WithoutConnections
from fastput.transport.faulty import Fault
from tests.engine.harness import PART, SECONDS, URI, HoldingTransport, Rig, rig
from tests.engine.kinds import STORES, Kind, refusal
from tests.support.content import MIB, content, crc64nvme_base64

DATA = content(5 * PART + PART // 2)
SHORTEST = 1024  # of the parts; the questions have less


class HeldQuestions(WithoutConnections):
    """Holds the answers to the questions back, and lets the parts' pass."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.questions = HoldingTransport(inner)
        self.answered_parts = 0
        self._changed = threading.Condition()

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        if request.body.length_bytes < SHORTEST:
            return self.questions.send(request, on_done)

        def done(response: Response) -> None:
            on_done(response)
            with self._changed:
                self.answered_parts += 1
                self._changed.notify_all()

        return self._inner.send(request, done)

    def wait_for_parts(self, count: int) -> None:
        """Until so many have got an answer, which the engine has been told."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered_parts >= count, SECONDS)

    def close(self) -> None:
        self._inner.close()


@contextlib.contextmanager
def asking(store: Kind, state: Path | None = None) -> Iterator[tuple[Rig, HeldQuestions]]:
    """An engine that isn't told what the store takes before the questions are let go."""
    held: list[HeldQuestions] = []

    def wrap(inner: Transport) -> HeldQuestions:
        held.append(HeldQuestions(inner))
        return held[0]

    with rig(store=store, profile=None, wrap=wrap, state=state) as it:
        try:
            yield it, held[0]
        finally:
            held[0].questions.let_go()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("kind", STORES)
def test_the_object_is_right_whatever_the_store_takes(kind: str, large: Path, tmp_path: Path) -> None:
    make, expected = STORES[kind]
    store = make()
    with rig(store=store, profile=None, state=tmp_path) as it:
        receipt = it.engine.submit(it.job(large, checksum=None)).result(SECONDS)
        it.expect_nothing_held()
        assert it.engine.snapshot().sent_bytes == len(DATA)
    assert store.objects[str(URI)] == DATA
    assert receipt.crc64nvme == crc64nvme_base64(DATA)
    assert (receipt.checksum, receipt.is_checked) == (expected[0].checksum.value, expected[0].is_checked)
    assert not list(journals(tmp_path))


def test_parts_are_sent_meanwhile_and_the_object_is_not_made(large: Path) -> None:
    store = Kind()
    with asking(store) as (it, held):
        future = it.engine.submit(it.job(large, checksum=None))
        held.wait_for_parts(6)
        it.settle()
        assert not future.done()
        assert store.objects == {}
        held.questions.let_go()
        assert future.result(SECONDS).is_checked
        it.expect_nothing_held()
    assert store.objects[str(URI)] == DATA


def test_a_wrong_guess_costs_what_was_sent(large: Path) -> None:
    store = Kind(trailers="kept")  # takes them, and would keep the framing in the object
    with asking(store) as (it, held):
        future = it.engine.submit(it.job(large, checksum=None))
        held.wait_for_parts(6)
        held.questions.let_go()
        receipt = future.result(SECONDS)
        it.expect_nothing_held()
        snapshot = it.engine.snapshot()
    assert store.objects[str(URI)] == DATA
    assert receipt.is_checked
    assert (snapshot.sent_bytes, snapshot.resent_bytes) == (len(DATA), len(DATA))


def test_parts_that_nobody_expected_have_a_journal(large: Path, tmp_path: Path) -> None:
    """Was a bug: one request would do for a checksum behind the bytes; for one before them memory is too small."""
    large.write_bytes(content(4 * MIB))
    store = Kind(trailers="refused")
    refused = Fault("answer", part=3, times=100, status=403, body=b"<Error><Code>AccessDenied</Code></Error>")
    options: dict[str, Any] = {"part_bytes": None, "memory_bytes": 5 * MIB}
    with (
        rig([refused], store=store, profile=None, state=tmp_path, **options) as it,
        pytest.raises(StoreError, match="AccessDenied"),
    ):
        it.engine.submit(it.job(large, checksum=None)).result(SECONDS)
    (kept,) = journals(tmp_path)
    assert kept.confirmed_parts
    with rig(store=store, profile=None, state=tmp_path, **options) as it:
        assert it.engine.submit(it.job(large, checksum=None)).result(SECONDS).resumed_bytes
    assert store.objects[str(URI)] == content(4 * MIB)


def test_a_store_of_fewer_parts(large: Path) -> None:
    store = Kind(max_parts=1_000)
    with rig(store=store, profile=None) as it:
        it.engine.submit(it.job(large, checksum=None)).result(SECONDS)
        it.expect_nothing_held()
    assert store.objects[str(URI)] == DATA


def test_an_end_meanwhile(large: Path) -> None:
    store = Kind()
    with asking(store) as (it, held):
        future = it.engine.submit(it.job(large, checksum=None))
        held.wait_for_parts(6)
        it.engine.cancel("interrupted")
        held.questions.let_go()
        with pytest.raises(Interrupted):
            future.result(SECONDS)
        it.expect_nothing_held()
    assert store.objects == {}


def test_a_store_that_cannot_be_asked(large: Path) -> None:
    store = Kind()
    with asking(store) as (it, held):
        future = it.engine.submit(it.job(large, checksum=None))
        held.wait_for_parts(6)
        store.ill = itertools.repeat(refusal(503, "SlowDown"))
        held.questions.let_go()
        with pytest.raises(StoreError) as failed:
            future.result(SECONDS)
        it.expect_nothing_held()
    assert failed.value.code == "SlowDown"
    assert store.objects == {}


def test_what_was_begun_with_a_wrong_guess_is_not_gone_on_with(large: Path, tmp_path: Path) -> None:
    """A run that was killed before it was told."""
    store = Kind(trailers="kept")
    with asking(store, tmp_path) as (it, held):
        future = it.engine.submit(it.job(large, checksum=None))
        held.wait_for_parts(6)
        it.engine.cancel("interrupted")
        held.questions.let_go()
        with pytest.raises(Resumable):
            future.result(SECONDS)
    assert len(store.uploads) == 1
    with rig(store=store, profile=None, state=tmp_path) as it:
        receipt = it.engine.submit(it.job(large, checksum=None)).result(SECONDS)
        it.expect_nothing_held()
    assert store.objects[str(URI)] == DATA
    assert receipt.resumed_bytes == 0
