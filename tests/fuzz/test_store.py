"""Answers of stores to the control plane: each call returns something valid, or raises a FastputError."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import EndpointError, FastputError, StoreError
from fastput.model import (
    Checksum,
    ConfirmedPart,
    ListedPart,
    ListedUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectUri,
)
from fastput.store import Completed, StoreOptions
from fastput.store.s3 import S3Store
from tests.fuzz.answering import Answering, http, serve
from tests.fuzz.support import TEXTS, document, fuzz, kept, raises_only

URI = ObjectUri("bucket", "some/key")
PARTS = [ConfirmedPart(1, 0, 10, '"etag"', 1, None)]
# So many may come before the alarm: more would be a list without end.
MANY = 50_000

LIST_PARTS = (
    "<ListPartsResult><Bucket>bucket</Bucket><Key>some/key</Key><UploadId>u</UploadId><IsTruncated>false</IsTruncated>"
    "<NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1000</MaxParts><Part><PartNumber>1</PartNumber><Size>7"
    '</Size><ETag>"a"</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Part><Part><PartNumber>2'
    "</PartNumber><Size>5</Size><ETag>b</ETag><ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME></Part>"
    "</ListPartsResult>"
)
LIST_UPLOADS = (
    "<ListMultipartUploadsResult><Bucket>bucket</Bucket><NextKeyMarker>some/key</NextKeyMarker><NextUploadIdMarker>u"
    "</NextUploadIdMarker><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated><EncodingType></EncodingType>"
    "<Upload><Key>some/key</Key><UploadId>u</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated>"
    "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm></Upload></ListMultipartUploadsResult>"
)
CREATE = (
    "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>some/key</Key><UploadId>u</UploadId>"
    "</InitiateMultipartUploadResult>"
)
COMPLETE = (
    "<CompleteMultipartUploadResult><Location>x</Location><Bucket>bucket</Bucket><Key>some/key</Key><ETag>e</ETag>"
    "<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"
    "</CompleteMultipartUploadResult>"
)
ATTRIBUTES = (
    "<GetObjectAttributesResponse><ETag>e</ETag><ObjectSize>12</ObjectSize><ObjectParts><PartsCount>2</PartsCount>"
    "<IsTruncated>false</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker><Part><PartNumber>1</PartNumber>"
    "<Size>12</Size><ChecksumCRC32>AAAA</ChecksumCRC32></Part></ObjectParts></GetObjectAttributesResponse>"
)
ERROR = "<Error><Code>NoSuchUpload</Code><Message>No.</Message><RequestId>R</RequestId><Region>x</Region></Error>"
EMPTY_PAGE = http(200, b"<R><Bucket>b</Bucket><IsTruncated>false</IsTruncated></R>")


@pytest.fixture(scope="module")
def server() -> Iterator[Answering]:
    with serve() as server:
        yield server


@pytest.fixture(scope="module")
def store(server: Answering, clean_environment: None) -> Iterator[S3Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "access")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        store = S3Store(StoreOptions(endpoint_url=server.url, region="us-east-1"))
        store.credentials()
        yield store
        store.close()


# ---- what is valid


def check_text(text: object) -> None:
    assert isinstance(text, str)


def check_number(value: object, least: int) -> None:
    assert type(value) is int
    assert least <= value < 2**63


def check_checksums(checksums: object) -> None:
    assert isinstance(checksums, dict)
    assert all(isinstance(text, str) and text for pair in checksums.items() for text in pair)


def check_parts(found: object) -> None:
    assert isinstance(found, list)
    for part in found:
        assert isinstance(part, ListedPart)
        check_number(part.number, 1)
        check_number(part.size_bytes, 0)
        check_text(part.etag)
        check_checksums(part.checksums)


def check_uploads(found: object) -> None:
    assert isinstance(found, list)
    for upload in found:
        assert isinstance(upload, ListedUpload)
        assert upload.uri.bucket == "bucket"
        assert upload.uri.key
        assert upload.upload_id
        for text in (upload.uri.key, upload.upload_id, upload.checksum, upload.checksum_type):
            check_text(text)
        assert math.isfinite(upload.begun_at)


def check_created(found: object) -> None:
    check_text(found)
    assert found


def check_completed(found: object) -> None:
    assert isinstance(found, Completed)
    check_text(found.etag)
    assert found.version_id is None or isinstance(found.version_id, str)
    check_checksums(found.checksums)


def check_info(found: object) -> None:
    if found is None:
        return
    assert isinstance(found, ObjectInfo)
    check_number(found.size_bytes, 0)
    check_text(found.etag)
    assert math.isfinite(found.modified_at)
    check_checksums(found.checksums)


def check_size(found: object) -> None:
    if found is not None:
        check_number(found, 0)


def check_bytes(found: object) -> None:
    assert isinstance(found, bytes)
    assert len(found) == 10


def check_nothing(found: object) -> None:
    assert found is None


Call = Callable[[S3Store], object]
CALLS: dict[str, tuple[str, Call, Callable[[object], None]]] = {
    "list-parts": (LIST_PARTS, lambda store: list(islice(store.list_parts(URI, "u"), MANY)), check_parts),
    "list-uploads": (
        LIST_UPLOADS,
        lambda store: list(islice(store.list_uploads(ObjectUri("bucket", "")), MANY)),
        check_uploads,
    ),
    "create": (CREATE, lambda store: store.create(URI, ObjectAttributes(), Checksum.CRC64NVME), check_created),
    "complete": (
        COMPLETE,
        lambda store: store.complete(URI, "u", PARTS, 10, Checksum.NONE, None, False),
        check_completed,
    ),
    "attributes": (ATTRIBUTES, lambda store: list(store.object_parts(URI)), check_parts),
    "abort": (ERROR, lambda store: store.abort(URI, "u"), check_nothing),
    "head": (ERROR, lambda store: store.head(URI), check_info),
    "part-bytes": (ERROR, lambda store: store.part_bytes(URI, 1), check_size),
    "read": (ERROR, lambda store: store.read(URI, 0, 9), check_bytes),
}
every_call = pytest.mark.parametrize("name", CALLS)
WITH_A_BODY = ["list-parts", "list-uploads", "create", "complete", "attributes"]
with_a_body = pytest.mark.parametrize("name", WITH_A_BODY)


def check(store: S3Store, name: str) -> None:
    _, call, check = CALLS[name]
    error: list[FastputError] = []

    def work() -> tuple[object]:
        try:
            return (call(store),)
        except FastputError as raised:
            error.append(raised)
            raise

    found = raises_only((FastputError,), work)
    if isinstance(found, tuple):
        check(found[0])
    else:
        shown = str(error[0])
        assert len(shown) < 5_000
        assert "\n" not in shown
        assert "\x1b" not in shown
        # A mistake of ours would show as that of a library.
        assert type(error[0]) is not FastputError, shown


# ---- bodies


@with_a_body
@fuzz(120)
@given(data=st.data())
def test_successes(name: str, store: S3Store, server: Answering, data: st.DataObject) -> None:
    # A list that says that there is more gets an end.
    server.set(http(200, data.draw(document(CALLS[name][0]))), then=EMPTY_PAGE)
    check(store, name)


@with_a_body
@fuzz(40)
@given(data=st.data())
def test_the_same_answer_for_ever(name: str, store: S3Store, server: Answering, data: st.DataObject) -> None:
    server.set(http(200, data.draw(document(CALLS[name][0].replace(">false<", ">true<")))))
    check(store, name)


@every_call
@fuzz(40)
@given(status=st.sampled_from([300, 301, 307, 400, 403, 404, 405, 412, 416, 500, 501, 503, 600]), body=document(ERROR))
def test_refusals(name: str, store: S3Store, server: Answering, status: int, body: bytes) -> None:
    server.set(http(status, body))
    check(store, name)


@kept(*WITH_A_BODY)
def test_kept(store: S3Store, server: Answering, name: str, data: bytes) -> None:
    server.set(http(200, data))
    check(store, name)


@kept("error")
def test_kept_errors(store: S3Store, server: Answering, data: bytes) -> None:
    for name in CALLS:
        server.set(http(403, data))
        check(store, name)


# ---- heads

_names = ["ETag", "Content-Length", "Last-Modified", "x-amz-mp-parts-count", "x-amz-version-id", "Content-Range",
          "x-amz-checksum-crc64nvme", "x-amz-checksum-type", "x-amz-request-id", "x-amz-missing-meta", "Expires",
          "x-amz-object-lock-retain-until-date", "x-amz-delete-marker", "x-amz-tagging-count", "x-amz-meta-a",
          "Accept-Ranges", "Transfer-Encoding", "Content-Encoding", "x-amz-bucket-region", "Location"]  # fmt: skip
_values = st.sampled_from([text.encode(errors="replace") for text in TEXTS if "\n" not in text and len(text) < 6000]
                          + [b"bytes 0-9/10", b"bytes 5-/", b"chunked", b"gzip", b"\xff\xfe"])  # fmt: skip
_lines = st.lists(st.tuples(st.sampled_from(_names), _values), max_size=6).map(
    lambda pairs: b"".join(name.encode() + b": " + value + b"\r\n" for name, value in pairs)
)


@pytest.mark.parametrize("name", ["head", "part-bytes", "read", "create", "complete"])
@fuzz(80)
@given(
    status=st.sampled_from([200, 200, 200, 204, 206, 304, 404]), headers=_lines, body=st.binary(max_size=20),
    with_length=st.booleans(),
)  # fmt: skip
def test_heads(
    name: str, store: S3Store, server: Answering, status: int, headers: bytes, body: bytes, with_length: bool
) -> None:
    server.set(http(status, body, headers, with_length=with_length))
    check(store, name)


@every_call
@fuzz(25)
@given(answer=st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"HTTP/1.1 200 OK\r\n" + data))
def test_what_is_no_http(name: str, store: S3Store, server: Answering, answer: bytes) -> None:
    server.set(answer)
    check(store, name)


def test_a_chunked_body_that_has_none(store: S3Store, server: Answering) -> None:
    """Was a bug: urllib3's ProtocolError, which botocore lets through, as an error of ours."""
    server.set(http(304, b"", b"Transfer-Encoding: chunked\r\n", with_length=False))
    with pytest.raises(EndpointError):
        store.read(URI, 0, 9)


