"""Plain values: URIs, checksums in base64, attributes, receipts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.model import (
    Checksum,
    ConfirmedPart,
    ObjectAttributes,
    ObjectUri,
    Receipt,
    SourceStat,
    decode_crc,
    encode_crc,
)
from tests.support.content import crc32c_base64, crc64nvme_base64

buckets = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", min_size=3, max_size=63)
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(buckets, keys)
def test_uris_round_trip(bucket: str, key: str) -> None:
    uri = ObjectUri.parse(f"s3://{bucket}/{key}")
    assert (uri.bucket, uri.key) == (bucket, key)
    assert ObjectUri.parse(str(uri)) == uri
    assert uri.with_key(key) == uri


def test_uris() -> None:
    assert ObjectUri.parse("S3://bucket/a//b") == ObjectUri("bucket", "a//b")
    assert ObjectUri.parse("s3://bucket") == ObjectUri.parse("s3://bucket/") == ObjectUri("bucket", "")
    assert ObjectUri.parse("s3://bucket/?#") == ObjectUri("bucket", "?#")
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/point"
    assert ObjectUri.parse(f"s3://{arn}/a/b") == ObjectUri(arn, "a/b")


@pytest.mark.parametrize("text", ["", "key", "bucket/key", "http://bucket/key", "s3:/b/k", "s3://", "s3:///k", "s3://ab/k",
                                  "s3://a b/k", f"s3://{'b' * 256}/k"])  # fmt: skip
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(UsageError):
        ObjectUri.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    try:
        assert len(ObjectUri.parse(text).bucket) >= 3
    except UsageError:
        pass


@pytest.mark.parametrize(
    ("key", "is_taken"),
    [("k" * 1024, True), ("k" * 1025, False), ("é" * 512, True), ("é" * 513, False), ("", False), ("\udcff", False)],
)
def test_lengths_of_keys_are_in_bytes(key: str, is_taken: bool) -> None:
    uri = ObjectUri("bucket", "")
    if is_taken:
        assert uri.with_key(key).key == key
    else:
        with pytest.raises(UsageError):
            uri.with_key(key)


@given(st.binary(max_size=100))
def test_crcs_in_base64(data: bytes) -> None:
    for checksum, text in ((Checksum.CRC64NVME, crc64nvme_base64(data)), (Checksum.CRC32C, crc32c_base64(data))):
        assert encode_crc(decode_crc(text), checksum) == text


def test_known_crcs() -> None:
    # The check values of the catalogue of parametrised CRC algorithms, for "123456789".
    assert encode_crc(0xAE8B14860A799888, Checksum.CRC64NVME) == crc64nvme_base64(b"123456789") == "rosUhgp5mIg="
    assert encode_crc(0xE3069283, Checksum.CRC32C) == crc32c_base64(b"123456789")


def test_headers_of_checksums() -> None:
    assert [checksum.header for checksum in Checksum] == [
        "x-amz-checksum-crc64nvme", "x-amz-checksum-crc32c", "content-md5", None
    ]  # fmt: skip
    assert [checksum.is_crc for checksum in Checksum] == [True, True, False, False]


@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(metadata={"a": "v" * 2047}),
        ObjectAttributes(metadata={"A-b_c.d": "any, printable; text=1"}),
        ObjectAttributes(metadata={"a": ""}),
        ObjectAttributes(tags={str(number): "é" for number in range(10)}),
    ],
)
def test_attributes_that_fit(attributes: ObjectAttributes) -> None:
    attributes.check()


# Were bugs: all from "a@b" on went through or raised UnicodeEncodeError, and failed as late as in
# the request, as "no answer from the endpoint" or "failed inside".
@pytest.mark.parametrize(
    "attributes",
    [
        ObjectAttributes(metadata={"a": "v" * 2048}),
        ObjectAttributes(metadata={"": "v"}),
        ObjectAttributes(metadata={"a b": "v"}),
        ObjectAttributes(metadata={"a:b": "v"}),
        ObjectAttributes(metadata={"é": "v"}),
        ObjectAttributes(metadata={"a": "é"}),
        ObjectAttributes(metadata={"a": "v\r\nx: y"}),
        ObjectAttributes(tags={str(number): "" for number in range(11)}),
        ObjectAttributes(metadata={"a@b": "v"}),
        ObjectAttributes(metadata={"a(b": "v"}),
        ObjectAttributes(metadata={"a": "\udcff"}),
        ObjectAttributes(tags={"a": "\udcff"}),
        ObjectAttributes(content_type="a/b\r\nx: y"),
        ObjectAttributes(content_type="é"),
        ObjectAttributes(storage_class="A\nB"),
    ],
)
def test_attributes_that_no_request_can_carry(attributes: ObjectAttributes) -> None:
    with pytest.raises(UsageError):
        attributes.check()


def test_receipts_are_json() -> None:
    crc = decode_crc(crc64nvme_base64(b"x"))
    receipt = Receipt(
        source="ünï\ncode", bucket="bucket", key="k", version_id=None, etag='"e"', size_bytes=2,
        crc64nvme=crc64nvme_base64(b"xx"), checksum="crc64nvme", is_checked=True, is_kept=False,
        parts=(ConfirmedPart(1, 0, 1, '"a"', crc, None), ConfirmedPart(2, 1, 1, '"b"', crc, "c")),
        source_stat=SourceStat(1, 2, 2, 3), upload_id="u", started_at=10.0, ended_at=12.5, resent_bytes=0,
    )  # fmt: skip
    text = receipt.to_json()
    assert "\n" not in text
    document = json.loads(text)
    assert document["source"] == "ünï\ncode"
    assert document["parts"][1] == {
        "number": 2, "offset_bytes": 1, "length_bytes": 1, "etag": '"b"', "crc64nvme": crc64nvme_base64(b"x"),
        "checksum": "c",
    }  # fmt: skip
    assert document["source_stat"] == {"device": 1, "inode": 2, "size_bytes": 2, "mtime_ns": 3, "ctime_ns": 0}
    assert (receipt.uri, receipt.seconds) == ("s3://bucket/k", 2.5)


def test_a_receipt_of_a_name_that_is_not_utf8_can_be_written() -> None:
    """Was a bug: json.dumps(ensure_ascii=False) keeps the lone surrogate, which no file takes."""
    receipt = Receipt("\udcff", "bucket", "k", None, "e", 0, "", "none", False, False, (), None, None, 0.0, 0.0, 0)
    assert json.loads(receipt.to_json().encode())["source"] == "\udcff"
