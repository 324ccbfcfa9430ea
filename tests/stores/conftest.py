"""Every real store, one after the other: a server, a fastput client that keeps to its defaults, a fresh bucket."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

import fastput
from bench.servers.base import Server
from tests.stores.facts import PARAMETERS, STORES, Facts
from tests.support.cli import Cli, environment
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Store:
    """A running store, what is known of it, and the options of a fastput.Client of it."""

    name: str
    facts: Facts
    server: Server
    options: Mapping[str, Any]


@pytest.fixture(scope="session", params=PARAMETERS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Started when its first test comes and ended after its last: pytest runs the tests store by store.

    What fastput finds out about a store stays with it: another one may get the same port later.
    """
    name: str = request.param
    with contextlib.ExitStack() as stack:
        shared = name == "seaweedfs"
        server = request.getfixturevalue(name) if shared else stack.enter_context(STORES[name].server.serve())
        state = tmp_path_factory.mktemp(f"state-{name}")
        yield Store(name, STORES[name], server, {"endpoint_url": server.endpoint_url, "state_dir": state})


@pytest.fixture(autouse=True)
def keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's keys are where the AWS tools look for them."""
    for name, value in store.server.env().items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def facts(store: Store) -> Facts:
    return store.facts


@pytest.fixture(scope="session")
def s3(store: Store) -> S3Client:
    """boto3, for looking at what fastput did."""
    return store.server.client()


@pytest.fixture(scope="session")
def _clients(store: Store) -> Iterator[dict[str, fastput.Client]]:
    with contextlib.ExitStack() as stack:
        clients: dict[str, fastput.Client] = {}
        stack.callback(lambda: [client.close() for client in clients.values()])
        yield clients


@pytest.fixture
def client(store: Store, _clients: dict[str, fastput.Client]) -> fastput.Client:
    """One for all tests of a store, as it is meant to be used."""
    if "default" not in _clients:
        _clients["default"] = fastput.Client(**store.options)
    return _clients["default"]


@pytest.fixture
def five(store: Store, _clients: dict[str, fastput.Client]) -> fastput.Client:
    """The same with parts of 5 MiB, so that little data makes several."""
    if "five" not in _clients:
        _clients["five"] = fastput.Client(part_size=5 * MIB, **store.options)
    return _clients["five"]


@pytest.fixture
def cli(store: Store) -> Cli:
    """The command, pointed at the store."""
    return Cli(environment(store.server, XDG_STATE_HOME=str(store.options["state_dir"])))


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what should be in it."""

    s3: S3Client
    name: str
    keeps_etag: bool

    def uri(self, key: str = "key") -> str:
        return f"s3://{self.name}/{key}"

    def read(self, key: str = "key") -> bytes:
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def listed(self) -> set[str]:
        """Of the objects in it, as the store lists them."""
        return {entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])}

    def expect(self, data: bytes, receipt: fastput.Receipt | None = None, key: str = "key") -> None:
        """The object is this, byte for byte; its receipt is true; nothing else is left of its upload."""
        stored = self.read(key)
        assert len(stored) == len(data)
        assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(data).hexdigest()
        self.expect_no_upload()
        if receipt is not None:
            assert (receipt.bucket, receipt.key, receipt.size_bytes) == (self.name, key, len(data))
            assert receipt.crc64nvme == crc64nvme_base64(data)
            if self.keeps_etag or receipt.upload_id is None:
                assert receipt.etag == self.s3.head_object(Bucket=self.name, Key=key)["ETag"]
            assert sum(part.length_bytes for part in receipt.parts) == len(data)

    def expect_no_upload(self) -> None:
        """All stores here implement ListMultipartUploads."""
        try:
            assert self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", []) == []
        except self.s3.exceptions.NoSuchUpload:
            pass  # what rclone says of a bucket that never had one


@pytest.fixture
def bucket(s3: S3Client, facts: Facts) -> Iterator[Bucket]:
    """A fresh one. It goes as far as the store lets it: not every one lists odd keys as it took them."""
    name = f"stores-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    bucket = Bucket(s3, name, facts.keeps_etag)
    yield bucket
    with contextlib.suppress(ClientError):
        for key in bucket.listed():
            s3.delete_object(Bucket=name, Key=key)
        s3.delete_bucket(Bucket=name)


# An object of one request and one of four parts.
SINGLE = content(100_003)
PARTS = content(17 * MIB + 3)


@pytest.fixture(params=["one request", "parts"])
def way(request: pytest.FixtureRequest) -> str:
    """How an object is made."""
    way: str = request.param
    return way


@pytest.fixture
def data(way: str) -> bytes:
    return {"one request": SINGLE, "parts": PARTS}[way]


@pytest.fixture
def path(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    return path
