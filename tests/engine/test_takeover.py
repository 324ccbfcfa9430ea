"""Uploads that others have begun: whatever is on the store the object is the file, and what is right isn't sent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastput.answers import StoreAnswer, to_error
from fastput.engine.plan import Plan
from fastput.engine.takeover import Taken, Takeover, digest_part
from fastput.errors import FastputError, Interrupted, SourceChanged, UploadGone
from fastput.limits import KIB, StoreLimits
from fastput.model import Checksum, ListedPart, ObjectUri, Part
from fastput.source import BufferSource, FileSource
from fastput.store.memory import MemoryStore
from tests.engine.harness import (
    AT_ONCE,
    PART,
    SECONDS,
    SMALL_PARTS,
    URI,
    CheckingStore,
    Rig,
    begun_by_others,
    rig,
    stream,
)
from tests.support.content import MIB, content, crc32c_base64, crc64nvme_base64

LIMITS = StoreLimits(min_part_bytes=64 * KIB, max_parts=50)
PIECE = 64 * KIB
DATA = content(10 * PIECE + 7, seed=41)
LAST = 11
PLAN = Plan(len(DATA), True, PIECE, 8 * PIECE, LIMITS)


def pieces(*numbers: int, size_bytes: int = PIECE) -> dict[int, bytes]:
    return {number: DATA[(number - 1) * size_bytes : number * size_bytes] for number in numbers}


class Lists(MemoryStore):
    """Says of its parts what the test wants."""

    def __init__(self, keeps: Mapping[str, Any] | None = None, etag: str = "md5", is_shuffled: bool = False) -> None:
        super().__init__()
        self.keeps, self.etag, self.is_shuffled = keeps or {}, etag, is_shuffled
        self.failures: list[FastputError] = []

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        if self.failures:
            raise self.failures.pop(0)
        found = list(super().list_parts(uri, upload_id))
        content_of = self.uploads[upload_id].parts
        found = [
            replace(
                part,
                checksums={name: value(content_of[part.number]) for name, value in self.keeps.items()},
                etag=part.etag if self.etag == "md5" else self.etag,
            )
            for part in found
        ]
        return iter(found[::-1] if self.is_shuffled else found)


def take(store: MemoryStore, upload_id: str, data: bytes = DATA, plan: Plan = PLAN, **changes: Any) -> Taken:
    said: list[str] = []
    source = BufferSource(data)
    takeover = Takeover(
        store=store, uri=URI, source=source, plan=plan, checksum=Checksum.CRC64NVME, checks_all=False,
        policy=AT_ONCE, stop=threading.Event(), say=said.append, **more_arguments(),
    )  # fmt: skip
    return replace(takeover, **changes).from_listing(upload_id)


def more_arguments() -> dict[str, Any]:
    """Of a Takeover, besides those that matter here."""
    return {"verifies_etag": False} if "verifies_etag" in Takeover.__dataclass_fields__ else {}


def numbers(taken: Taken) -> list[int]:
    return [part.number for part in taken.parts]


# ---- what is compared


@pytest.mark.parametrize(
    "store",
    [
        Lists(), Lists({"crc64nvme": crc64nvme_base64}), Lists({"crc32c": crc32c_base64}),
        Lists({"crc64nvme": crc64nvme_base64}, etag="opaque"), Lists({"crc32c": crc32c_base64}, etag=""),
        Lists(is_shuffled=True), Lists({"crc32": lambda data: "x"}),
    ],
)  # fmt: skip
def test_parts_are_taken_whose_bytes_are_proven(store: Lists) -> None:
    upload_id = begun_by_others(store, pieces(*range(1, LAST + 1)))
    store.uploads[upload_id].parts[4] = bytes(PIECE)
    taken = take(store, upload_id)
    assert numbers(taken) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert taken.part_bytes == PIECE
    for part in taken.parts:
        body = DATA[part.offset_bytes : part.offset_bytes + part.length_bytes]
        assert part.checksum == crc64nvme_base64(body)
        assert part.length_bytes == len(body)


@pytest.mark.parametrize("etag", ["opaque", "", '"0123-4"', '"' + "0" * 32 + '"'])
def test_parts_are_not_taken_of_which_nothing_is_proven(etag: str) -> None:
    store = Lists(etag=etag)
    assert numbers(take(store, begun_by_others(store, pieces(1, 2, 3)))) == []


def test_a_checksum_counts_for_more_than_an_etag() -> None:
    store = Lists({"crc64nvme": lambda data: crc64nvme_base64(b"other")})
    assert numbers(take(store, begun_by_others(store, pieces(1, 2, 3)))) == []


@pytest.mark.parametrize("checksum", list(Checksum))
def test_each_part_gets_the_checksum_that_complete_wants(checksum: Checksum) -> None:
    store = Lists()
    taken = take(store, begun_by_others(store, pieces(1, 2)), checksum=checksum)
    wanted = {Checksum.CRC64NVME: crc64nvme_base64, Checksum.CRC32C: crc32c_base64}
    for part, piece in zip(taken.parts, pieces(1, 2).values(), strict=True):
        if checksum in wanted:
            assert part.checksum == wanted[checksum](piece)
        assert (part.checksum is None) == (checksum is Checksum.NONE)
        assert part.etag.strip('"') == hashlib.md5(piece).hexdigest()


# ---- sizes and places


@pytest.mark.parametrize("there", [(1,), (LAST,), (2, 5), (3, LAST), (9, 10, 11), (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)])
def test_holes(there: tuple[int, ...]) -> None:
    store = Lists()
    assert numbers(take(store, begun_by_others(store, pieces(*there)))) == list(there)


@pytest.mark.parametrize("size_bytes", [PIECE, 2 * PIECE, 3 * PIECE + 11, 8 * PIECE])
def test_the_strangers_part_size(size_bytes: int) -> None:
    store = Lists()
    taken = take(store, begun_by_others(store, pieces(1, 2, size_bytes=size_bytes)))
    assert taken.part_bytes == size_bytes
    assert numbers(taken) == [1, 2]


def test_odd_sizes_in_a_row() -> None:
    store = Lists()
    upload_id = begun_by_others(store, {1: DATA[:100_000], 2: DATA[100_000:170_000], 3: DATA[170_000:400_000]})
    assert [part.length_bytes for part in take(store, upload_id).parts] == [100_000, 70_000, 230_000]


def test_small_parts_end_what_can_be_taken() -> None:
    """Below the store's least size only the last may be."""
    store = Lists()
    upload_id = begun_by_others(store, {1: DATA[:PIECE], 2: DATA[PIECE : PIECE + 10], 3: DATA[PIECE + 10 : 3 * PIECE]})
    assert numbers(take(store, upload_id)) == [1]


