"""What S3Store makes of answers that no store here gives: many pages of parts, ranges ignored, connections cut."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError

from fastput.client.proof import Outcome
from fastput.client.verifier import Verifier
from fastput.errors import EndpointError, StoreError
from fastput.model import ObjectUri
from fastput.source import BufferSource
from fastput.store import StoreOptions
from fastput.store.memory import MemoryStore
from fastput.store.s3 import S3Store
from tests.support.content import MIB, content

URI = ObjectUri("bucket", "key")


class Scripted(S3Store):
    """Answers calls of botocore's client with what a test says."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__(StoreOptions())
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def _ask(self, uri: ObjectUri, action: str, operation: str, key: str | None = "", **arguments: Any) -> Any:
        self.asked.append(arguments)
        return self.answers.pop(0)


class Body:
    """A body that may not be read, or that breaks off."""

    def __init__(self, data: bytes | Exception) -> None:
        self.data = data
        self.is_closed = False

    def read(self) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data

    def close(self) -> None:
        self.is_closed = True


def page(numbers: range, following: int | None) -> dict[str, Any]:
    parts = [{"PartNumber": number, "Size": number * 10, "ChecksumSHA256": "x="} for number in numbers]
    return {"ObjectParts": {"Parts": parts, "IsTruncated": following is not None, "NextPartNumberMarker": following}}


def test_parts_come_in_pages() -> None:
    store = Scripted(page(range(1, 1001), 1000), page(range(1001, 1004), None))
    parts = store.object_parts(URI, "v1")
    assert [part.number for part in parts] == list(range(1, 1004))
    assert (parts[-1].size_bytes, parts[-1].checksums) == (10_030, {"sha256": "x="})
    assert [asked["PartNumberMarker"] for asked in store.asked] == [0, 1000]
    assert all(asked["VersionId"] == "v1" for asked in store.asked)


def test_parts_that_never_end() -> None:
    store = Scripted(page(range(1, 1001), 1000), page(range(1, 1001), 1000), {})
    assert len(store.object_parts(URI)) == 1000
    assert store.answers == [{}]


def test_no_parts() -> None:
    assert Scripted({}).object_parts(URI) == []
    assert Scripted({"ObjectParts": {"TotalPartsCount": 3}}).object_parts(URI) == []


def test_the_size_of_a_part() -> None:
    assert Scripted({"ContentLength": 5, "PartsCount": 2}).part_bytes(URI, 1) == 5
    # Ceph and rclone don't know the question, and answer for the whole object.
    assert Scripted({"ContentLength": 500}).part_bytes(URI, 1) is None


@pytest.mark.parametrize(
    "answer",
    [
        {"ContentLength": 500},  # all of it
        {"ContentLength": 10, "ContentRange": "bytes 0-9/500"},  # another range
        {},
    ],
)
def test_other_bytes_than_were_asked_for_are_not_read(answer: dict[str, Any]) -> None:
    body = Body(AssertionError("it was read"))
    with pytest.raises(StoreError):
        Scripted(answer | {"Body": body}).read(URI, 10, 19)
    assert body.is_closed


@pytest.mark.parametrize(
    "data", [b"short", IncompleteReadError(actual_bytes=5, expected_bytes=10), b"longer than asked"]
)
def test_an_answer_that_is_cut_off_is_tried_again(data: bytes | Exception) -> None:
    body = Body(data)
    answer = {"ContentLength": 10, "ContentRange": "bytes 10-19/500", "Body": body}
    with pytest.raises(EndpointError) as caught:
        Scripted(answer).read(URI, 10, 19)
    assert caught.value.is_temporary
    assert body.is_closed


def test_the_store_in_memory() -> None:
    store, data = MemoryStore(), content(9 * MIB)
    store.receive("/bucket/key", {}, data)
    assert store.read(URI, 3, 5) == data[3:6]
    for first_byte, last_byte in ((0, len(data)), (5, 3), (-1, 3)):
        with pytest.raises(StoreError):
            store.read(URI, first_byte, last_byte)
    with closing(Verifier(store)) as verifier:
        for deep in (False, True):
            assert verifier.verify(BufferSource(data), URI, deep).outcome is Outcome.SAME
            assert verifier.verify(BufferSource(data[:-1] + b"x"), URI, deep).outcome is Outcome.DIFFERS
