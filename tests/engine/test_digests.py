"""Digests of whole objects, and ETags that are compared: in the pass that sends, whatever happens on the way."""

from __future__ import annotations

import hashlib
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.engine import engine as engine_module
from fastput.engine.digests import NAMES, Digests, digest_source
from fastput.errors import IntegrityError, Interrupted, Resumable, SourceChanged, SourceReadError
from fastput.limits import MIB
from fastput.model import Checksum, Progress
from fastput.source import BufferSource, FileSource, Source
from fastput.transport import Request, Response, Ticket, Transport
from fastput.transport.base import WithoutConnections
from fastput.transport.faulty import Fault
from tests.engine.harness import PART, SECONDS, CheckingStore, Rig, rig, stream
from tests.support.content import content

DATA = content(5 * PART + 5, seed=31)
SMALL = content(1000, seed=32)
ALWAYS = 1000
KINDS = ["file", "memory", "stream"]
Given = Path | bytes | Callable[[], Source]


def expected(data: bytes, names: tuple[str, ...] = NAMES) -> dict[str, str]:
    every = {name: hashlib.new(name, data).hexdigest() for name in NAMES if name != "crc32"}
    every["crc32"] = f"{zlib.crc32(data):08x}"
    return {name: every[name] for name in names}


def make(kind: str, tmp_path: Path, data: bytes = DATA) -> Given:
    if kind == "stream":
        return stream(data)
    if kind == "memory":
        return data
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


# ---- the digests themselves


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=20), st.sets(st.sampled_from(NAMES)))
def test_in_pieces_as_in_one(pieces: list[bytes], names: set[str]) -> None:
    digests = Digests(tuple(sorted(names)))
    for piece in pieces:
        digests.update(piece)
    assert digests.hexdigests() == expected(b"".join(pieces), tuple(sorted(names)))
    assert digests.hexdigests() == digests.hexdigests(), "asking changes nothing"


@pytest.mark.parametrize("size_bytes", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB])
@pytest.mark.parametrize("kind", ["file", "memory"])
def test_of_a_source(tmp_path: Path, kind: str, size_bytes: int) -> None:
    data = content(size_bytes, seed=33)
    path = tmp_path / "file"
    path.write_bytes(data)
    source: Source = FileSource(path) if kind == "file" else BufferSource(data)
    assert digest_source(source, NAMES, threading.Event()) == expected(data)
    source.close()


def test_of_a_file_that_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    source = FileSource(path)
    path.write_bytes(DATA + b"more")
    with pytest.raises(SourceChanged):
        digest_source(source, NAMES, threading.Event())
    source.close()


def test_reading_ends_with_everything_else() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        digest_source(BufferSource(DATA), NAMES, stop)


# ---- of uploads


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.MD5, Checksum.NONE])
@pytest.mark.parametrize("size_bytes", [0, PART + 1, len(DATA)])
def test_of_an_upload(tmp_path: Path, kind: str, checksum: Checksum, size_bytes: int) -> None:
    data = DATA[:size_bytes]
    with rig() as engine:
        job = replace(engine.job(make(kind, tmp_path, data), checksum=checksum), digests=NAMES)
        receipt = engine.engine.submit(job).result(SECONDS)
        assert receipt.digests == expected(data)
        assert engine.store.objects == {"s3://bucket/key": data}
        engine.expect_nothing_held()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["corrupt", "lose", "answer"])
def test_with_parts_that_are_sent_again(tmp_path: Path, kind: str, fault: str) -> None:
    faults = [Fault(fault, part, times) for part, times in ((1, 2), (3, 1), (6, 2))]  # type: ignore[arg-type]
    with rig(faults) as engine:
        job = replace(engine.job(make(kind, tmp_path)), digests=("sha256", "crc32"))
        receipt = engine.engine.submit(job).result(SECONDS)
        assert receipt.digests == expected(DATA, ("sha256", "crc32"))
        assert engine.store.objects == {"s3://bucket/key": DATA}


def test_several_uploads_do_not_mix(tmp_path: Path) -> None:
    with rig(window=8) as engine:
        data = {f"key-{seed}": content(3 * PART + seed, seed=seed) for seed in range(6)}
        jobs = [replace(engine.job(content_, key), digests=NAMES) for key, content_ in data.items()]
        receipts = [future.result(SECONDS) for future in [engine.engine.submit(job) for job in jobs]]
        for receipt in receipts:
            assert receipt.digests == expected(data[receipt.key])


@pytest.mark.parametrize("had_digests", [True, False])
@pytest.mark.parametrize("sent", [(1,), (1, 2, 3), (2, 5), (6,)])
def test_after_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, had_digests: bool, sent: tuple[int, ...]
) -> None:
    """They come from a pass of their own: what was sent before isn't read in order."""
    monkeypatch.setattr(engine_module, "DRAIN_S", 0.0)
    state, store = tmp_path / "state", CheckingStore()
    state.mkdir()
    path = make("file", tmp_path)
    if had_digests:
        sent = tuple(range(1, len(sent) + 1))  # they are read in order, and so sent
    hangs = [Fault("hang", part, ALWAYS) for part in range(1, 7) if part not in sent]
    with rig(hangs, store=store, state=state, window=8) as engine:

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == len(sent):
                engine.engine.cancel("enough")

        job = replace(engine.job(path, on_progress=on_progress), digests=NAMES if had_digests else ())
        assert isinstance(engine.engine.submit(job).exception(SECONDS), Resumable)
    with rig(store=store, state=state) as engine:
        receipt = engine.engine.submit(replace(engine.job(path), digests=NAMES)).result(SECONDS)
        assert receipt.digests == expected(DATA)
        assert receipt.resumed_bytes == sum(5 if part == 6 else PART for part in sent)
        assert store.objects == {"s3://bucket/key": DATA}
        engine.expect_nothing_held()


