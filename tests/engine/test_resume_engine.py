"""Uploads that are interrupted and put again by a fresh engine: what is sent and kept, and never a wrong object."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastput.answers import StoreAnswer, to_error
from fastput.engine import engine as engine_module
from fastput.engine import prepare
from fastput.engine.resume import SAMPLE_PARTS
from fastput.errors import (
    EndpointError,
    FastputError,
    IntegrityError,
    Interrupted,
    JournalBusy,
    JournalError,
    ObjectExists,
    Resumable,
    SourceChanged,
    StoreError,
    UploadGone,
)
from fastput.limits import StoreLimits
from fastput.model import (
    Checksum,
    ConfirmedPart,
    ListedPart,
    ObjectAttributes,
    ObjectInfo,
    ObjectUri,
    Part,
    Progress,
    Receipt,
)
from fastput.native.slicer import PartBody
from fastput.source import FileSource
from fastput.state.journal import Journal, journals
from fastput.store import Completed
from fastput.transport.faulty import Fault
from tests.engine.harness import PART, SECONDS, SMALL_PARTS, CheckingStore, Rig, begun_by_others, rig, stream
from tests.support.content import MIB, content, crc64nvme_base64

SIZE = 6 * PART + 5
DATA = content(SIZE, seed=21)
COUNT = 7


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs isn't given two seconds."""
    monkeypatch.setattr(engine_module, "DRAIN_S", 0.0)


@dataclass
class Put:
    """A file, a store, and what this machine remembers of them."""

    path: Path
    state: Path
    store: CheckingStore

    def first(self, parts: int | Sequence[int], **changes: Any) -> FastputError:
        """Sends these parts (a number: so many), then is interrupted. If they are all, Complete is refused."""
        sent = range(1, parts + 1) if isinstance(parts, int) else parts
        count = -(-self.path.stat().st_size // PART)
        hangs = [Fault("hang", number, 1000) for number in range(1, count + 1) if number not in sent]
        with self.rig(faults=hangs, window=count) as engine:

            def on_progress(progress: Progress) -> None:
                if progress.parts_confirmed == len(sent):
                    engine.engine.cancel("enough")

            with refusing_complete(self.store) if len(sent) == count else contextlib.nullcontext():
                error = self.submit(engine, **({"on_progress": on_progress} | changes)).exception(SECONDS)
            assert isinstance(error, FastputError)
            engine.settle()
            snapshot = engine.engine.snapshot()
            assert (snapshot.in_flight, snapshot.reserved_bytes, snapshot.uploads) == (0, 0, 0)
            assert sorted(self.parts) == sorted(sent)
            return error

    def again(self, resumed: int | None = None, **changes: Any) -> Receipt:
        """Runs to the end. resumed: how many bytes needn't be sent; the rest is, once."""
        with self.rig() as engine:
            receipt = self.submit(engine, **changes).result(SECONDS)
            data = self.path.read_bytes()
            self.expect(receipt, data)
            engine.expect_nothing_held()
            sent_bytes = sum(request.body.length_bytes for request in engine.watching.requests)
            assert sent_bytes == len(data) - receipt.resumed_bytes
            assert resumed in (None, receipt.resumed_bytes)
            return receipt

    def rig(self, **options: Any) -> Any:
        return rig(store=self.store, state=self.state, **options)

    def submit(self, engine: Rig, **changes: Any) -> Future[Receipt]:
        return engine.engine.submit(replace(engine.job(self.path), **changes))

    def expect(self, receipt: Receipt, data: bytes) -> None:
        """The object, all of the receipt, and nothing left anywhere."""
        assert self.store.objects["s3://bucket/key"] == data
        assert (receipt.size_bytes, receipt.crc64nvme) == (len(data), crc64nvme_base64(data))
        offset_bytes = 0
        for number, part in enumerate(receipt.parts, start=1):
            assert (part.number, part.offset_bytes) == (number, offset_bytes)
            offset_bytes += part.length_bytes
        assert offset_bytes == len(data)
        assert self.store.uploads == {}
        assert os.listdir(self.state) == []

    @property
    def upload_id(self) -> str:
        """Of the one upload that is on the store."""
        (upload_id,) = self.store.uploads
        return upload_id

    @property
    def parts(self) -> dict[int, bytes]:
        """What the store has of it."""
        return self.store.uploads[self.upload_id].parts

    def forget(self, *numbers: int) -> None:
        """As if the run had been killed between the store's answer and the journal's."""
        (journal,) = self.state.glob("*.journal")
        with sqlite3.connect(journal) as connection:
            connection.executemany("DELETE FROM part WHERE number = ?", [(number,) for number in numbers])
        connection.close()


@contextlib.contextmanager
def refusing_complete(store: CheckingStore) -> Iterator[None]:
    """Complete is forbidden for now."""

    def refuse(uri: ObjectUri, *arguments: object) -> Completed:
        raise to_error(StoreAnswer(403, "AccessDenied"), uri, "complete the multipart upload")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "complete", refuse)
        yield


