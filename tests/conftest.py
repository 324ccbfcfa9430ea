"""What all tests share: a clean environment and a real S3 server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from bench.servers import seaweedfs as seaweedfs_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# How long an example takes on a busy machine says nothing.
hypothesis.settings.register_profile("fastput", deadline=None)
hypothesis.settings.load_profile("fastput")


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads the user's AWS set-up, asks a metadata service or goes through a proxy."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("AWS_"):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_CONFIG_FILE", str(home / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", seaweedfs_server.HOST)
        patch.setenv("no_proxy", seaweedfs_server.HOST)
        yield


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[seaweedfs_server.SeaweedFS]:
    """One server for all tests: it takes seconds to start, and a fresh bucket serves as well."""
    with seaweedfs_server.serve() as server:
        yield server


@pytest.fixture(scope="session")
def s3(seaweedfs: seaweedfs_server.SeaweedFS) -> S3Client:
    """A boto3 client on the server, for looking at what fastput did."""
    return seaweedfs.client()


@pytest.fixture
def bucket(s3: S3Client) -> Iterator[str]:
    """A fresh bucket; SeaweedFS deletes one with all that is in it."""
    name = f"test-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    yield name
    s3.delete_bucket(Bucket=name)
