"""Open uploads of a store in memory: their ages, and who sends them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from fastput.client.uploads import Uploads, resumable_checksum
from fastput.engine.retry import RetryPolicy
from fastput.errors import EndpointError, FastputError, JournalBusy, StoreError, UploadGone
from fastput.model import Checksum, ListedPart, ListedUpload, ObjectAttributes, ObjectUri
from fastput.state.lock import Lock
from fastput.store.memory import MemoryStore

BUCKET = ObjectUri("bucket", "")
KEY = ObjectUri("bucket", "key")
DAY_S = 86_400.0


class Store(MemoryStore):
    """
    Attributes:
        ages: in seconds, by upload ID; without one the store doesn't say.
        lists: how often parts were asked for, and how many at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ages: dict[str, float] = {}
        self.fails_after: int | None = None
        self.at_once = self.most_at_once = 0
        self._counting = threading.Lock()

    def begin(self, key: str, age_s: float | None = None) -> str:
        upload_id = self.create(ObjectUri("bucket", key), ObjectAttributes(), Checksum.NONE)
        if age_s is not None:
            self.ages[upload_id] = age_s
        return upload_id

    def list_uploads(self, prefix: ObjectUri) -> Iterator[ListedUpload]:
        for number, upload in enumerate(super().list_uploads(prefix)):
            if number == self.fails_after:
                raise StoreError("enough")
            age_s = self.ages.get(upload.upload_id)
            yield upload if age_s is None else replace(upload, begun_at=time.time() - age_s)

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        if upload_id not in self.uploads or self.uploads[upload_id].uri != uri:
            raise UploadGone(f"{uri}: no {upload_id}")
        with self._counting:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield from super().list_parts(uri, upload_id)
        finally:
            with self._counting:
                self.at_once -= 1


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def found(store: Store, tmp_path: Path, said: list[str]) -> Uploads:
    return Uploads(store, tmp_path, said.append, RetryPolicy(max_attempts=3, base_s=1e-3))


def test_an_age_that_nobody_knows_is_no_age(store: Store, found: Uploads) -> None:
    """Taken for the Unix epoch, it would be older than anything, and what was begun a minute ago be aborted."""
    unknown, old, young = store.begin("a"), store.begin("b", 8 * DAY_S), store.begin("c", 6 * DAY_S)
    assert [upload.upload_id for upload in found.listed(BUCKET, True, 7 * DAY_S)] == [old]
    assert [upload.upload_id for upload in found.listed(BUCKET, True, 0.0)] == [unknown, old, young]
    ages = {upload.upload_id: upload.age_s for upload in found.measured(found.listed(BUCKET, True))}
    assert ages[unknown] is None
    assert ages[old] == pytest.approx(8 * DAY_S, abs=60)


def test_a_store_whose_clock_is_ahead(store: Store, found: Uploads) -> None:
    store.begin("a", -3600)
    (upload,) = found.measured(found.listed(BUCKET, True, 0.0))
    assert upload.age_s == 0.0


def test_of_exactly_one_key(store: Store, found: Uploads) -> None:
    ids = [store.begin("key"), store.begin("key")]
    store.begin("key/2")
    assert [upload.upload_id for upload in found.listed(KEY, False)] == ids
    assert len(list(found.listed(KEY, True))) == 3


def test_the_newest(store: Store, found: Uploads) -> None:
    store.begin("key", 100), store.begin("key", 300)
    newest = store.begin("key", 50)
    store.begin("key", 200), store.begin("keys", 1)
    assert found.newest(KEY).upload_id == newest
    with pytest.raises(UploadGone, match="fastput put"):
        found.newest(ObjectUri("bucket", "other"))


def test_many_with_a_bounded_number_of_requests(store: Store, found: Uploads) -> None:
    ids = sorted(store.begin(f"{number:04}") for number in range(300))  # as this store lists them
    assert [upload.upload_id for upload in found.measured(found.listed(BUCKET, True))] == ids
    assert store.most_at_once <= 8


def test_what_was_begun_is_told_before_the_error(store: Store, found: Uploads) -> None:
    ids = sorted(store.begin(f"{number:04}") for number in range(30))
    store.fails_after = 20
    ended = found.ended(found.listed(BUCKET, True))
    assert [upload.upload_id for upload, _ in islice(ended, 20)] == ids[:20]
    with pytest.raises(StoreError, match="enough"):
        next(ended)
    assert sorted(store.uploads) == ids[20:]


