"""fastput bench --sink: the other end, as fastput's own client and others see it."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cli.test_bench import document
from tests.support.cli import Cli, environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1 << 20
ENDS_WITHIN_S = 20


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a sink on a free port, ended by Ctrl-C."""
    process = Cli(environment()).start("bench", "--sink", "0", "--bind", "127.0.0.1")
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        assert line.startswith("listening on http://127.0.0.1:")
        yield line.split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=ENDS_WITHIN_S)
    assert (process.returncode, err) == (0, "")


@pytest.fixture
def with_keys(url: str) -> Cli:
    keys = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    return Cli(environment(**keys, AWS_ENDPOINT_URL=url, AWS_EC2_METADATA_DISABLED="true"))


@pytest.fixture
def client(url: str) -> S3Client:
    return boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_it_is_measured_without_credentials(url: str) -> None:
    nobody = Cli(environment(AWS_EC2_METADATA_DISABLED="true"))
    found = document(nobody("bench", url, "--budget", "300MB", "--time", "5s", "--json"))
    assert found["one_stream"]["goodput_bytes_per_s"] > 0
    assert found["setup"]["tcp_connect_s"] > 0


@pytest.mark.parametrize("options", [(), ("--part-size", "5MiB"), ("--checksum", "md5"), ("--no-clobber",)])
def test_fastput_uploads_to_it(with_keys: Cli, large: Path, small: Path, options: tuple[str, ...]) -> None:
    uri = "s3://bucket/" + "".join(options) + "/"
    done = with_keys("put", "--no-progress", "--no-resume", *options, large, small, uri)
    assert done.status == 0, done


def test_boto3_uploads_to_it(client: S3Client) -> None:
    client.put_object(Bucket="bucket", Key="one", Body=bytes(300_000))
    assert client.head_object(Bucket="bucket", Key="one")["ContentLength"] == 300_000
    place = {"Bucket": "bucket", "Key": "two"}
    upload_id = client.create_multipart_upload(**place)["UploadId"]  # type: ignore[arg-type]
    etags = [
        client.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=bytes(5 * MIB))["ETag"]  # type: ignore[arg-type]
        for number in (1, 2)
    ]
    listed = client.list_parts(**place, UploadId=upload_id)["Parts"]  # type: ignore[arg-type]
    assert [(part["PartNumber"], part["Size"], part["ETag"]) for part in listed] == [
        (1, 5 * MIB, etags[0]), (2, 5 * MIB, etags[1])
    ]  # fmt: skip
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    client.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload={"Parts": parts})  # type: ignore[arg-type, typeddict-item]
    assert client.head_object(**place)["ContentLength"] == 10 * MIB  # type: ignore[arg-type]


def test_an_upload_that_was_aborted_is_gone(client: S3Client) -> None:
    place = {"Bucket": "bucket", "Key": "three"}
    upload_id = client.create_multipart_upload(**place)["UploadId"]  # type: ignore[arg-type]
    client.abort_multipart_upload(**place, UploadId=upload_id)  # type: ignore[arg-type]
    with pytest.raises(ClientError) as caught:
        client.upload_part(**place, UploadId=upload_id, PartNumber=1, Body=b"x")  # type: ignore[arg-type]
    assert caught.value.response["Error"]["Code"] == "NoSuchUpload"
    with pytest.raises(ClientError):
        client.head_object(**place)  # type: ignore[arg-type]


def test_what_it_does_not_know_it_says(url: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=ENDS_WITHIN_S)
    connection.request("GET", "/bucket/key")
    answer = connection.getresponse()
    assert (answer.status, b"NotImplemented" in answer.read()) == (501, True)
    connection.close()


@pytest.mark.parametrize(
    "junk", [b"\r\n\r\n", b"x" * 70_000, b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
             b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)  # fmt: skip
def test_who_speaks_no_http_is_hung_up_on(url: str, junk: bytes, client: S3Client) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port or 0), timeout=ENDS_WITHIN_S) as connection:
        try:
            connection.sendall(junk)
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass  # it had not read all of it
    client.put_object(Bucket="bucket", Key="after", Body=b"x")  # it is still there


def test_a_port_that_is_taken(url: str) -> None:
    port = urlsplit(url).port
    Cli(environment())("bench", "--sink", port, "--bind", "127.0.0.1").expect_error(2, str(port), "another --sink")
    Cli(environment())("bench", "--sink", 0, "--bind", "192.0.2.1").expect_error(2, "192.0.2.1")


def test_sigterm_ends_it_too() -> None:
    process: subprocess.Popen[str] = Cli(environment()).start("bench", "--sink", "0")
    assert process.stdout is not None
    assert "127.0.0.1" in process.stdout.readline()  # whoever wants others to come says so
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 0
