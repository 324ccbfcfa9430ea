"""What the probe concludes of stores of all kinds, and that it leaves nothing behind."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from fastput.answers import StoreAnswer, to_error
from fastput.engine import links as links_module
from fastput.engine import probe as probe_module
from fastput.engine.links import Links
from fastput.engine.probe import Probe
from fastput.errors import (
    CredentialsError,
    EndpointError,
    FastputError,
    Interrupted,
    NoSuchBucket,
    StoreError,
    UploadGone,
)
from fastput.model import Checksum, Endpoint, ObjectAttributes, ObjectUri
from fastput.profile import AMAZON, UNPROTECTED, StoreProfile
from fastput.transport import Failure, Request, Response, Ticket, Transport
from fastput.transport.base import WithoutConnections
from fastput.transport.faulty import Fault, FaultyTransport
from fastput.transport.memory import MemoryTransport
from tests.engine.harness import AT_ONCE, SECONDS, URI, part_of
from tests.engine.kinds import BARE, C32, HEADER, MD5, NVME, STORES, TRAILER, Answer, Kind, refusal, way

ENDPOINT = Endpoint("http", "memory", 80, "/bucket", "us-east-1")
# With one answer each; every attempt of a question counts as one more.
MOST_REQUESTS = 20


def run(store: Kind, transport: Transport | None = None, stop: threading.Event | None = None) -> StoreProfile:
    """Asks, and checks that nothing is left."""
    used = transport or MemoryTransport(store.receive)
    found = Probe(store, ENDPOINT, used, URI, AT_ONCE, stop or threading.Event())
    try:
        return found.run()
    finally:
        found.clean_up()
        used.close()
        assert store.objects == {}, "no object ever exists"
        assert sorted(found.left) == sorted(store.uploads), "no upload is left, or it is named"
        assert store.aborts is bool(not found.left)


@pytest.mark.parametrize("kind", STORES)
def test_stores(kind: str) -> None:
    make, expected = STORES[kind]
    store = make()
    profile = run(store)
    assert list(profile.protections) == expected
    assert profile.max_parts == 10_000
    assert store.created <= 3
    assert store.received <= MOST_REQUESTS
    assert StoreProfile.from_dict(profile.to_dict()) == profile


@pytest.mark.parametrize("kind", STORES)
def test_a_store_of_1000_parts(kind: str) -> None:
    make, expected = STORES[kind]
    store = make()
    store.max_parts = 1_000
    profile = run(store)
    assert (list(profile.protections), profile.max_parts) == (expected, 1_000)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("ill", [(503, "SlowDown"), (503, ""), (500, "InternalError"), (429, ""), (408, "")])
def test_a_store_that_is_ill_now_and_then_is_asked_again(kind: str, ill: tuple[int, str]) -> None:
    """What it takes isn't judged by that."""
    make, expected = STORES[kind]
    store = make()
    store.ill_at_first = refusal(*ill) if ill[1] else (ill[0], {}, b"")
    assert list(run(store).protections) == expected
    assert store.received <= 3 * MOST_REQUESTS


@pytest.mark.parametrize("kind", STORES)
def test_lost_connections_are_asked_again(kind: str) -> None:
    make, expected = STORES[kind]
    store = make()

    lost: set[str] = set()

    class Losing(FaultyTransport):
        """Each question once; each is a part of its own."""

        def _next_fault(self, request: Request) -> Fault | None:
            with self._lock:
                is_new = request.path not in lost
                lost.add(request.path)
            return Fault("lose") if is_new else None

    transport = Losing(MemoryTransport(store.receive), [])
    assert list(run(store, transport).protections) == expected


def test_a_right_checksum_that_is_hurt_on_its_way_is_sent_again() -> None:
    for place in range(1, 5):
        store = Kind()
        transport = FaultyTransport(MemoryTransport(store.receive), [Fault("corrupt", place)])
        assert run(store, transport).strongest == way(NVME, BARE)


@pytest.mark.parametrize("answer", [refusal(503, "SlowDown"), refusal(500, "InternalError"), (502, {}, b"<html>")])
def test_a_store_that_stays_ill_is_an_error_and_no_profile(answer: Answer) -> None:
    store = Kind()
    store.ill = itertools.repeat(answer)
    with pytest.raises(StoreError):
        run(store)
    assert store.received <= 8 * 4 * AT_ONCE.max_attempts
    assert store.created == 3


@pytest.mark.parametrize("answer", [refusal(403, "AccessDenied"), refusal(403, ""), refusal(405, "MethodNotAllowed")])
def test_a_store_that_refuses_us_says_nothing_of_what_it_takes(answer: Answer) -> None:
    """Was a bug: "no checksum at all, 1,000 parts" was concluded and remembered for a week."""
    store = Kind()
    store.ill = itertools.repeat(answer)
    with pytest.raises(StoreError):
        run(store)


