"""Requests that fail: healed by a retry, or the end of the upload; nothing is held and nothing is left either way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fastput.errors import EndpointError, FastputError, IntegrityError, Interrupted, StoreError
from fastput.model import Checksum
from fastput.source import Source
from fastput.transport.faulty import Fault
from tests.engine.harness import PART, SECONDS, Rig, rig, stream
from tests.support.content import content, crc64nvme_base64

DATA = content(3 * PART + 5)
SINGLE = content(1000, seed=2)
EACH_PART = [1, 2, 4]
ALWAYS = 1000

Given = Path | bytes | Callable[[], Source]


@pytest.fixture(params=["file", "memory", "stream"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Given:
    return make(request.param, tmp_path, DATA)


@pytest.fixture(params=["file", "memory", "stream"])
def given_single(request: pytest.FixtureRequest, tmp_path: Path) -> Given:
    return make(request.param, tmp_path, SINGLE)


def make(kind: str, tmp_path: Path, data: bytes) -> Given:
    if kind == "stream":
        return stream(data)
    if kind == "memory":
        return data
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def put(engine: Rig, source: Given, data: bytes, checksum: Checksum = Checksum.CRC64NVME) -> int:
    """Checks the object and the receipt; returns the bytes that were sent again."""
    receipt = engine.engine.submit(engine.job(source, checksum=checksum)).result(SECONDS)
    assert engine.store.objects == {"s3://bucket/key": data}
    assert (receipt.size_bytes, receipt.crc64nvme) == (len(data), crc64nvme_base64(data))
    engine.expect_nothing_held()
    assert engine.engine.snapshot().sent_bytes == len(data)
    assert engine.engine.snapshot().resent_bytes == receipt.resent_bytes
    return receipt.resent_bytes


@pytest.mark.parametrize("part", EACH_PART)
@pytest.mark.parametrize("kind", ["corrupt", "lose", "answer"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_part_heals(given: Given, kind: str, part: int, times: int) -> None:
    with rig([Fault(kind, part, times)]) as engine:  # type: ignore[arg-type]
        assert put(engine, given, DATA) == times * (5 if part == 4 else PART)


@pytest.mark.parametrize("kind", ["corrupt", "lose", "answer"])
def test_a_single_put_heals(given_single: Given, kind: str) -> None:
    with rig([Fault(kind, times=2)]) as engine:  # type: ignore[arg-type]
        assert put(engine, given_single, SINGLE) == 2 * len(SINGLE)


@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.CRC32C, Checksum.MD5])
def test_a_flipped_bit_is_seen_by_every_checksum(given: Given, checksum: Checksum) -> None:
    with rig([Fault("corrupt", part) for part in EACH_PART]) as engine:
        assert put(engine, given, DATA, checksum) == 2 * PART + 5


def test_a_flipped_bit_without_a_checksum_is_refused_in_the_end(given: Given) -> None:
    """Nobody looks at the body, but the store lists what it has before the object is made."""
    with rig([Fault("corrupt", 2)]) as engine:
        error = engine.engine.submit(engine.job(given, checksum=Checksum.NONE)).exception(SECONDS)
        assert isinstance(error, IntegrityError)
        assert error.part == 2
        assert engine.store.objects == {}


ENDINGS: dict[str, tuple[Fault, type[FastputError]]] = {
    "corrupt": (Fault("corrupt", times=ALWAYS), IntegrityError),
    "lose": (Fault("lose", times=ALWAYS), EndpointError),
    "503": (Fault("answer", times=ALWAYS, status=503), StoreError),
    "500": (Fault("answer", times=ALWAYS, status=500, body=b"<Error><Code>InternalError</Code></Error>"), StoreError),
    "403": (Fault("answer", times=1, status=403, body=b"<Error><Code>AccessDenied</Code></Error>"), StoreError),
    "200 without an ETag": (Fault("answer", times=ALWAYS, status=200), StoreError),
    "garbage": (Fault("answer", times=1, status=400, body=b"\xff<<<"), StoreError),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("part", EACH_PART)
def test_a_part_that_never_arrives_ends_the_upload(given: Given, ending: str, part: int) -> None:
    fault, error_class = ENDINGS[ending]
    fault = Fault(fault.kind, part, fault.times, fault.status, fault.body)
    with rig([fault]) as engine:
        future = engine.engine.submit(engine.job(given))
        error = future.exception(SECONDS)
        assert type(error) is error_class
        assert error.upload_id is None
        if error_class is not EndpointError:
            assert error.part == part or ending == "200 without an ETag"
        assert engine.store.objects == {}
        engine.expect_nothing_held()
        assert engine.engine.submit(engine.job(SINGLE)).result(SECONDS).size_bytes == len(SINGLE), "it goes on"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_single_put_that_never_arrives(given_single: Given, ending: str) -> None:
    fault, error_class = ENDINGS[ending]
    with rig([fault]) as engine:
        error = engine.engine.submit(engine.job(given_single)).exception(SECONDS)
        assert type(error) is error_class
        assert error.part is None
        assert engine.store.objects == {}
        engine.expect_nothing_held()


def test_attributes_of_an_integrity_error() -> None:
    with rig([Fault("corrupt", 2, times=ALWAYS)]) as engine:
        error = engine.engine.submit(engine.job(DATA)).exception(SECONDS)
    assert isinstance(error, IntegrityError)
    assert (error.bucket, error.key, error.part) == ("bucket", "key", 2)
    assert (error.status, error.code, error.request_id) == (400, "BadDigest", "request-1")


@pytest.mark.parametrize("part", [None, *EACH_PART])
def test_cancelling_while_a_request_hangs(given: Given, part: int | None) -> None:
    with rig([Fault("hang", part, times=ALWAYS)]) as engine:
        future = engine.engine.submit(engine.job(given))
        wait_until_sent(engine, 1 if part is None else part)
        engine.engine.cancel("enough")
        error = future.exception(SECONDS)
        assert isinstance(error, Interrupted)
        assert "enough" in str(error)
        assert engine.store.objects == {}
        engine.expect_nothing_held()
        late = engine.engine.submit(engine.job(DATA))
        assert isinstance(late.exception(SECONDS), Interrupted)


def wait_until_sent(engine: Rig, count: int) -> None:
    """Until so many requests were given to the transport: a hanging one never comes back to be waited for."""
    import time

    deadline_s = time.monotonic() + SECONDS
    while len(engine.watching.requests) < count:
        assert time.monotonic() < deadline_s
        engine.settle()


def test_one_failing_upload_does_not_touch_the_others() -> None:
    with rig(window=3) as engine:
        good = [engine.engine.submit(engine.job(DATA, f"good-{number}")) for number in range(5)]
        bad = engine.engine.submit(engine.job(Path("/nowhere/at/all"), "bad"))
        more = [engine.engine.submit(engine.job(stream(DATA), f"stream-{number}")) for number in range(3)]
        assert bad.exception(SECONDS) is not None
        for future in [*good, *more]:
            assert future.result(SECONDS).size_bytes == len(DATA)
        assert set(engine.store.objects.values()) == {DATA}
        assert len(engine.store.objects) == 8
        assert engine.watching.most_requests <= 3
        engine.expect_nothing_held()
