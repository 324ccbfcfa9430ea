"""The scripted server is as strict as S3, or the cases would prove nothing. Seen through boto3."""

from __future__ import annotations

import base64
import hashlib
import http.client
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench.servers.scripted import Rule, Scripted, Seen
from bench.servers.scripted_api import Request
from bench.servers.scripted_rules import Script
from tests.faults.conftest import KEY
from tests.support.content import MIB, content, crc32c_base64, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARTS = (content(5 * MIB, seed=2), content(5 * MIB, seed=3), content(100_000))


@pytest.fixture
def s3(server: Scripted) -> S3Client:
    config = Config(retries={"total_max_attempts": 1}, request_checksum_calculation="when_required")
    return boto3.client("s3", endpoint_url=server.endpoint_url, config=config)


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def begin(s3: S3Client, bucket: str, **options: Any) -> dict[str, Any]:
    place = {"Bucket": bucket, "Key": KEY}
    return place | {"UploadId": s3.create_multipart_upload(**place, **options)["UploadId"]}


def send(s3: S3Client, place: dict[str, Any], **headers: Any) -> list[dict[str, Any]]:
    """Part 2 before part 1."""
    etags = {
        number: s3.upload_part(**place, PartNumber=number, Body=PARTS[number - 1], **headers)["ETag"]
        for number in (2, 1, 3)
    }
    return [{"PartNumber": number, "ETag": etags[number]} for number in (1, 2, 3)]


def test_an_object_of_parts(s3: S3Client, server: Scripted, bucket: str) -> None:
    place = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT", Metadata={"a": "b"})
    parts = send(s3, place, ChecksumAlgorithm="CRC64NVME")
    data, md5s = b"".join(PARTS), b"".join(hashlib.md5(part).digest() for part in PARTS)
    crc, etag = crc64nvme_base64(data), f'"{hashlib.md5(md5s).hexdigest()}-3"'
    done = s3.complete_multipart_upload(
        **place, MultipartUpload={"Parts": parts}, ChecksumCRC64NVME=crc, MpuObjectSize=len(data)  # type: ignore[typeddict-item]
    )  # fmt: skip
    assert (done["ETag"], done["ChecksumCRC64NVME"]) == (etag, crc)
    head = s3.head_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert (head["ETag"], head["ChecksumCRC64NVME"], head["ContentLength"]) == (etag, crc, len(data))
    assert head["Metadata"] == {"a": "b"}
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == data
    ranged = s3.get_object(Bucket=bucket, Key=KEY, Range="bytes=5242870-5242889")
    assert ranged["Body"].read() == data[5242870:5242890]
    stored = server.object(bucket, KEY)
    assert stored is not None
    assert (stored.sha256, stored.parts) == (hashlib.sha256(data).hexdigest(), 3)
    assert server.uploads(bucket) == []


def test_wrong_completions_are_refused(s3: S3Client, server: Scripted, bucket: str) -> None:
    place = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    parts = send(s3, place, ChecksumAlgorithm="CRC64NVME")
    stranger = [parts[0], {"PartNumber": 2, "ETag": parts[0]["ETag"]}, parts[2]]
    cases: list[tuple[list[dict[str, Any]], dict[str, Any], tuple[int, str]]] = [
        (parts, {"ChecksumCRC64NVME": crc64nvme_base64(b"other")}, (400, "BadDigest")),
        (parts, {"MpuObjectSize": 1}, (400, "InvalidRequest")),
        (parts[::-1], {}, (400, "InvalidPartOrder")),
        (stranger, {}, (400, "InvalidPart")),
        ([*parts[:2], {"PartNumber": 4, "ETag": '"e"'}], {}, (400, "InvalidPart")),
        ([parts[0] | {"ChecksumCRC64NVME": crc64nvme_base64(b"other")}, *parts[1:]], {}, (400, "InvalidPart")),
    ]
    for listed, headers, expected in cases:
        with pytest.raises(ClientError) as error:
            s3.complete_multipart_upload(**place, MultipartUpload={"Parts": listed}, **headers)  # type: ignore[typeddict-item]
        assert refusal(error) == expected
    assert server.object(bucket, KEY) is None
    assert [upload.parts for upload in server.uploads(bucket)] == [(1, 2, 3)]


def test_small_parts_are_refused_at_the_end(s3: S3Client, bucket: str) -> None:
    place = begin(s3, bucket)
    etags = [s3.upload_part(**place, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": listed})  # type: ignore[typeddict-item]
    assert refusal(error) == (400, "EntityTooSmall")


@pytest.mark.parametrize(
    "header",
    [
        {"ContentMD5": base64.b64encode(bytes(16)).decode()},
        {"ChecksumCRC64NVME": crc64nvme_base64(b"other")},
        {"ChecksumCRC32C": crc32c_base64(b"other")},
        {"ChecksumSHA256": base64.b64encode(bytes(32)).decode()},
    ],
    ids=lambda header: next(iter(header)),
)
def test_wrong_checksums_are_refused(s3: S3Client, server: Scripted, bucket: str, header: dict[str, str]) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"data", **header)  # type: ignore[arg-type]
    assert refusal(error) == (400, "BadDigest")
    assert server.object(bucket, KEY) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32c:%s\r\n\r\n", 200),
        (b"2\r\nda\r\n2\r\nta\r\n0\r\nx-amz-checksum-crc32c:%s\r\n\r\n", 200),
        (b"4\r\nDATA\r\n0\r\nx-amz-checksum-crc32c:%s\r\n\r\n", 400),
        (b"3\r\ndata\r\n0\r\nx-amz-checksum-crc32c:%s\r\n\r\n", 400),
        (b"4\r\ndata\r\n0\r\nx-amz-checksum-crc32c:%s\r\n", 400),
        (b"4\r\ndata\r\n0\r\n\r\n%.0s", 400),
        (b"4\r\ndata\r\n", 400),
        (b"data", 400),
    ],
    ids=["right", "two chunks", "other bytes", "short chunk", "no end", "no trailer", "no last chunk", "no frame"],
)
def test_frames_are_read_strictly(server: Scripted, bucket: str, body: bytes, expected: int) -> None:
    framed = body % crc32c_base64(b"data").encode() if b"%" in body else body
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32c",
        "x-amz-decoded-content-length": "4",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("PUT", f"/{bucket}/{KEY}", framed, headers)
    assert connection.getresponse().status == expected
    connection.close()


