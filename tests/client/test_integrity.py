"""A bit that flips on its way to a real store: the store refuses it, a retry heals it, or the upload fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from fastput.engine.engine import Engine
from fastput.engine.job import Job
from fastput.engine.retry import RetryPolicy
from fastput.errors import IntegrityError
from fastput.model import Checksum, Credentials, Endpoint, ObjectAttributes, ObjectUri, TlsOptions
from fastput.profile import AMAZON
from fastput.source import BufferSource
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from fastput.transport import Transport
from fastput.transport.both import Runtime
from fastput.transport.faulty import Fault, FaultyTransport
from fastput.tuner import Settings
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS = 60
DATA = {None: content(100_000), 2: content(12 * MIB)}
PROTECTED = [Checksum.CRC64NVME, Checksum.CRC32C, Checksum.MD5]

MakeEngine = Callable[[list[Fault]], Engine]


@pytest.fixture
def make_engine(options: dict[str, str]) -> Iterator[MakeEngine]:
    """An engine on the real store through the real runtime, with faults."""
    engines: list[Engine] = []

    def make(faults: list[Fault]) -> Engine:
        runtime = Runtime(2)

        def connect(endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> Transport:
            return FaultyTransport(runtime.transport(endpoint, credentials, tls), faults)

        store = S3Store(StoreOptions(endpoint_url=options["endpoint_url"]))
        retry = RetryPolicy(max_attempts=3, base_s=0.0)
        engines.append(Engine(store, connect, Settings(4, 5 * MIB), 256 * MIB, retry=retry, profile=AMAZON))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def job(bucket: str, data: bytes, checksum: Checksum) -> Job:
    return Job(lambda: BufferSource(data), ObjectUri(bucket, "key"), ObjectAttributes(), checksum)


@pytest.mark.parametrize("part", DATA)
@pytest.mark.parametrize("checksum", PROTECTED)
def test_it_heals(make_engine: MakeEngine, bucket: str, s3: S3Client, checksum: Checksum, part: int | None) -> None:
    engine = make_engine([Fault("corrupt", part)])
    receipt = engine.submit(job(bucket, DATA[part], checksum)).result(SECONDS)
    assert receipt.resent_bytes == (len(DATA[part]) if part is None else 5 * MIB)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == DATA[part]


@pytest.mark.parametrize("part", DATA)
@pytest.mark.parametrize("checksum", PROTECTED)
def test_it_fails(make_engine: MakeEngine, bucket: str, s3: S3Client, checksum: Checksum, part: int | None) -> None:
    engine = make_engine([Fault("corrupt", part, times=100)])
    error = engine.submit(job(bucket, DATA[part], checksum)).exception(SECONDS)
    assert isinstance(error, IntegrityError)
    assert (error.part, error.status, error.exit_status) == (part, 400, 7)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert engine.snapshot().reserved_bytes == 0


def test_without_a_checksum_nobody_sees_it(make_engine: MakeEngine, bucket: str, s3: S3Client) -> None:
    """So the fault is real, and it is the checksum that the others are saved by."""
    engine = make_engine([Fault("corrupt")])
    engine.submit(job(bucket, DATA[None], Checksum.NONE)).result(SECONDS)
    stored = s3.get_object(Bucket=bucket, Key="key")["Body"].read()
    assert sum(a != b for a, b in zip(stored, DATA[None], strict=True)) == 1
