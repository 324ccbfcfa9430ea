"""Requests, against what botocore sends for the same object, and against what the server makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

import fastput
from bench.servers.seaweedfs import SeaweedFS
from fastput.engine.request import part_request, put_request
from fastput.model import Endpoint, ObjectAttributes, ObjectUri
from fastput.native.slicer import MemoryBody
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PATH_STYLE = Endpoint("http", "127.0.0.1", 9000, "/bucket", "us-east-1")
VIRTUAL_HOST = Endpoint("https", "bucket.s3.amazonaws.com", 443, "", "us-east-1")
BODY = MemoryBody(b"body")

KEYS = [
    "plain/key-1.0_x.fits",
    "with space",
    " around ",
    "plus+plus",
    "100%",
    "%41%2B",
    "ünï/日本/\N{TELESCOPE}",
    "e\u0301",
    "a//b",
    "/leading",
    "~tilde",
    "question?mark=1&b",
    "hash#fragment",
    "quotes'\"`",
    "(paren)[bracket]{brace}",
    "a=b;c,d:e@f!g$h*i",
    "back\\slash",
    "semi;colon",
    "tab\tand\nnewline",
    "..hidden..",
    "k" * 255,
]
# SeaweedFS refuses these; Amazon S3 takes them.
DOTS = ["a/../b", "..", "./a", "a/./b"]


@pytest.mark.parametrize("key", [*KEYS, *DOTS], ids=ascii)
def test_paths_are_as_botocore_writes_them(s3: S3Client, key: str) -> None:
    found: list[str] = []

    def take(request: Any, **_: Any) -> None:
        found.append(request.url)
        raise InterruptedError

    s3.meta.events.register_first("before-send.s3.UploadPart", take, unique_id="test")
    try:
        with pytest.raises(InterruptedError):
            s3.upload_part(Bucket="bucket", Key=key, UploadId="a+b/c=", PartNumber=7, Body=b"")
    finally:
        s3.meta.events.unregister("before-send.s3.UploadPart", unique_id="test")
    theirs = urlsplit(found[0])
    request = part_request(PATH_STYLE, ObjectUri("bucket", key), "a+b/c=", 7, (), BODY)
    path, _, query = request.path.partition("?")
    assert path == theirs.path
    assert parse_qs(query) == parse_qs(theirs.query)
    assert (request.operation, request.headers) == ("UploadPart", ())


@pytest.fixture(scope="module")
def client(seaweedfs: SeaweedFS) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweedfs.env().items():
            patch.setenv(name, value)
        with fastput.Client(endpoint_url=seaweedfs.endpoint_url, part_size="5MiB") as client:
            yield client


def test_keys_arrive_as_they_are(client: fastput.Client, bucket: str, s3: S3Client) -> None:
    """boto3 finds each under its name, and the listing holds no other."""
    # SeaweedFS cleans paths up: a//b becomes a/b, and lists a\\b as a/b.
    keys = [key for key in KEYS if "//" not in key and "\\" not in key and not key.startswith("/")]
    futures = {key: client.submit(key.encode(), f"s3://{bucket}/{key}") for key in keys}
    for key, future in futures.items():
        assert future.result(60).key == key
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(listed) == sorted(keys)


@pytest.mark.parametrize("key", ["a b+c%41ü?#&=", "~日本/x"])
def test_multipart_keys_arrive_as_they_are(client: fastput.Client, bucket: str, s3: S3Client, key: str) -> None:
    client.put(content(6 * MIB), f"s3://{bucket}/{key}")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content(6 * MIB)


def test_virtual_hosts_have_no_bucket_in_the_path() -> None:
    assert put_request(VIRTUAL_HOST, ObjectUri("bucket", "a b"), ObjectAttributes(), False, (), BODY).path == "/a%20b"
    assert VIRTUAL_HOST.authority == "bucket.s3.amazonaws.com"
    assert PATH_STYLE.authority == "127.0.0.1:9000"
    assert Endpoint("http", "::1", 80, "", "r").authority == "[::1]"
    assert Endpoint("https", "h", 80, "", "r").authority == "h:80"


def test_headers_of_a_put() -> None:
    attributes = ObjectAttributes("image/fits", "STANDARD_IA", {"run": "7"}, {"a b": "c&d", "é": ""})
    headers = (("content-md5", "x"),)
    request = put_request(PATH_STYLE, ObjectUri("bucket", "key"), attributes, True, headers, BODY)
    assert request.operation == "PutObject"
    assert request.path == "/bucket/key"
    assert dict(request.headers) == {
        "content-md5": "x",
        "x-amz-meta-run": "7",
        "content-type": "image/fits",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-tagging": "a%20b=c%26d&%C3%A9=",
        "if-none-match": "*",
    }
    assert put_request(PATH_STYLE, ObjectUri("bucket", "key"), ObjectAttributes(), False, (), BODY).headers == ()