@pytest.mark.parametrize(
    "extra", [{LAST + 1: b"more"}, {12: DATA[:PIECE], 40: DATA}, {LAST: DATA[10 * PIECE :] + b"x"}]
)
def test_parts_beyond_the_end_of_the_file(extra: dict[int, bytes]) -> None:
    store = Lists()
    upload_id = begun_by_others(store, pieces(*range(1, 11)) | extra)
    assert numbers(take(store, upload_id)) == list(range(1, 11))


def test_empty_parts() -> None:
    store = Lists()
    assert numbers(take(store, begun_by_others(store, {1: b"", 2: b""}))) == []
    assert numbers(take(store, begun_by_others(store, {}))) == []


def test_the_part_size_is_ours_if_theirs_would_not_do() -> None:
    store = Lists()
    upload_id = begun_by_others(store, pieces(1, 2, 3))
    for plan in (
        replace(PLAN, limits=replace(LIMITS, max_parts=5), part_bytes=3 * PIECE),
        replace(PLAN, max_part_bytes=PIECE),
    ):
        taken = take(store, upload_id, plan=plan)
        assert taken.part_bytes == (3 * PIECE if plan.part_bytes == 3 * PIECE else PIECE)
    large = begun_by_others(store, {1: DATA[: 9 * PIECE]})
    taken = take(store, large)
    assert taken.part_bytes == PIECE, "a part of theirs doesn't fit our memory"
    assert numbers(taken) == [1], "but it is there"