@pytest.fixture
def put(tmp_path: Path) -> Put:
    path, state = tmp_path / "file", tmp_path / "state"
    path.write_bytes(DATA)
    state.mkdir()
    return Put(path, state, CheckingStore())


# ---- going on


@pytest.mark.parametrize("parts", range(1, COUNT))
def test_interrupted_after_any_part(put: Put, parts: int) -> None:
    error = put.first(parts)
    assert isinstance(error, Resumable)
    assert (error.upload_id, error.exit_status) == (put.upload_id, 10)
    assert error.hint == f"{parts}.0 MiB of 6.0 MiB are kept on the store: put it again to go on from there"
    put.again(resumed=parts * PART)


@pytest.mark.parametrize("parts", [(1, 3, 4), (2,), (COUNT,), (1, COUNT), (2, 4, 6), (1, 2, 3, 5, 6, 7)])
def test_interrupted_with_holes(put: Put, parts: Sequence[int]) -> None:
    """Parts are confirmed in any order."""
    put.first(parts)
    put.again(resumed=sum(5 if number == COUNT else PART for number in parts))


def test_interrupted_when_everything_was_sent(put: Put) -> None:
    put.first(COUNT)
    put.again(resumed=SIZE)


def test_interrupted_again_and_again(put: Put) -> None:
    for parts in range(1, COUNT):
        if parts > 1:
            # What was there before counts too, and isn't sent again.
            put.first(range(1, parts + 1))
        else:
            put.first(1)
    put.again(resumed=(COUNT - 1) * PART)


