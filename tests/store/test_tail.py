"""The end of an object in one question, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.servers import sink
from bench.servers.seaweedfs import SeaweedFS
from fastput.errors import StoreError
from fastput.model import ObjectUri
from fastput.store import StoreOptions
from fastput.store.memory import MemoryStore
from fastput.store.s3 import S3Store
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = content(6 * MIB)


@pytest.fixture
def store(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Store]:
    for name, value in seaweedfs.env().items():
        monkeypatch.setenv(name, value)
    store = S3Store(StoreOptions(endpoint_url=seaweedfs.endpoint_url))
    yield store
    store.close()


@pytest.mark.parametrize("size_bytes", [1, 1000, len(DATA)])
@pytest.mark.parametrize("length_bytes", [1, 999, 1000, MIB])
def test_the_last_bytes_and_what_the_object_is(
    store: S3Store, s3: S3Client, bucket: str, size_bytes: int, length_bytes: int
) -> None:
    uri = ObjectUri(bucket, "a key")
    s3.put_object(Bucket=bucket, Key="a key", Body=DATA[:size_bytes], Metadata={"name": "value"})
    data, info = store.read_tail(uri, length_bytes)
    assert data == DATA[:size_bytes][-length_bytes:]
    known = store.head(uri)
    assert known is not None
    # SeaweedFS says no checksums with a range.
    assert info == replace(known, checksums=info.checksums, is_full_object=info.is_full_object)


def test_the_objects_checksum_is_said_and_not_taken_for_the_ends(store: S3Store, tmp_path: Path) -> None:
    """Botocore compares what comes with whatever checksum it was told to ask for."""
    file, crc64nvme = tmp_path / "file", crc64nvme_base64(DATA)
    file.write_bytes(DATA)
    with sink.serve(held=sink.Held(file, len(DATA), crc64nvme)) as server:
        other = S3Store(StoreOptions(endpoint_url=server.endpoint_url))
        data, info = other.read_tail(ObjectUri("bucket", "key"), 100)
        assert info == other.head(ObjectUri("bucket", "key"))
        other.close()
    assert data == DATA[-100:]
    assert (info.checksums, info.is_full_object) == ({"crc64nvme": crc64nvme}, True)


def test_an_empty_object_and_none(store: S3Store, s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    data, info = store.read_tail(ObjectUri(bucket, "empty"), 10)
    assert (data, info.size_bytes) == (b"", 0)
    with pytest.raises(StoreError) as raised:
        store.read_tail(ObjectUri(bucket, "none"), 10)
    assert raised.value.status == 404


def test_in_memory() -> None:
    store = MemoryStore()
    store.receive("/bucket/key", {}, b"0123456789")
    assert store.read_tail(ObjectUri("bucket", "key"), 3)[0] == b"789"
    assert store.read_tail(ObjectUri("bucket", "key"), 30)[0] == b"0123456789"
