"""The command line, pointed at the real server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.servers.seaweedfs import SeaweedFS
from tests.support.cli import Cli, environment
from tests.support.content import content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def cli(seaweedfs: SeaweedFS) -> Cli:
    """cli(*arguments) runs the command and returns how it ended."""
    return Cli(environment(seaweedfs))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file that goes as one PutObject."""
    path = tmp_path / "small.bin"
    path.write_bytes(content(100_000))
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that goes as four parts."""
    path = tmp_path / "large.bin"
    path.write_bytes(content(17 << 20))
    return path


class Nothing:
    """Nothing on the store: no object, no part of one."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def check(self) -> None:
        assert self._s3.list_objects_v2(Bucket=self._bucket)["KeyCount"] == 0
        assert self._s3.list_multipart_uploads(Bucket=self._bucket).get("Uploads", []) == []


@pytest.fixture
def nothing_left(s3: S3Client, bucket: str) -> Nothing:
    """check() passes while the bucket is empty, of half uploads too."""
    return Nothing(s3, bucket)