# ---- what a fuzzer won't guess


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "body",
    [
        b"<Error>" + b"<Code>" * 5_000 + b"</Code>" * 5_000 + b"</Error>",
        b"<a>" * 100_000,
        b"<a>" + b"x" * 10_000_000 + b"</a>",
        b"<Error><Code><a>1</a></Code><Message><b/><b/></Message></Error>",
        b"<Error><Code>A</Code><Code>B</Code><Message/><Message>M</Message></Error>",
    ],
    ids=["deep", "unclosed", "long", "nested", "repeated"],
)
def test_documents_that_are_meant_to_hurt(
    store: S3Store, server: Answering, name: str, status: int, body: bytes
) -> None:
    server.set(http(status, body))
    check(store, name)


@pytest.mark.parametrize(
    ("field", "value"),
    [("PartNumber", "0"), ("PartNumber", "-1"), ("PartNumber", "one"), ("PartNumber", "9" * 30), ("PartNumber", ""),
     ("Size", "-1"), ("Size", "9" * 30), ("Size", "7.5"), ("LastModified", "yesterday")],
)  # fmt: skip
def test_parts_that_can_not_be(store: S3Store, server: Answering, field: str, value: str) -> None:
    import re

    server.set(http(200, re.sub(f"<{field}>[^<]*<", f"<{field}>{value}<", LIST_PARTS).encode()))
    with pytest.raises(StoreError):
        list(store.list_parts(URI, "u"))


def test_a_part_number_beyond_amazons(store: S3Store, server: Answering) -> None:
    """Ceph takes it."""
    server.set(http(200, LIST_PARTS.replace(">2</PartNumber>", ">1000000000</PartNumber>").encode()))
    assert [part.number for part in store.list_parts(URI, "u")] == [1, 10**9]


def test_a_time_that_is_none_is_no_reason_to_hide_an_upload(store: S3Store, server: Answering) -> None:
    server.set(http(200, LIST_UPLOADS.replace("2026-01-01T00:00:00.000Z", "").encode()))
    try:
        found = list(store.list_uploads(ObjectUri("bucket", "")))
    except FastputError:
        return
    assert [upload.begun_at for upload in found] == [0.0]