@pytest.mark.parametrize("asked_before", [0, 1])
def test_an_upload_that_was_aborted_by_somebody_meanwhile(asked_before: int) -> None:
    """Was a bug: 404 to a wrong checksum counted as a refusal of it, and the store as one that checks."""
    store = Kind(checks=())
    store.ill = itertools.chain([None] * asked_before, itertools.repeat(refusal(404, "NoSuchUpload")))
    with pytest.raises(UploadGone):
        run(store)


def test_wrong_credentials() -> None:
    store = Kind()
    store.ill = itertools.repeat(refusal(403, "InvalidAccessKeyId"))
    with pytest.raises(CredentialsError):
        run(store)
    assert store.received <= 8


def test_no_credentials() -> None:
    store = Kind()

    class Refusing(WithoutConnections):
        def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
            on_done(Response(failure=Failure.CREDENTIALS, reason="none"))
            return self  # type: ignore[return-value]

        def close(self) -> None:
            pass

    with pytest.raises(CredentialsError, match="none"):
        run(store, Refusing())


def test_no_bucket() -> None:
    class NoBucket(Kind):
        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            self.created += 1
            raise to_error(StoreAnswer(404, "NoSuchBucket"), uri, "create a multipart upload")

    store = NoBucket()
    with pytest.raises(NoSuchBucket):
        run(store)
    assert (store.created, store.received) == (3, 0)


def test_no_right_to_create() -> None:
    class Denied(Kind):
        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            raise to_error(StoreAnswer(403, "AccessDenied"), uri, "create a multipart upload")

    with pytest.raises(StoreError, match="access denied"):
        run(Denied())


def test_a_create_that_fails_at_first() -> None:
    class Slow(Kind):
        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            upload_id = super().create(uri, attributes, checksum)
            if self.created % 3:
                super().abort(uri, upload_id)
                raise to_error(StoreAnswer(503, "SlowDown"), uri, "create a multipart upload")
            return upload_id

    assert run(Slow()).strongest == way(NVME, BARE)


def test_an_abort_that_is_refused_names_what_is_left() -> None:
    """run() compares the names with what is on the store."""
    store = Kind(aborts=False)
    assert run(store).strongest == way(NVME, BARE)
    assert len(store.uploads) == 3


def test_an_abort_that_fails_at_first() -> None:
    class Slow(Kind):
        count = 0

        def abort(self, uri: ObjectUri, upload_id: str) -> None:
            self.count += 1
            if self.count % 3:
                raise to_error(StoreAnswer(503, "SlowDown"), uri, "abort")
            super().abort(uri, upload_id)

    assert run(Slow()).strongest == way(NVME, BARE)


def test_a_store_that_forgets_the_upload_at_a_wrong_md5() -> None:
    """rclone does. It is the last question of that upload, or what follows would get no answer."""
    store = Kind(trailers="refused", checks={MD5})
    store.is_forgetful = True
    assert run(store).strongest == way(MD5, HEADER)


def test_a_question_that_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_ANSWER_WITHIN_S", 0.05)
    store = Kind()
    tickets: list[Ticket] = []

    class Hanging(FaultyTransport):
        def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
            tickets.append(super().send(request, on_done))
            return tickets[-1]

    with pytest.raises(EndpointError, match="takes too long"):
        run(store, Hanging(MemoryTransport(store.receive), [Fault("hang", times=1000)]))
    assert tickets
    for ticket in tickets:
        assert vars(ticket)["_on_done"] is None, "it was cancelled"


def test_a_question_that_is_answered_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_ANSWER_WITHIN_S", 0.05)
    store = Kind()

    seen: set[int | None] = set()

    class Hanging(FaultyTransport):
        def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
            # The first request of the first part.
            number = part_of(request)
            self._left = [int(number == 1 and number not in seen)]
            seen.add(number)
            return super().send(request, on_done)

    transport = Hanging(MemoryTransport(store.receive), [Fault("hang")])
    monkeypatch.setattr(probe_module, "_ANSWER_WITHIN_S", 1.0)
    assert run(store, transport).strongest == way(NVME, BARE)


def test_an_end_in_the_middle_leaves_nothing() -> None:
    stop = threading.Event()
    store = Kind()

    def ill() -> Iterator[Answer | None]:
        yield None
        stop.set()
        yield from itertools.repeat(refusal(503, "SlowDown"))

    store.ill = ill()
    with pytest.raises(FastputError):
        run(store, stop=stop)
    assert store.received <= 8


def test_an_end_while_uploads_are_begun() -> None:
    """What the store has begun is aborted, though it said so after the end, and though that takes a second try."""
    stop = threading.Event()

    class Late(Kind):
        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            upload_id = super().create(uri, attributes, checksum)
            stop.set()
            return upload_id

        def abort(self, uri: ObjectUri, upload_id: str) -> None:
            self.asked[upload_id] += 1
            if self.asked[upload_id] == 1:
                raise to_error(StoreAnswer(503, "SlowDown"), uri, "abort")
            super().abort(uri, upload_id)

    store = Late()
    with pytest.raises(Interrupted):
        run(store, stop=stop)
    assert store.received == 0, "nothing more is asked"