def test_a_disk_that_fails_in_the_second_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything was sent; nothing is completed, and a later run goes on."""
    state, store = tmp_path / "state", CheckingStore()
    state.mkdir()
    path = make("file", tmp_path)
    assert isinstance(path, Path)
    monkeypatch.setattr(engine_module, "DRAIN_S", 0.0)
    with rig([Fault("hang", 6, ALWAYS)], store=store, state=state, window=8) as engine:

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == 5:
                engine.engine.cancel("enough")

        engine.engine.submit(engine.job(path, on_progress=on_progress)).exception(SECONDS)

    class Failing(FileSource):
        def body(self, part, trailer):  # type: ignore[no-untyped-def]
            body = super().body(part, trailer)
            if part.length_bytes == len(DATA):
                raise SourceReadError("the disk fails")
            return body

    with rig(store=store, state=state) as engine:
        job = replace(engine.job(lambda: Failing(path)), digests=NAMES)
        error = engine.engine.submit(job).exception(SECONDS)
        assert isinstance(error, SourceReadError)
        assert error.hint is not None
        assert store.objects == {}
    with rig(store=store, state=state) as engine:
        receipt = engine.engine.submit(replace(engine.job(path), digests=NAMES)).result(SECONDS)
        assert (receipt.digests, receipt.resumed_bytes) == (expected(DATA), len(DATA))
        engine.expect_nothing_held()


# ---- ETags that are compared


def verified(engine: Rig, given: Given, checksum: Checksum = Checksum.NONE) -> object:
    return engine.engine.submit(replace(engine.job(given, checksum=checksum), verifies_etag=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("part", "times"), [(1, 1), (3, 2), (6, 1)])
def test_bytes_that_are_hurt_on_the_way_are_seen_by_their_etag(
    tmp_path: Path, kind: str, part: int, times: int
) -> None:
    """The store looks at nothing."""
    with rig([Fault("corrupt", part, times)]) as engine:
        job = replace(engine.job(make(kind, tmp_path), checksum=Checksum.NONE), verifies_etag=True)
        receipt = engine.engine.submit(job).result(SECONDS)
        assert engine.store.objects == {"s3://bucket/key": DATA}
        assert receipt.is_checked
        assert receipt.resent_bytes == times * (5 if part == 6 else PART)
        engine.expect_nothing_held()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [DATA, SMALL])
def test_bytes_that_are_always_hurt_end_the_upload(tmp_path: Path, kind: str, data: bytes) -> None:
    with rig([Fault("corrupt", times=ALWAYS)]) as engine:
        job = replace(engine.job(make(kind, tmp_path, data), checksum=Checksum.NONE), verifies_etag=True)
        error = engine.engine.submit(job).exception(SECONDS)
        assert isinstance(error, IntegrityError)
        assert "MD5" in str(error)
        engine.expect_nothing_held()


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_object_that_is_hurt_once(tmp_path: Path, kind: str) -> None:
    with rig([Fault("corrupt")]) as engine:
        job = replace(engine.job(make(kind, tmp_path, SMALL), checksum=Checksum.NONE), verifies_etag=True)
        receipt = engine.engine.submit(job).result(SECONDS)
        assert engine.store.objects == {"s3://bucket/key": SMALL}
        assert receipt.is_checked


class Answering(WithoutConnections):
    """Changes the headers of answers."""

    def __init__(self, **headers: str) -> None:
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def over(self, inner: Transport) -> Answering:
        self._inner = inner
        return self

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        return self._inner.send(
            request, lambda answer: on_done(replace(answer, headers={**answer.headers, **self._headers}))
        )

    def close(self) -> None:
        self._inner.close()


OTHER_MD5 = f'"{"0" * 32}"'


@pytest.mark.parametrize(
    ("headers", "is_opaque"),
    [
        ({"etag": OTHER_MD5}, False),
        ({"etag": OTHER_MD5, "x_amz_server_side_encryption": "AES256"}, False),
        ({"etag": OTHER_MD5, "x_amz_server_side_encryption": "aws:kms"}, True),
        ({"etag": OTHER_MD5, "x_amz_server_side_encryption": "aws:kms:dsse"}, True),
        ({"etag": OTHER_MD5, "x_amz_server_side_encryption_customer_algorithm": "AES256"}, True),
        ({"etag": '"no-md5-at-all"'}, True),
        ({"etag": f'"{"0" * 32}-1"'}, True),
    ],
)
def test_etags_that_are_no_md5s_are_not_compared_and_prove_nothing(headers: dict[str, str], is_opaque: bool) -> None:
    """Was a bug: the receipt said that what the store has was compared."""
    with rig(wrap=Answering(**headers).over) as engine:
        job = replace(engine.job(SMALL, checksum=Checksum.NONE), verifies_etag=True)
        future = engine.engine.submit(job)
        if is_opaque:
            assert not future.result(SECONDS).is_checked
        else:
            assert isinstance(future.exception(SECONDS), IntegrityError)


def test_an_etag_in_capitals_is_an_md5_too() -> None:
    with rig(wrap=Answering(etag=hashlib.md5(SMALL).hexdigest().upper()).over) as engine:
        job = replace(engine.job(SMALL, checksum=Checksum.NONE), verifies_etag=True)
        assert engine.engine.submit(job).result(SECONDS).is_checked


def test_without_being_asked_etags_are_not_compared() -> None:
    with rig(wrap=Answering(etag=OTHER_MD5).over) as engine:
        receipt = engine.engine.submit(engine.job(SMALL, checksum=Checksum.NONE)).result(SECONDS)
        assert not receipt.is_checked
