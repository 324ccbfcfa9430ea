"""What protects an object on each store: the strongest that it takes, or what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastput
from fastput.engine.engine import Engine
from fastput.engine.job import Job
from fastput.engine.retry import RetryPolicy
from fastput.errors import FastputError
from fastput.model import Credentials, Endpoint, ObjectAttributes, ObjectUri, TlsOptions
from fastput.source import BufferSource
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from fastput.transport import Transport
from fastput.transport.both import Runtime
from fastput.transport.faulty import Fault, FaultyTransport
from fastput.tuner import Settings
from tests.stores.conftest import Bucket, Store
from tests.stores.facts import Facts, raises
from tests.support.content import MIB, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS = 120
FAULTY_PART = {"one request": None, "parts": 1}


def test_the_strongest(five: fastput.Client, bucket: Bucket, facts: Facts, path: Path, data: bytes) -> None:
    receipt = five.put(path, bucket.uri())
    bucket.expect(data, receipt)
    assert (receipt.checksum, receipt.is_checked) == (facts.checksum, facts.is_checked)
    assert facts.checksum in receipt.protection


def test_what_the_store_keeps(five: fastput.Client, bucket: Bucket, s3: S3Client, path: Path) -> None:
    """is_kept is a promise: the checksum can be had of the store, and it is that of the bytes."""
    receipt = five.put(path, bucket.uri())
    head = s3.head_object(Bucket=bucket.name, Key="key", ChecksumMode="ENABLED")
    assert not receipt.is_kept or head["ChecksumCRC64NVME"] == crc64nvme_base64(path.read_bytes())


def test_what_the_store_keeps_of_parts(five: fastput.Client, bucket: Bucket, facts: Facts) -> None:
    assert five.put(bytes(6 * MIB), bucket.uri()).is_kept == facts.is_kept


def test_nothing_that_readers_would_stumble_on(five: fastput.Client, bucket: Bucket, s3: S3Client, path: Path) -> None:
    """No framing in Content-Encoding, and a checksum that the store returns with ranges too breaks boto3's reading."""
    five.put(path, bucket.uri())
    found = s3.get_object(Bucket=bucket.name, Key="key", Range="bytes=10-19")
    assert found["Body"].read() == path.read_bytes()[10:20]
    assert "ContentEncoding" not in found


def test_md5(five: fastput.Client, bucket: Bucket, facts: Facts, path: Path, data: bytes) -> None:
    receipt = five.put(path, bucket.uri(), checksum="md5")
    bucket.expect(data, receipt)
    assert (receipt.checksum, receipt.is_checked) == ("md5", facts.checks_md5)


def test_none(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    receipt = five.put(path, bucket.uri(), checksum="none")
    bucket.expect(data, receipt)
    assert (receipt.checksum, receipt.is_checked) == ("none", False)


def test_etags_compared(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    """For stores that check nothing themselves; the others don't mind."""
    receipt = five.put(path, bucket.uri(), verify_etag=True)
    bucket.expect(data, receipt)
    assert receipt.is_checked


# ---- a bit that flips on its way

MakeEngine = Callable[[Fault], Engine]


@pytest.fixture
def make_engine(store: Store, tmp_path: Path) -> Iterator[MakeEngine]:
    """An engine on the store through the real runtime, with a fault on the way."""
    engines: list[Engine] = []

    def make(fault: Fault) -> Engine:
        runtime = Runtime(2)

        def connect(endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> Transport:
            return FaultyTransport(runtime.transport(endpoint, credentials, tls), [fault])

        remote = S3Store(StoreOptions(endpoint_url=store.server.endpoint_url))
        retry = RetryPolicy(max_attempts=3, base_s=0.0)
        engines.append(
            Engine(remote, connect, Settings(4, 5 * MIB), 256 * MIB, retry=retry, state_directory=lambda: tmp_path)
        )
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_damage_is_mended(
    make_engine: MakeEngine, store: Store, bucket: Bucket, facts: Facts, tmp_path: Path, way: str, data: bytes
) -> None:
    """By the store's own check, or where it has none by comparing ETags: the right object, or an error and none."""
    # The fault is for the object, not for finding out what the store takes.
    with fastput.Client(**{**store.options, "state_dir": tmp_path}) as client:
        client.put(b"", bucket.uri("known"))
    engine = make_engine(Fault("corrupt", FAULTY_PART[way]))
    is_mended = way == "one request" or facts.keeps_upload_of_bad_part
    uri = ObjectUri(bucket.name, "key")
    job = Job(lambda: BufferSource(data), uri, ObjectAttributes(), verifies_etag=not facts.is_checked)
    future = engine.submit(job)
    with raises(FastputError, not is_mended):
        receipt = future.result(SECONDS)
        assert receipt.resent_bytes > 0
        bucket.expect(data, receipt)
    assert bucket.listed() == ({"known", "key"} if is_mended else {"known"})
    bucket.expect_no_upload()