# ---- who asks, and who remembers


def links(store: Kind, directory: Path | None = None, probes_again: bool = False) -> Links:
    return Links(
        store, lambda *_: MemoryTransport(store.receive), AT_ONCE, threading.Event(),
        None if directory is None else lambda: directory, probes_again=probes_again,
    )  # fmt: skip


def profile_of(
    found: Links, checksum: Checksum | None = None, say: Callable[[str], None] = lambda text: None
) -> StoreProfile:
    endpoint, link = found.to(URI)
    return found.profile(URI, endpoint, link, checksum, say)


def test_it_is_asked_once_and_remembered_for_the_next_run(tmp_path: Path) -> None:
    store = Kind(trailers="refused")
    first = links(store, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: profile_of(first), range(16)))
    first.close()
    assert len({id(profile) for profile in found}) == 1
    received = store.received
    assert received <= MOST_REQUESTS
    again = links(store, tmp_path)
    assert profile_of(again) == found[0]
    assert store.received == received
    again.close()


def test_what_is_remembered_is_not_believed_if_it_is_asked_for(tmp_path: Path) -> None:
    before = links(Kind(trailers="refused"), tmp_path)
    profile_of(before)
    before.close()
    store = Kind()
    found = links(store, tmp_path, probes_again=True)
    assert profile_of(found).strongest == way(NVME, BARE)
    found.close()
    later = links(store, tmp_path)
    assert profile_of(later).strongest == way(NVME, BARE)
    later.close()


def test_what_is_distrusted_is_asked_anew(tmp_path: Path) -> None:
    store = Kind(trailers="refused")
    for found in (links(store, tmp_path), links(store, tmp_path)):
        profile_of(found)
        found.distrust(*found.to(URI))
        found.close()
    store.trailers = "decoded"
    later = links(store, tmp_path)
    assert profile_of(later).strongest == way(NVME, BARE)
    later.close()


def test_a_checksum_by_name_asks_nothing() -> None:
    store = Kind()
    found = links(store)
    assert profile_of(found, Checksum.MD5) == AMAZON
    assert (store.created, store.received) == (0, 0)
    assert profile_of(found) != AMAZON, "others may ask for no checksum by name"
    found.close()


def test_what_is_left_is_said() -> None:
    store = Kind(aborts=False)
    said: list[str] = []
    found = links(store)
    profile_of(found, say=said.append)
    found.close()
    assert len(said) == 3
    assert all(any(upload_id in text for text in said) for upload_id in store.uploads)


def test_a_store_that_does_not_answer_an_abort_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "_CLEANED_WITHIN_S", 0.0)
    is_over = threading.Event()

    class Silent(Kind):
        def abort(self, uri: ObjectUri, upload_id: str) -> None:
            assert is_over.wait(SECONDS)

    store = Silent()
    said: list[str] = []
    found = links(store)
    profile_of(found, say=said.append)
    assert not found.is_clean
    found.wait_until_clean()
    assert found.is_clean, "nobody waits a second time"
    is_over.set()
    found.close()
    assert len(said) == 3
    assert all(any(upload_id in text for text in said) for upload_id in store.uploads)


def test_a_transport_that_is_being_made_holds_up_only_who_needs_it() -> None:
    """Was a bug: the loop's thread waited for it, while credentials were fetched."""
    is_making, may_go_on = threading.Event(), threading.Event()
    store = Kind()

    def connect(*_: object) -> Transport:
        is_making.set()
        assert may_go_on.wait(SECONDS)
        return MemoryTransport(store.receive)

    found = Links(store, connect, AT_ONCE, threading.Event())
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(found.to, URI)
        assert is_making.wait(SECONDS)
        assert found.traffic() is None
        found.pace(1e6)
        may_go_on.set()
        made.result()
    found.close()


def test_a_failed_probe_is_not_remembered(tmp_path: Path) -> None:
    store = Kind()
    store.ill = itertools.repeat(refusal(503, "SlowDown"))
    found = links(store, tmp_path)
    with pytest.raises(StoreError):
        profile_of(found)
    store.ill = itertools.repeat(None)
    assert profile_of(found).strongest == way(NVME, BARE)
    found.close()


def test_without_anything_that_is_taken_nothing_protects() -> None:
    nothing = StoreProfile(())
    assert nothing.strongest == nothing.protection(None) == UNPROTECTED
    assert nothing.protection(Checksum.CRC32C) == way(C32, TRAILER, False)
    assert replace(AMAZON, protections=(way(MD5, HEADER),)).protection(None) == way(MD5, HEADER)