def test_if_none_match(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"second", IfNoneMatch="*")
    assert refusal(error) == (412, "PreconditionFailed")
    place = begin(s3, bucket)
    etag = s3.upload_part(**place, PartNumber=1, Body=b"second")["ETag"]
    listed = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**place, MultipartUpload=listed, IfNoneMatch="*")  # type: ignore[arg-type]
    assert refusal(error) == (412, "PreconditionFailed")


def test_lists_have_pages(s3: S3Client, bucket: str) -> None:
    places = [begin(s3, bucket) for _ in range(3)]
    for number in range(1, 6):
        s3.upload_part(**places[0], PartNumber=number, Body=b"small")
    pages = list(s3.get_paginator("list_parts").paginate(**places[0], PaginationConfig={"PageSize": 2}))
    assert [[part["PartNumber"] for part in page["Parts"]] for page in pages] == [[1, 2], [3, 4], [5]]
    uploads = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [len(page["Uploads"]) for page in uploads] == [2, 1]
    s3.abort_multipart_upload(**places[1])
    with pytest.raises(ClientError) as error:
        s3.list_parts(**places[1])
    assert refusal(error) == (404, "NoSuchUpload")
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [
        places[0]["UploadId"],
        places[2]["UploadId"],
    ]


def test_what_is_recorded(s3: S3Client, server: Scripted, bucket: str) -> None:
    server.script(Rule("PutObject", "status", bucket=bucket, tiny=True, times=1, args={"status": 500, "code": "Ill"}))
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key=KEY, Body=b"data")
    assert refusal(error) == (500, "Ill")
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"data")
    seen = server.requests(bucket, KEY)
    assert [(each.operation, each.status, each.body_bytes, each.fault) for each in seen] == [
        ("PutObject", 500, 4, "status"),
        ("PutObject", 200, 4, None),
    ]
    assert {(each.access_key, each.session_token) for each in seen} == {("scripted-access", None)}


# ---- rules


def happened(*rules: Rule, requests: list[Request]) -> list[str | None]:
    script = Script(seed=1)
    script.add(rules)
    faults: list[str | None] = []
    for request in requests:
        seen = Seen(request.operation, request.bucket, request.key, request.part, None, None, 0.0)
        script.find(request, seen)
        faults.append(seen.fault)
    return faults


def part(number: int, size_bytes: int = 5 * MIB, key: str = KEY) -> Request:
    return Request("PUT", f"/bucket/{key}?partNumber={number}&uploadId=u", {"content-length": str(size_bytes)})


def test_rules_count_what_fits() -> None:
    same = [part(1), part(2), part(2), part(2), part(2)]
    assert happened(Rule("UploadPart", "reset", part=2, times=2), requests=same) == [None, "reset", "reset", None, None]
    assert happened(Rule("UploadPart", "reset", nth=3), requests=same) == [None, None, "reset", None, None]
    assert happened(Rule("UploadPart", "reset", every=2), requests=same) == [None, "reset", None, "reset", None]
    assert happened(Rule("PutObject", "reset"), requests=same) == [None] * 5
    assert happened(Rule("PutObject|UploadPart", "reset", times=1), requests=same)[0] == "reset"
    maybe = happened(Rule("*", "reset", probability=0.5), requests=[part(1)] * 100)
    assert 30 < maybe.count("reset") < 70


def test_the_first_rule_counts() -> None:
    rules = (Rule("UploadPart", "reset", times=1), Rule("UploadPart", "missing_etag", times=2))
    assert happened(*rules, requests=[part(1)] * 4) == ["reset", "missing_etag", "missing_etag", None]


def test_a_rule_that_follows_another() -> None:
    rules = (Rule("UploadPart", "missing_etag", part=2, follows=True), Rule("UploadPart", "reset", part=1))
    assert happened(*rules, requests=[part(2), part(1), part(2)]) == [None, "reset", "missing_etag"]


def test_probes_are_left_alone() -> None:
    requests = [part(10_000, 500), part(1)]
    assert happened(Rule("UploadPart", "reset"), requests=requests) == [None, "reset"]
    assert happened(Rule("UploadPart", "reset", tiny=True), requests=requests) == ["reset", "reset"]


def test_rules_are_for_one_object() -> None:
    rule = Rule("UploadPart", "reset", bucket="bucket", key="other")
    assert happened(rule, requests=[part(1), part(1, key="other")]) == [None, "reset"]


def test_mistakes_are_found_at_once() -> None:
    with pytest.raises(ValueError, match="no action 'rest'"):
        Rule("UploadPart", "rest")
    with pytest.raises(TypeError, match="after_byte"):
        Rule("UploadPart", "reset", args={"after_byte": 1})