def test_what_is_in_flight_may_end_by_itself(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of grace: what is answered in time needn't be sent again."""
    monkeypatch.setattr(engine_module, "DRAIN_S", 5.0)
    with put.rig(holds=True) as engine:
        future = put.submit(engine)
        engine.holding.wait_for(4)
        engine.engine.cancel("enough")
        engine.settle()
        assert not future.done()
        engine.holding.let_go()
        assert isinstance(future.exception(SECONDS), Resumable)
    put.again(resumed=4 * PART)


@pytest.mark.parametrize("lost", [(1,), (3,), (COUNT,), (1, 2, 3), (2, 4, 6), tuple(range(1, COUNT + 1))])
def test_parts_that_the_store_has_and_nobody_noted(put: Put, lost: Sequence[int]) -> None:
    """kill -9. Their bytes are read and compared: nothing of them is sent again."""
    put.first(COUNT)
    put.forget(*lost)
    put.again(resumed=SIZE)


@pytest.mark.parametrize("bad", ["bytes", "size", "empty"])
@pytest.mark.parametrize("number", [2, COUNT])
def test_a_part_that_nobody_noted_and_that_is_not_the_files(put: Put, bad: str, number: int) -> None:
    put.first(COUNT)
    put.forget(number)
    damaged = {"bytes": bytes(len(put.parts[number])), "size": put.parts[number][:-1], "empty": b""}
    put.parts[number] = damaged[bad]
    length_bytes = 5 if number == COUNT else PART
    put.again(resumed=SIZE - length_bytes)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_parts_that_vanished_on_the_store(put: Put, number: int) -> None:
    put.first(5)
    del put.parts[number]
    put.again(resumed=4 * PART)


def test_all_parts_vanished_on_the_store(put: Put) -> None:
    put.first(5)
    put.parts.clear()
    put.again(resumed=0)


def test_a_part_that_was_replaced_on_the_store(put: Put) -> None:
    """Noted, and other bytes are there now: neither believed nor completed."""
    put.first(5)
    put.parts[3] = bytes(PART)
    put.again(resumed=4 * PART)


def test_parts_behind_those_that_the_file_has(put: Put) -> None:
    put.first(5)
    put.parts[COUNT + 1] = b"more than there is"
    put.parts[90] = DATA[:PART]
    put.again(resumed=5 * PART)


@pytest.mark.parametrize(("parts", "part_bytes"), [(1, 2 * PART), (3, 2 * PART), (5, 4 * PART), (3, PART // 2)])
def test_another_part_size(put: Put, parts: int, part_bytes: int) -> None:
    put.first(parts)
    with put.rig(part_bytes=part_bytes) as engine:
        receipt = put.submit(engine).result(SECONDS)
        put.expect(receipt, DATA)
        assert receipt.resumed_bytes == parts * PART


def test_rows_of_parts_that_were_given_up(put: Put) -> None:
    """Was a bug: they stood in the journal among the new ones. Where those were of another size the next run found that
    parts overlap, put the journal aside as damaged and started anew, and the upload was left."""
    put.first(5)
    few = replace(SMALL_PARTS, max_parts=4)
    with put.rig(limits=few) as engine, refusing_complete(put.store):
        error = put.submit(engine).exception(SECONDS)
        assert isinstance(error, StoreError)
        assert error.hint is not None
    notes: list[str] = []
    with put.rig(limits=few) as engine:
        receipt = put.submit(engine, on_note=notes.append).result(SECONDS)
        put.expect(receipt, DATA)
        assert receipt.resumed_bytes == SIZE
    assert not any("can't be used" in note for note in notes), notes


def test_a_smaller_memory(put: Put) -> None:
    """Parts of the old size don't fit any more: the rest is cut finer, and what is there stays."""
    with put.rig(part_bytes=2 * PART, window=1) as engine:

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == 2:
                engine.engine.cancel("enough")

        put.submit(engine, on_progress=on_progress).exception(SECONDS)
    with put.rig(memory_bytes=PART + PART // 2) as engine:
        receipt = put.submit(engine).result(SECONDS)
        put.expect(receipt, DATA)
        assert receipt.resumed_bytes == 4 * PART


@pytest.mark.parametrize("max_parts", [3, 4, 7])
def test_a_store_that_takes_fewer_parts_now(put: Put, max_parts: int) -> None:
    put.first(5)
    with put.rig(limits=replace(SMALL_PARTS, max_parts=max_parts), part_bytes=3 * PART) as engine:
        receipt = put.submit(engine).result(SECONDS)
        put.expect(receipt, DATA)
        assert len(receipt.parts) <= max_parts


def test_an_upload_begun_in_parts_that_is_small_enough_for_one_request_now(put: Put) -> None:
    """Was a bug: the object was made, and the upload with its parts and its journal were left."""
    put.first(3)
    with put.rig(part_bytes=8 * PART) as engine:
        receipt = put.submit(engine).result(SECONDS)
        put.expect(receipt, DATA)
        assert receipt.resumed_bytes == 3 * PART


def test_a_file_that_became_small_enough_for_one_request(put: Put) -> None:
    """What was begun is of no use: one PutObject, the old upload aborted, and the journal gone."""
    put.first(3)
    put.path.write_bytes(DATA[: PART // 2])
    put.again(resumed=0)
    with put.rig() as engine:
        both = [put.submit(engine).result(SECONDS) for _ in range(2)]
        assert [receipt.size_bytes for receipt in both] == [PART // 2] * 2


def test_the_receipt_has_all_parts_after_two_deaths(put: Put) -> None:
    """Was a bug: parts that were found on the store weren't noted. If the run that found them died after Complete, the
    next one had a receipt with holes, or didn't know its own object."""
    put.first(4)
    put.forget(2)
    put.store = Dying.over(put.store)
    with put.rig() as engine:
        assert isinstance(put.submit(engine).exception(SECONDS), EndpointError)
    assert put.store.objects
    put.store = put.store.reborn(keeps_checksums=False)
    put.again(resumed=SIZE)


FATES = ["kept", "kept", "kept", "forgotten", "vanished", "hurt", "hurt and forgotten"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FATES) | st.none(), min_size=COUNT, max_size=COUNT).filter(any))
def test_any_part_may_meet_any_fate(put: Put, fates: list[str | None]) -> None:
    """None: it wasn't sent. What the store still has as it is in the file isn't sent again, all else is."""
    sent = {number: fate for number, fate in enumerate(fates, start=1) if fate is not None}
    put.first(sorted(sent))
    right = SIZE
    for number in range(1, COUNT + 1):
        fate = sent.get(number, "vanished")
        length_bytes = 5 if number == COUNT else PART
        if fate not in ("kept", "forgotten"):
            right -= length_bytes
        if "forgotten" in fate:
            put.forget(number)
        if "hurt" in fate:
            put.parts[number] = bytes(length_bytes)
        if fate == "vanished":
            put.parts.pop(number, None)
    put.again(resumed=right)
    put.store.objects.clear()


# ---- the source


@pytest.mark.parametrize("how", ["bytes", "longer", "shorter", "mtime"])
def test_another_file(put: Put, how: str) -> None:
    """The upload that was begun is aborted: its parts are of use to nobody."""
    put.first(3)
    data = {"bytes": bytes(SIZE), "longer": DATA + b"more", "shorter": DATA[:-1], "mtime": DATA}[how]
    put.path.write_bytes(data)
    os.utime(put.path, ns=(1, 1))
    notes: list[str] = []
    put.again(resumed=0, on_note=notes.append)
    assert any("the file isn't the one" in note for note in notes)


def test_a_file_that_was_rewritten_with_its_mtime_put_back(put: Put) -> None:
    """Only the ctime tells, and a single byte in the middle: everything is read again."""
    before = put.path.stat()
    for place in (0, 2 * PART + 7, 5 * PART - 1):
        put.path.write_bytes(DATA)
        os.utime(put.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        put.first(5)
        data = bytearray(DATA)
        data[place] ^= 1
        put.path.write_bytes(data)
        os.utime(put.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        notes: list[str] = []
        put.again(resumed=0, on_note=notes.append)
        assert any("aren't those that were sent" in note for note in notes)


def test_a_chmod_costs_nothing_but_reading(put: Put) -> None:
    put.first(3)
    put.path.chmod(0o600)
    put.again(resumed=3 * PART)


def test_bytes_behind_the_last_part_may_differ(put: Put) -> None:
    """What wasn't sent wasn't promised."""
    before = put.path.stat()
    put.first(3)
    with open(put.path, "r+b") as file:
        file.seek(5 * PART)
        file.write(b"other")
    os.utime(put.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    put.again(resumed=3 * PART)


def test_a_file_that_changes_while_it_goes_on(put: Put) -> None:
    put.first(3)
    with put.rig(window=1) as engine:
        job = {"on_progress": lambda progress: os.utime(put.path, ns=(1, 1))}
        error = put.submit(engine, **job).exception(SECONDS)
        assert isinstance(error, SourceChanged)
        engine.expect_nothing_held()
    assert os.listdir(put.state) == []
    put.again(resumed=0)


def test_a_file_that_is_another_one_with_the_same_times(put: Put) -> None:
    """A copy with its times (cp -p, rsync) in the place of the first: the bytes decide."""
    before = put.path.stat()
    put.first(3)
    put.path.unlink()
    put.path.write_bytes(DATA)
    os.utime(put.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    put.again(resumed=3 * PART)


@pytest.mark.parametrize("why", ["asked for", "chmod", "ETags"])
def test_every_part_is_read_again(put: Put, why: str) -> None:
    """A sample of eight may miss one of many; all of them can't."""
    data = content(14 * PART, seed=22)
    put.path.write_bytes(data)
    put.first(13)
    reads: list[int] = []

    class Counted(FileSource):
        def body(self, part: Part, trailer: str | None) -> PartBody:
            reads.append(part.number)
            return super().body(part, trailer)

    if why == "chmod":
        put.path.chmod(0o600)
    put.again(
        resumed=13 * PART, open_source=lambda: Counted(put.path), rechecks_all=why == "asked for",
        verifies_etag=why == "ETags",
    )  # fmt: skip
    assert sorted(reads) == list(range(1, 15))


def test_a_sample_is_read_again(put: Put) -> None:
    data = content(14 * PART, seed=22)
    put.path.write_bytes(data)
    put.first(13)
    notes: list[str] = []
    reads: list[int] = []

    class Counted(FileSource):
        def body(self, part: Part, trailer: str | None) -> PartBody:
            reads.append(part.number)
            return super().body(part, trailer)

    put.again(resumed=13 * PART, open_source=lambda: Counted(put.path), on_note=notes.append)
    assert any("going on with an earlier upload: 13 parts" in note for note in notes)
    assert {1, 13, 14} <= set(reads)
    assert len(reads) <= SAMPLE_PARTS + 1


# ---- what was asked for


@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(content_type="text/plain"), ObjectAttributes(storage_class="GLACIER"),
        ObjectAttributes(metadata={"a": "b"}), ObjectAttributes(tags={"a": "b"}),
    ],
)  # fmt: skip
def test_other_attributes_start_anew(put: Put, attributes: ObjectAttributes) -> None:
    """They are fixed when an upload is created."""
    put.first(3)
    notes: list[str] = []
    put.again(resumed=0, attributes=attributes, on_note=notes.append)
    assert any("other metadata" in note for note in notes)


@pytest.mark.parametrize("checksum", [Checksum.CRC32C, Checksum.MD5, Checksum.NONE])
def test_another_checksum_starts_anew(put: Put, checksum: Checksum) -> None:
    put.first(3)
    notes: list[str] = []
    receipt = put.again(resumed=0, checksum=checksum, on_note=notes.append)
    assert receipt.checksum == checksum.value
    assert any("another checksum" in note for note in notes)


@pytest.mark.parametrize("checksum", list(Checksum))
@pytest.mark.parametrize("asked", [True, False])
def test_each_checksum_goes_on(put: Put, checksum: Checksum, asked: bool) -> None:
    """Was a bug: what was begun without a checksum counted as checked if none was asked for by name."""
    put.first(3, checksum=checksum)
    put.forget(2)
    receipt = put.again(resumed=3 * PART, checksum=checksum if asked else None)
    assert receipt.checksum == checksum.value
    assert receipt.is_checked == (checksum is not Checksum.NONE)


def test_what_is_not_checked_is_compared_after_going_on(put: Put) -> None:
    """As above: the damage comes after the takeover, when the old part was found to be right."""
    put.first(3, checksum=Checksum.NONE)

    class Damaging(CheckingStore):
        def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            (upload,) = self.uploads.values()
            upload.parts[2] = bytes(PART)
            return super().receive(path, headers, body)

    store = Damaging()
    store.uploads, store._ids = put.store.uploads, put.store._ids
    put.store = store
    with put.rig() as engine:
        error = put.submit(engine, checksum=None).exception(SECONDS)
        assert isinstance(error, IntegrityError)
        assert error.part == 2
        assert store.objects == {}


@pytest.mark.parametrize("is_noted", [True, False])
def test_etags_of_what_an_earlier_run_sent_are_compared_too(put: Put, is_noted: bool) -> None:
    """Was a bug: a part that was hurt on its way in a run without --verify etag was taken over by one with it."""

    class Plain(CheckingStore):
        def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
            return (replace(part, checksums={}) for part in super().list_parts(uri, upload_id))

    put.store = Plain()
    faults = [Fault("corrupt", 2), *(Fault("hang", number, 1000) for number in range(5, COUNT + 1))]
    with put.rig(faults=faults, window=COUNT) as engine:

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == 4:
                engine.engine.cancel("enough")

        error = put.submit(engine, checksum=Checksum.NONE, on_progress=on_progress).exception(SECONDS)
        assert isinstance(error, Resumable)
    assert put.parts[2] != DATA[PART : 2 * PART]
    if not is_noted:
        put.forget(2)
    receipt = put.again(resumed=3 * PART, checksum=Checksum.NONE, verifies_etag=True)
    assert receipt.is_checked


def test_no_clobber_goes_on(put: Put) -> None:
    put.first(3, no_clobber=True)
    put.again(resumed=3 * PART, no_clobber=True)


def test_no_clobber_and_an_object_that_came_meanwhile(put: Put) -> None:
    """Was a bug: the parts of the earlier run stayed on the store, and nothing ever used them."""
    put.first(3)
    put.store.receive("/bucket/key", {}, b"theirs")
    with put.rig() as engine:
        assert isinstance(put.submit(engine, no_clobber=True).exception(SECONDS), ObjectExists)
        engine.expect_nothing_held()
    assert put.store.objects == {"s3://bucket/key": b"theirs"}
    assert os.listdir(put.state) == []


def test_another_key_is_another_upload(put: Put) -> None:
    put.first(3)
    with put.rig() as engine:
        receipt = put.submit(engine, uri=ObjectUri("bucket", "other")).result(SECONDS)
        assert receipt.resumed_bytes == 0
    put.again(resumed=3 * PART)


def test_without_resume_the_journal_is_left_alone(put: Put) -> None:
    put.first(3)
    with put.rig() as engine:
        receipt = put.submit(engine, is_resumable=False).result(SECONDS)
        assert receipt.resumed_bytes == 0
        assert put.store.objects["s3://bucket/key"] == DATA
    put.again(resumed=3 * PART)


# ---- the upload is gone


def test_an_upload_that_somebody_aborted(put: Put) -> None:
    put.first(3)
    put.store.uploads.clear()
    notes: list[str] = []
    put.again(resumed=0, on_note=notes.append)
    assert any("forgotten" in note for note in notes)


class Dying(CheckingStore):
    """Makes the object, and then nobody hears from it again: as if the process had been killed."""

    is_dead = False

    @classmethod
    def over(cls, store: CheckingStore) -> Dying:
        """With what the other one has."""
        dying = cls()
        dying.uploads, dying.objects, dying._etags, dying._ids = store.uploads, store.objects, store._etags, store._ids
        return dying

    def reborn(self, keeps_checksums: bool) -> CheckingStore:
        class Reborn(CheckingStore):
            def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
                info = super().head(uri, version_id)
                return info and (info if keeps_checksums else replace(info, checksums={}, is_full_object=False))

        store = Reborn()
        store.uploads, store.objects, store._etags, store._ids = self.uploads, self.objects, self._etags, self._ids
        return store

    def complete(self, *arguments: Any) -> Completed:
        super().complete(*arguments)
        self.is_dead = True
        raise EndpointError("dead", is_temporary=True)

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        if self.is_dead:
            raise EndpointError("dead")
        return super().list_parts(uri, upload_id)

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        if self.is_dead:
            raise EndpointError("dead")
        return super().head(uri, version_id)


@pytest.fixture
def completed(put: Put) -> Put:
    """The object is there, and the run that made it never heard of it."""
    put.store = Dying.over(put.store)
    with put.rig() as engine:
        error = put.submit(engine).exception(SECONDS)
        assert isinstance(error, EndpointError)
        assert error.hint is not None
    assert put.store.objects == {"s3://bucket/key": DATA}
    assert put.store.uploads == {}
    return put


@pytest.mark.parametrize("keeps_checksums", [True, False])
@pytest.mark.parametrize("no_clobber", [True, False])
def test_an_object_that_was_completed_unheard(completed: Put, keeps_checksums: bool, no_clobber: bool) -> None:
    assert isinstance(completed.store, Dying)
    completed.store = completed.store.reborn(keeps_checksums)
    receipt = completed.again(resumed=SIZE, no_clobber=no_clobber)
    assert receipt.is_kept is keeps_checksums
    assert len(receipt.parts) == COUNT


def test_digests_of_an_object_that_was_completed_unheard(completed: Put) -> None:
    """Was a bug: there were none."""
    assert isinstance(completed.store, Dying)
    completed.store = completed.store.reborn(True)
    receipt = completed.again(resumed=SIZE, digests=("sha256",))
    assert receipt.digests == {"sha256": hashlib.sha256(DATA).hexdigest()}


@pytest.mark.parametrize("theirs", [b"theirs", content(SIZE, seed=23)])
def test_a_foreign_object_stands_where_ours_was_completed_unheard(completed: Put, theirs: bytes) -> None:
    assert isinstance(completed.store, Dying)
    completed.store = completed.store.reborn(True)
    completed.store.receive("/bucket/key", {}, theirs)
    completed.again(resumed=0)


def test_the_file_changed_after_it_was_completed_unheard(completed: Put) -> None:
    """With its times put back: the object is the old file's, and the new one is sent."""
    assert isinstance(completed.store, Dying)
    completed.store = completed.store.reborn(True)
    before = completed.path.stat()
    completed.path.write_bytes(bytes(SIZE))
    os.utime(completed.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    completed.again(resumed=0)


@pytest.mark.parametrize("status", [403, 501])
def test_who_may_not_look_sends_it_anew(completed: Put, status: int) -> None:
    """Was a bug: each run failed at the same HEAD, until the journal was deleted by hand."""

    class Blind(CheckingStore):
        def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
            raise to_error(StoreAnswer(status), uri, "look at it")

    store = Blind()
    store.objects = completed.store.objects
    completed.store = store
    completed.again(resumed=0)


def test_an_upload_that_vanishes_while_it_goes_on(put: Put) -> None:
    put.first(3)

    class Vanishing(CheckingStore):
        def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            self.uploads.clear()
            return super().receive(path, headers, body)

    store = Vanishing()
    store.uploads, store._ids = put.store.uploads, put.store._ids
    put.store = store
    with put.rig() as engine:
        assert isinstance(put.submit(engine).exception(SECONDS), UploadGone)
        engine.expect_nothing_held()
    assert os.listdir(put.state) == [], "nothing of it is of use"


# ---- uploads that failed by themselves


FAILURES = {
    "lost": Fault("lose", 5, 1000),
    "refused": Fault("answer", 5, 1, 403, b"<Error><Code>AccessDenied</Code></Error>"),
    "hurt": Fault("corrupt", 5, 1000),
    "ill": Fault("answer", 5, 1000, 500),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_file_that_fails_leaves_its_parts_and_says_so(put: Put, failure: str) -> None:
    with (
        put.rig([FAILURES[failure]], window=1)
        if False
        else rig([FAILURES[failure]], store=put.store, state=put.state, window=1) as engine
    ):
        error = put.submit(engine).exception(SECONDS)
        assert isinstance(error, FastputError)
        assert not isinstance(error, Interrupted)
        assert error.upload_id == put.upload_id
        assert error.hint is not None
        assert " MiB of 6.0 MiB are kept on the store: put it again" in str(error)
    assert set(put.parts) >= {1, 2, 3, 4}, "behind the one that waits for another try others go"
    put.again(resumed=sum(map(len, put.parts.values())))


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_what_can_not_be_read_again_leaves_nothing(put: Put, failure: str, kind: str) -> None:
    with put.rig(faults=[FAILURES[failure]], window=1) as engine:
        source: Any = DATA if kind == "memory" else stream(DATA)
        error = engine.engine.submit(engine.job(source)).exception(SECONDS)
        assert isinstance(error, FastputError)
        assert (error.upload_id, error.hint) == (None, None)
        engine.expect_nothing_held()
    assert os.listdir(put.state) == []


@pytest.mark.parametrize("kind", ["memory", "stream"])
def test_what_can_not_be_read_again_is_interrupted_for_good(put: Put, kind: str) -> None:
    with put.rig(window=1) as engine:

        def on_progress(progress: Progress) -> None:
            if progress.parts_confirmed == 3:
                engine.engine.cancel("enough")

        source: Any = DATA if kind == "memory" else stream(DATA)
        error = engine.engine.submit(engine.job(source, on_progress=on_progress)).exception(SECONDS)
        assert type(error) is Interrupted
        assert error.exit_status == 130
        engine.expect_nothing_held()
    assert os.listdir(put.state) == []


def test_a_file_without_a_place_for_journals_leaves_its_parts_too(put: Put) -> None:
    """The hint names the way that needs none."""
    with rig([FAILURES["refused"]], store=put.store, window=1) as engine:
        job = replace(engine.job(put.path), is_resumable=True)
        error = engine.engine.submit(job).exception(SECONDS)
        assert isinstance(error, StoreError)
        assert error.hint is not None
        assert f"fastput uploads resume s3://bucket/key {put.path}" in error.hint
    put.again(resumed=4 * PART, upload_id=put.upload_id)


def test_a_file_that_fails_before_its_first_part_leaves_nothing(put: Put) -> None:
    with put.rig(faults=[replace(FAILURES["refused"], part=1)], window=1) as engine:
        error = put.submit(engine).exception(SECONDS)
        assert isinstance(error, StoreError)
        assert (error.upload_id, error.hint) == (None, None)
        engine.expect_nothing_held()
    assert os.listdir(put.state) == []


def test_a_complete_that_fails_leaves_everything(put: Put) -> None:
    class Ill(CheckingStore):
        is_ill = True

        def complete(self, *arguments: Any) -> Completed:
            if self.is_ill:
                raise to_error(StoreAnswer(500, "InternalError"), arguments[0], "complete the multipart upload")
            return super().complete(*arguments)

    put.store = store = Ill()
    with put.rig() as engine:
        error = put.submit(engine).exception(SECONDS)
        assert isinstance(error, StoreError)
        assert error.upload_id == put.upload_id
    store.is_ill = False
    put.again(resumed=SIZE)


@pytest.mark.parametrize("at", ["create", "list", "complete"])
def test_interrupted_while_a_control_call_is_under_way(put: Put, at: str) -> None:
    """Whatever it brings, the upload ends in order, and a later run goes on."""
    reached, goes_on = threading.Event(), threading.Event()

    class Slow(CheckingStore):
        def wait_at(self, call: str) -> None:
            if call == at and not goes_on.is_set():
                reached.set()
                assert goes_on.wait(SECONDS)

        def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
            self.wait_at("create")
            return super().create(uri, attributes, checksum)

        def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
            self.wait_at("list")
            return super().list_parts(uri, upload_id)

        def complete(self, *arguments: Any) -> Completed:
            self.wait_at("complete")
            return super().complete(*arguments)

    if at == "list":
        put.first(3)
    store = Slow()
    store.uploads, store._ids = put.store.uploads, put.store._ids
    put.store = store
    with put.rig() as engine:
        future = put.submit(engine)
        assert reached.wait(SECONDS)
        engine.engine.cancel("enough")
        engine.settle()
        assert not future.done()
        goes_on.set()
        if at == "complete":
            assert future.result(SECONDS).size_bytes == SIZE, "cancelled too late: the object is there"
            put.expect(future.result(), DATA)
            return
        error = future.exception(SECONDS)
        assert isinstance(error, Interrupted)
    put.again(resumed=3 * PART if at == "list" else 0)


# ---- two at a time


@pytest.mark.parametrize("is_same_engine", [True, False])
def test_two_of_the_same(put: Put, is_same_engine: bool) -> None:
    with put.rig(holds=True, window=20) as one, put.rig() as two:
        future = put.submit(one)
        one.holding.wait_for(COUNT)
        error = put.submit(one if is_same_engine else two).exception(SECONDS)
        assert isinstance(error, JournalBusy)
        assert error.exit_status == 12
        one.holding.let_go()
        put.expect(future.result(SECONDS), DATA)


def test_two_of_the_same_to_different_objects(put: Put) -> None:
    with put.rig(holds=True) as one, put.rig() as two:
        future = put.submit(one)
        one.holding.wait_for(1)
        assert put.submit(two, uri=ObjectUri("bucket", "other")).result(SECONDS).size_bytes == SIZE
        one.holding.let_go()
        put.expect(future.result(SECONDS), DATA)


def test_one_after_the_other_in_one_engine(put: Put) -> None:
    """Each lets go of its journal, whether it ends well or not."""
    with put.rig() as engine:
        for _ in range(3):
            put.expect(put.submit(engine).result(SECONDS), DATA)
            with pytest.raises(FastputError):
                put.submit(engine, uri=ObjectUri("bucket", "key"), upload_id="nowhere").result(SECONDS)


def test_while_it_runs_it_is_listed_as_in_use(put: Put) -> None:
    with put.rig(holds=True) as engine:
        future = put.submit(engine)
        engine.holding.wait_for(1)
        (summary,) = journals(put.state)
        assert summary.is_in_use
        assert summary.owner is not None
        assert summary.owner.pid == os.getpid()
        engine.holding.let_go()
        future.result(SECONDS)
        assert list(journals(put.state)) == []


# ---- the journal can't be written


class FailingAt(Journal):
    """Its disk is full from some call on."""

    fails: tuple[str, ...] = ()
    after = 0

    def begin(self, *arguments: Any) -> None:
        self._check("begin")
        super().begin(*arguments)

    def note(self, parts: Sequence[ConfirmedPart]) -> None:
        self._check("note")
        super().note(parts)

    def completing(self, crc64nvme: int) -> None:
        self._check("completing")
        super().completing(crc64nvme)

    def remove(self) -> None:
        super().remove()
        self._check("remove")

    def _check(self, call: str) -> None:
        if call not in self.fails:
            return
        if FailingAt.after == 0:
            raise JournalError(f"the disk is full at {call}")
        FailingAt.after -= 1


@pytest.mark.parametrize(("call", "after"), [("begin", 0), ("note", 0), ("note", 1), ("completing", 0)])
def test_a_disk_that_fills_up_costs_the_journal_and_not_the_upload(
    put: Put, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    monkeypatch.setattr(prepare, "Journal", FailingAt)
    monkeypatch.setattr(FailingAt, "fails", (call,))
    monkeypatch.setattr(FailingAt, "after", after)
    notes: list[str] = []
    put.again(resumed=0, on_note=notes.append)
    assert sum("going on without a journal" in note for note in notes) == 1


@pytest.mark.parametrize("call", ["begin", "note"])
def test_a_disk_that_filled_up_before_the_upload_failed(put: Put, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The hint names the way that works without the journal."""
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "Journal", FailingAt)
        patch.setattr(FailingAt, "fails", (call,))
        error = put.first(3)
        assert isinstance(error, Resumable)
        assert error.hint is not None
        assert "fastput uploads resume" in error.hint
    put.again(resumed=3 * PART, upload_id=put.upload_id)


def test_a_real_disk_that_is_full(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own limit stands for the disk's."""

    class Tiny(Journal):
        @classmethod
        def open(cls, *arguments: Any) -> Journal:
            journal = super().open(*arguments)
            journal._database._connection.execute("PRAGMA max_page_count=4")
            return journal

    data = content(60 * MIB, seed=24)
    put.path.write_bytes(data)
    monkeypatch.setattr(prepare, "Journal", Tiny)
    notes: list[str] = []
    with put.rig(limits=StoreLimits(min_part_bytes=64 * 1024, max_parts=1000)) as engine:
        receipt = put.submit(engine, on_note=notes.append).result(SECONDS)
        put.expect(receipt, data)
    assert sum("going on without a journal" in note for note in notes) == 1


def test_no_directory_for_journals(put: Put) -> None:
    """A file stands in its place."""
    put.state.rmdir()
    put.state.write_bytes(b"")
    notes: list[str] = []
    with put.rig() as engine:
        receipt = put.submit(engine, on_note=notes.append).result(SECONDS)
        assert receipt.size_bytes == SIZE
        engine.expect_nothing_held()
    assert any("going on without a journal" in note for note in notes)


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0", b"\0" * 5000])
def test_a_damaged_journal_starts_anew(put: Put, damage: bytes) -> None:
    put.first(3)
    (journal,) = put.state.glob("*.journal")
    journal.write_bytes(damage)
    with put.rig() as engine:
        receipt = put.submit(engine).result(SECONDS)
        assert receipt.resumed_bytes == 0
        assert put.store.objects["s3://bucket/key"] == DATA


def test_a_note_callback_that_fails_touches_nobody_else(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """Was a bug: told that the disk is full, its mistake ended every upload of the client."""
    monkeypatch.setattr(prepare, "Journal", FailingAt)
    monkeypatch.setattr(FailingAt, "fails", ("note",))

    def on_note(text: str) -> None:
        raise ValueError("a mistake of the caller's")

    with put.rig(holds=True, window=20) as engine:
        other = engine.engine.submit(engine.job(DATA, "other"))
        engine.holding.wait_for(COUNT)
        bad = put.submit(engine, on_note=on_note)
        engine.holding.wait_for(COUNT + 1)
        engine.holding.let_go()
        assert other.result(SECONDS).size_bytes == SIZE
        bad.exception(SECONDS)  # whether it goes on or ends is a matter of taste


def test_a_journal_that_can_not_be_deleted(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object is done all the same."""
    monkeypatch.setattr(prepare, "Journal", FailingAt)
    monkeypatch.setattr(FailingAt, "fails", ("remove",))
    put.again(resumed=0)


# ---- uploads that somebody else has begun


def test_a_strangers_upload_goes_on_and_is_noted(put: Put) -> None:
    """Interrupted, it is found by the journal: the upload's ID isn't needed a second time."""
    upload_id = begun_by_others(put.store, {number: DATA[(number - 1) * PART : number * PART] for number in (1, 2, 4)})
    error = put.first(5, upload_id=upload_id)
    assert isinstance(error, Resumable)
    assert put.upload_id == upload_id
    put.again(resumed=5 * PART)


def test_a_strangers_upload_that_is_not_there(put: Put) -> None:
    with put.rig() as engine:
        error = put.submit(engine, upload_id="nowhere").exception(SECONDS)
        assert isinstance(error, UploadGone)
        engine.expect_nothing_held()
    assert os.listdir(put.state) == []
