"""Pages of multipart uploads, as stores send them and as they shouldn't."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from itertools import count, islice
from typing import Any

import pytest

from fastput.errors import EndpointError, StoreError
from fastput.model import ListedUpload, ObjectUri
from fastput.store.listing import UploadPages, timestamp

URI = ObjectUri("bucket", "a")
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def page(*keys: str, following: str = "", **more: Any) -> dict[str, Any]:
    uploads = [{"Key": key, "UploadId": f"id-{key}", "Initiated": NOON} for key in keys]
    head = {"Bucket": "bucket", "IsTruncated": bool(following), "NextKeyMarker": following}
    return head | ({"Uploads": uploads} if uploads else {}) | more


class Answers:
    """Gives one after the other; asked is what it was asked for."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def __call__(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(dict(arguments))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def keys(*answers: dict[str, Any] | Exception) -> list[str]:
    return [upload.uri.key for upload in UploadPages(URI, Answers(*answers))]


def test_pages_follow_each_other() -> None:
    answers = Answers(page("a1", "a2", following="a2", NextUploadIdMarker="m"), page(following="a9"), page("aa"))
    found = list(UploadPages(URI, answers))
    assert [upload.uri.key for upload in found] == ["a1", "a2", "aa"]
    assert found[0] == ListedUpload(ObjectUri("bucket", "a1"), "id-a1", NOON.timestamp())
    first, second, third = answers.asked
    assert first == {}
    assert second == {"KeyMarker": "a2", "UploadIdMarker": "m"}
    assert third == {"KeyMarker": "a9", "UploadIdMarker": ""}


def test_by_key_and_the_oldest_first() -> None:
    """SeaweedFS lists them by their IDs."""
    later = NOON + datetime.timedelta(seconds=1)
    uploads = [("b", NOON, "1"), ("a", later, "2"), ("a", NOON, "3")]
    answer = page(Uploads=[{"Key": key, "UploadId": name, "Initiated": begun} for key, begun, name in uploads])
    found = list(UploadPages(ObjectUri("bucket", ""), Answers(answer)))
    assert [upload.upload_id for upload in found] == ["3", "2", "1"]


def test_a_temporary_error_does_not_end_it() -> None:
    answers = Answers(page("a1", following="a1"), EndpointError("gone", is_temporary=True), page("a2"))
    pages = UploadPages(URI, answers)
    assert next(pages).uri.key == "a1"
    with pytest.raises(EndpointError):
        next(pages)
    assert [upload.uri.key for upload in pages] == ["a2"]
    assert answers.asked[1] == answers.asked[2]


def test_a_store_that_knows_no_prefixes_lists_everything() -> None:
    assert keys(page("a", "b", "ab", "", "ba")) == ["a", "ab"]


def test_uploads_that_say_nothing_of_themselves() -> None:
    uploads = [{"UploadId": "x"}, {"Key": "a"}, {}, {"Key": "a", "UploadId": "y", "Initiated": "yesterday"}]
    (only,) = UploadPages(URI, Answers(page(Uploads=uploads)))
    assert (only.upload_id, only.begun_at) == ("y", 0.0)


def test_what_they_were_begun_with() -> None:
    upload = {"Key": "a", "UploadId": "y", "ChecksumAlgorithm": "CRC32", "ChecksumType": "COMPOSITE"}
    (only,) = UploadPages(URI, Answers(page(Uploads=[upload])))
    assert (only.checksum, only.checksum_type) == ("CRC32", "COMPOSITE")


@pytest.mark.parametrize("status", [200, 500])
def test_keys_that_no_xml_can_carry(status: int) -> None:
    """Asked again, percent-encoded. Not from the start: SeaweedFS says that it has encoded them, and hasn't."""
    unreadable = StoreError("the store's answer can't be read", status=status, is_temporary=status == 500)
    answers = Answers(unreadable, page("a%1B%5B31m", "a+b%2Bc", following="a%1B"), page("a%25"))
    found = [upload.uri.key for upload in UploadPages(URI, answers)]
    assert found == ["a\x1b[31m", "a b+c", "a%25"], "the next page can be read again"
    assert [asked.get("EncodingType") for asked in answers.asked] == [None, "url", None]
    assert answers.asked[2]["KeyMarker"] == "a\x1b"
    with pytest.raises(StoreError, match="can't be read"):
        keys(unreadable, unreadable)
    assert keys(unreadable, page("a b%20", "a%41")) == ["a b%20", "a%41"], "it hasn't encoded them"


def test_other_errors_are_not_asked_about_again() -> None:
    answers = Answers(StoreError("no", status=500, code="InternalError"))
    with pytest.raises(StoreError, match="no"):
        next(UploadPages(URI, answers))


def test_percents_are_no_encoding_where_none_was_asked_for() -> None:
    assert keys(page("a%20b+c")) == ["a%20b+c"]


def test_an_answer_to_another_question() -> None:
    with pytest.raises(StoreError, match="is this an S3 store"):
        keys({"IsTruncated": False, "ResponseMetadata": {}})


def test_more_that_never_comes() -> None:
    assert keys(page("a", IsTruncated=True)) == ["a"]
    assert keys(page("a", following="a"), page("a", following="a")) == ["a", "a"]


@pytest.mark.parametrize("length", [2, 3, 7, 100])
def test_a_circle(length: int) -> None:
    """As long as it may be: with one landmark in memory."""
    asked = count()

    def ask(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        assert next(asked) < 10 * length, "still asking"
        return page("a", following=f"marker-{next(asked) // 2 % length}")

    with pytest.raises(StoreError, match="again and again"):
        list(islice(UploadPages(URI, ask), 1_000_000))


def test_times() -> None:
    assert timestamp(NOON) == NOON.timestamp()
    assert timestamp(None) == 0.0
    assert timestamp("2026") == 0.0
    assert timestamp(datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)) < 0
    assert isinstance(timestamp(datetime.datetime.max), float)