# ---- what fails


def test_no_such_upload() -> None:
    with pytest.raises(UploadGone):
        take(Lists(), "nowhere")


def test_a_listing_that_fails_at_first() -> None:
    store = Lists()
    upload_id = begun_by_others(store, pieces(1))
    store.failures = [to_error(StoreAnswer(503, "SlowDown"), URI, "list") for _ in range(3)]
    assert numbers(take(store, upload_id)) == [1]


def test_a_listing_that_is_forbidden() -> None:
    store = Lists()
    upload_id = begun_by_others(store, pieces(1))
    store.failures = [to_error(StoreAnswer(403, "AccessDenied"), URI, "list")]
    with pytest.raises(FastputError, match="access denied"):
        take(store, upload_id)


def test_reading_ends_with_everything_else() -> None:
    store, stop = Lists(), threading.Event()
    upload_id = begun_by_others(store, pieces(1, 2))
    stop.set()
    with pytest.raises(Interrupted):
        take(store, upload_id, stop=stop)
    with pytest.raises(Interrupted):
        digest_part(BufferSource(DATA), Part(1, 0, PIECE), stop)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    source = FileSource(path)
    path.write_bytes(DATA[:-1])
    store = Lists()
    with pytest.raises(SourceChanged):
        take(store, begun_by_others(store, pieces(1)), source=source)
    source.close()


@pytest.mark.parametrize(
    ("offset_bytes", "length_bytes"), [(0, 0), (0, 1), (5, 1000), (0, len(DATA)), (len(DATA) - 1, 1)]
)
def test_the_digests_of_a_part(offset_bytes: int, length_bytes: int) -> None:
    data = DATA[offset_bytes : offset_bytes + length_bytes]
    found = digest_part(BufferSource(DATA), Part(1, offset_bytes, length_bytes))
    assert found.md5 == hashlib.md5(data).digest()
    assert found.checksum(Checksum.CRC64NVME) == crc64nvme_base64(data)
    assert found.checksum(Checksum.CRC32C) == crc32c_base64(data)


# ---- with an engine


def go_on(engine: Rig, source: Any, upload_id: str, data: bytes) -> int:
    """Sends the rest; returns what needn't be sent."""
    receipt = engine.engine.submit(replace(engine.job(source), upload_id=upload_id)).result(SECONDS)
    assert engine.store.objects["s3://bucket/key"] == data
    assert (receipt.size_bytes, receipt.crc64nvme) == (len(data), crc64nvme_base64(data))
    assert [part.number for part in receipt.parts] == list(range(1, len(receipt.parts) + 1))
    assert engine.engine.snapshot().resent_bytes == 0
    engine.expect_nothing_held()
    return receipt.resumed_bytes


@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize("size_bytes", [1, 200 * KIB, PART, PART + 1])
@pytest.mark.parametrize("there", [0, 1])
def test_a_strangers_upload_of_a_small_file(tmp_path: Path, kind: str, size_bytes: int, there: int) -> None:
    """Was a bug: one that is small enough for a PutObject counted as whole with the stranger's parts alone: an object
    of its first part, and a good receipt."""
    data, path = content(size_bytes, seed=42), tmp_path / "file"
    path.write_bytes(data)
    with rig() as engine:
        upload_id = begun_by_others(engine.store, {1: data[:PIECE]} if there else {})
        resumed_bytes = go_on(engine, path if kind == "file" else data, upload_id, data)
        assert resumed_bytes == there * min(size_bytes, PIECE)


def test_all_of_a_strangers_parts_of_a_small_file(tmp_path: Path) -> None:
    data, path = content(200 * KIB, seed=42), tmp_path / "file"
    path.write_bytes(data)
    with rig() as engine:
        parts = {number: data[(number - 1) * PIECE : number * PIECE] for number in (1, 3, 4)}
        assert go_on(engine, path, begun_by_others(engine.store, parts), data) == 200 * KIB - PIECE