def test_those_that_end_meanwhile_are_left_out(store: Store, found: Uploads) -> None:
    gone, kept = store.begin("a"), store.begin("b")
    listed = list(found.listed(BUCKET, True))
    store.abort(ObjectUri("bucket", "a"), gone)
    assert [upload.upload_id for upload in found.measured(listed)] == [kept]
    assert [upload.upload_id for upload, _ in found.ended(listed)] == [kept]


def test_a_lost_link_is_tried_again(store: Store, found: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    store.begin("a")
    calls: list[str] = []

    def abort(uri: ObjectUri, upload_id: str) -> None:
        calls.append(upload_id)
        if len(calls) < 3:
            raise EndpointError("gone", is_temporary=True)
        MemoryStore.abort(store, uri, upload_id)

    monkeypatch.setattr(store, "abort", abort)
    ((_, error),) = found.ended(found.listed(BUCKET, True))
    assert error is None
    assert store.uploads == {}


def test_a_lock_that_does_not_say_whose_it_is(store: Store, found: Uploads, tmp_path: Path) -> None:
    """It may be any upload's: none is aborted."""
    store.begin("a")
    (tmp_path / f"{'0' * 32}.journal").touch()
    lock = Lock(tmp_path / f"{'0' * 32}.lock", "s3://bucket/key", "/file")
    (tmp_path / f"{'0' * 32}.lock").write_bytes(b"")
    try:
        ((upload, error),) = found.ended(found.listed(BUCKET, True))
    finally:
        lock.release()
    assert isinstance(error, JournalBusy)
    assert len(store.uploads) == 1
    assert upload.sender is not None


def test_a_live_sender(store: Store, found: Uploads, tmp_path: Path) -> None:
    upload_id = store.begin("key")
    (tmp_path / f"{'0' * 32}.journal").touch()
    lock = Lock(tmp_path / f"{'0' * 32}.lock", str(KEY), "/file")
    try:
        (upload,) = found.measured(found.listed(BUCKET, True))
        errors = [error for _, error in found.ended(iter([ListedUpload(KEY, upload_id, 0.0)]), is_dry=True)]
        with pytest.raises(JournalBusy):
            found.newest(KEY)
    finally:
        lock.release()
    assert upload.sender == "this process"
    assert [type(error) for error in errors] == [JournalBusy], f"not even foreseen by {os.getpid()}"


def test_a_key_that_the_list_does_not_carry(store: Store, found: Uploads) -> None:
    """Go writes U+FFFD where XML has no place for a character; under that key there is no such upload."""
    listed = [ListedUpload(ObjectUri("bucket", "a\ufffd[31m"), store.begin("a\x1b[31m"), 0.0)]
    (upload,) = found.measured(listed)
    assert isinstance(upload.error, FastputError)
    assert upload.upload_id in str(upload.error)
    ((_, error),) = found.ended(listed)
    assert error is not None
    assert len(store.uploads) == 1


@pytest.mark.parametrize(
    ("begun_with", "asked", "expected"),
    [
        (("", ""), "auto", "auto"),
        (("", ""), "md5", "md5"),
        (("CRC64NVME", "FULL_OBJECT"), "auto", "crc64nvme"),
        (("CRC64NVME", ""), "auto", "crc64nvme"),
        (("CRC32C", "FULL_OBJECT"), "auto", "crc32c"),
        (("CRC32", "COMPOSITE"), "md5", "md5"),
    ],
)
def test_the_checksum_to_go_on_with(begun_with: tuple[str, str], asked: str, expected: str) -> None:
    assert resumable_checksum(ListedUpload(KEY, "id", 0.0, *begun_with), asked) == expected


@pytest.mark.parametrize("begun_with", [("CRC32", "COMPOSITE"), ("CRC32C", "COMPOSITE"), ("SHA256", "")])
def test_checksums_that_fastput_does_not_send(begun_with: tuple[str, str]) -> None:
    with pytest.raises(StoreError, match=begun_with[0]):
        resumable_checksum(ListedUpload(KEY, "id", 0.0, *begun_with), "auto")
