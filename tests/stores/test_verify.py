"""What each store says of its objects, and what that proves."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastput
from fastput.client.proof import Outcome
from fastput.errors import IntegrityError
from tests.stores.conftest import Bucket, Store
from tests.support.cli import Cli

# What fastput's and boto3's own objects are proven by, of one request and of parts, whole.
PROOFS = {
    "seaweedfs": {"fastput": ("crc64nvme", "crc64nvme"), "boto3": ("crc32", "crc32 of 3 parts")},
    "rclone": {"fastput": ("md5 etag", "md5 etag"), "boto3": ("crc32", "md5 etag")},
    "moto": {"fastput": ("md5 etag", "crc64nvme"), "boto3": ("crc32", "crc32 of 3 parts")},
    "ceph": {"fastput": ("md5 etag", "md5 etag of 4 parts"), "boto3": ("md5 etag", "md5 etag of 3 parts")},
}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("writer", ["fastput", "boto3"])
def test_by_what_it_is_proven(
    five: fastput.Client, bucket: Bucket, store: Store, path: Path, way: str, writer: str
) -> None:
    if writer == "fastput":
        five.put(path, bucket.uri())
    else:
        bucket.s3.upload_file(str(path), bucket.name, "key")
    same = five.verify(path, bucket.uri())
    assert (same.outcome, same.proof) == (Outcome.SAME, PROOFS[store.name][writer][way == "parts"])
    assert five.verify(path, bucket.uri(), deep=True).proof == "download"
    flip(path)
    # Ceph doesn't say where parts begin: they may be others than those that were guessed.
    is_guessed = store.name == "ceph" and way == "parts"
    assert five.verify(path, bucket.uri()).outcome is (Outcome.UNPROVEN if is_guessed else Outcome.DIFFERS)
    with pytest.raises(IntegrityError):
        five.verify(path, bucket.uri(), deep=True).check()
    assert five.verify(path, bucket.uri("none")).outcome is Outcome.MISSING


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_shipment(
    cli: Cli, bucket: Bucket, store: Store, path: Path, way: str, tmp_path: Path, deep: list[str]
) -> None:
    receipts = tmp_path / "receipts"
    assert cli("put", "--quiet", "--receipt", receipts, path, bucket.uri()).status == 0
    done = cli("verify", "--receipt", receipts, *deep)
    # Complete's ETag isn't the object's there.
    is_unproven = store.name == "rclone" and way == "parts" and not deep
    assert (done.status, done.out.count("same, by")) == ((13, 0) if is_unproven else (0, 1))
    bucket.s3.delete_object(Bucket=bucket.name, Key="key")
    cli("verify", "--receipt", receipts, *deep).expect_error(6, "no such object")