@pytest.mark.parametrize("kind", ["file", "memory", "stream"])
def test_an_empty_source(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    for there in ({}, {1: b""}, {1: b"theirs"}):
        with rig() as engine:
            upload_id = begun_by_others(engine.store, there)
            go_on(engine, {"file": path, "memory": b"", "stream": stream(b"")}[kind], upload_id, b"")


@pytest.mark.parametrize("size_bytes", [1, PART, 3 * PART + 1])
def test_a_stream_takes_nothing_over_and_is_right(size_bytes: int) -> None:
    data = content(size_bytes, seed=43)
    with rig() as engine:
        upload_id = begun_by_others(engine.store, {1: data[:PART], 2: b"theirs", 9: b"more"})
        assert go_on(engine, stream(data), upload_id, data) == 0


@pytest.mark.parametrize(("there", "memory_bytes"), [(3, 64 * MIB), (2, 2 * MIB), (1, 2 * MIB)])
def test_a_strangers_parts_that_leave_no_room(tmp_path: Path, there: int, memory_bytes: int) -> None:
    """Was a bug: a division by zero behind the last part number, or a part that the memory never held: a hang."""
    data, path = content(3 * MIB, seed=44), tmp_path / "file"
    path.write_bytes(data)
    with rig(limits=replace(SMALL_PARTS, max_parts=3), memory_bytes=memory_bytes) as engine:
        parts = {number: data[(number - 1) * PIECE : number * PIECE] for number in range(1, there + 1)}
        go_on(engine, path, begun_by_others(engine.store, parts), data)


def test_an_upload_of_another_key() -> None:
    """The store says no; nothing of it is touched."""

    class Strict(CheckingStore):
        def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
            if self.uploads[upload_id].uri != uri:
                raise to_error(StoreAnswer(404, "NoSuchUpload"), uri, "list")
            return super().list_parts(uri, upload_id)

    store = Strict()
    upload_id = begun_by_others(store, {1: b"theirs"}, ObjectUri("bucket", "other"))
    with rig(store=store) as engine:
        job = replace(engine.job(DATA), upload_id=upload_id)
        assert isinstance(engine.engine.submit(job).exception(SECONDS), UploadGone)
        assert upload_id in store.uploads
        assert store.objects == {}


@st.composite
def strangers(draw: st.DrawFn) -> tuple[bytes, dict[int, bytes]]:
    """(a file, what somebody has sent of it, or of something else)."""
    size_bytes = draw(st.sampled_from([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, PART, PART + 1, 2 * PART + 9]))
    data = content(size_bytes, seed=45)
    parts: dict[int, bytes] = {}
    size = draw(st.sampled_from([PIECE, PIECE + 1, 3 * PIECE, PART, 10]))
    offset_bytes = draw(st.sampled_from([0, 0, 0, 1, PIECE]))
    for number in range(1, draw(st.integers(0, 12)) + 1):
        length_bytes = draw(st.sampled_from([size, size, size, size, size // 2, size + 5, 0]))
        piece = data[offset_bytes : offset_bytes + length_bytes]
        offset_bytes += length_bytes
        what = draw(st.sampled_from(["right", "right", "right", "right", "missing", "hurt", "longer", "elsewhere"]))
        if what == "right":
            parts[number] = piece
        elif what == "hurt":
            parts[number] = bytes(len(piece))
        elif what == "longer":
            parts[number] = piece + b"more"
        elif what == "elsewhere":
            parts[number + draw(st.integers(0, 80))] = piece
    return data, parts


@pytest.fixture(scope="module")
def one_rig() -> Iterator[Rig]:
    """One for all examples."""
    with rig() as engine:
        yield engine


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(strangers())
def test_whatever_a_stranger_has_left_the_object_is_the_file(
    one_rig: Rig, case: tuple[bytes, dict[int, bytes]]
) -> None:
    data, parts = case
    resumed_bytes = go_on(one_rig, data, begun_by_others(one_rig.store, parts), data)
    assert resumed_bytes <= sum(map(len, parts.values()))
