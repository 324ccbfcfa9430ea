"""Objects that fastput has made of files and directories, compared by their content, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

import fastput
from fastput.client.proof import Outcome
from fastput.client.verifier import Verification, Verifier
from fastput.engine.retry import RetryPolicy
from fastput.errors import DamagedArchive, IntegrityError, StoreError
from fastput.model import ObjectUri
from fastput.source import FileSource
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from tests.support.archives import compressed
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Half of it shrinks.
DATA = content(3 * MIB) + b"0123456789" * 300_000 + b"end"
DEEP = pytest.mark.parametrize("deep", [False, True], ids=["", "deep"])


@pytest.fixture
def verifier(options: dict[str, str]) -> Iterator[Verifier]:
    store = S3Store(StoreOptions(endpoint_url=options["endpoint_url"]))
    with closing(store), closing(Verifier(store, policy=RetryPolicy(max_attempts=2, base_s=0.0))) as verifier:
        yield verifier


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "obs.fits"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def uri(client: fastput.Client, bucket: str, path: Path) -> ObjectUri:
    """The file, compressed."""
    key = client.put(path, f"s3://{bucket}/obs.fits.zst", compress="auto").key
    return ObjectUri(bucket, key)


def compare(verifier: Verifier, path: Path, uri: ObjectUri, deep: bool = False) -> Verification:
    with closing(FileSource(path)) as source:
        return verifier.verify(source, uri, deep)


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def stored(s3: S3Client, uri: ObjectUri) -> bytes:
    return s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()


def store(s3: S3Client, uri: ObjectUri, data: bytes) -> None:
    """In its place, with the same metadata."""
    metadata = s3.head_object(Bucket=uri.bucket, Key=uri.key)["Metadata"]
    s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=data, Metadata=metadata)


@DEEP
def test_a_compressed_file(verifier: Verifier, s3: S3Client, path: Path, uri: ObjectUri, deep: bool) -> None:
    done = compare(verifier, path, uri, deep)
    assert done.is_same
    assert done.proof == ("download" if deep else "crc64nvme of its content")
    data = stored(s3, uri)
    assert done.size_bytes == len(data) < len(DATA)
    assert zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(data) == DATA


@DEEP
@pytest.mark.parametrize("place", [0, 3 * MIB - 1, 4_000_000, len(DATA) - 1])
def test_one_flipped_byte(verifier: Verifier, path: Path, uri: ObjectUri, deep: bool, place: int) -> None:
    path.write_bytes(flip(DATA, place))
    done = compare(verifier, path, uri, deep)
    assert done.outcome is Outcome.DIFFERS
    with pytest.raises(IntegrityError, match=f"byte {place:,} is the first" if deep else "crc64nvme of its content"):
        done.check()


@DEEP
def test_another_size(verifier: Verifier, path: Path, uri: ObjectUri, deep: bool) -> None:
    path.write_bytes(DATA[:-1])
    done = compare(verifier, path, uri, deep)
    assert (done.outcome, done.proof) == (Outcome.DIFFERS, "size")
    assert done.detail == f"its content has {len(DATA):,} bytes, the file {len(DATA) - 1:,}"


@DEEP
def test_an_empty_file(verifier: Verifier, client: fastput.Client, bucket: str, tmp_path: Path, deep: bool) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    key = client.put(empty, f"s3://{bucket}/empty.zst", compress="auto").key
    assert compare(verifier, empty, ObjectUri(bucket, key), deep).is_same


@DEEP
def test_a_copy_as_it_is_stored(verifier: Verifier, s3: S3Client, path: Path, uri: ObjectUri, deep: bool) -> None:
    """What `get --raw` gives is compared with what is stored."""
    data = stored(s3, uri)
    path.write_bytes(data)
    assert compare(verifier, path, uri, deep).is_same
    path.write_bytes(flip(data, 1_000))
    done = compare(verifier, path, uri, deep)
    assert done.outcome is Outcome.DIFFERS
    assert done.proof in ("download", "crc64nvme", "md5 etag", "md5 etag of 1 parts")
    if deep:
        assert "byte 1,000 is" in done.detail


@DEEP
def test_a_file_as_long_as_its_object(verifier: Verifier, s3: S3Client, bucket: str, path: Path, deep: bool) -> None:
    """Its bytes differ from those that are stored, and are their content."""
    made = (content(5_000) + bytes(zeros) for zeros in range(400, 800))
    data, object_data = next((data, found) for data in made if len(found := compressed(data, MIB)) == len(data))
    path.write_bytes(data)
    s3.put_object(Bucket=bucket, Key="a.zst", Body=object_data, Metadata={"fastput-encoding": "zstd-seekable"})
    assert compare(verifier, path, ObjectUri(bucket, "a.zst"), deep).is_same
    path.write_bytes(flip(data, 7))
    assert compare(verifier, path, ObjectUri(bucket, "a.zst"), deep).outcome is Outcome.DIFFERS


@pytest.mark.parametrize("what", ["body", "facts", "table", "end"])
def test_damage(verifier: Verifier, s3: S3Client, path: Path, uri: ObjectUri, what: str) -> None:
    data = stored(s3, uri)
    table_bytes = int.from_bytes(data[-9:-5], "little") * 8 + 17
    damaged = {
        "body": flip(data, 2_000_000),
        "facts": flip(data, len(data) - table_bytes - 300),
        "table": flip(data, len(data) - table_bytes + 12),
        "end": data[:1_000_000],
    }[what]
    store(s3, uri, damaged)
    # Of the body the store knows, and here it has been given another: only reading tells.
    assert what != "body" or compare(verifier, path, uri).is_same
    with pytest.raises(DamagedArchive, match=f"{uri}: .*byte [0-9,]+ of the object.*put it again"):
        compare(verifier, path, uri, deep=True)
    if what != "body":
        with pytest.raises(DamagedArchive):
            compare(verifier, path, uri)


def test_missing(verifier: Verifier, s3: S3Client, bucket: str, path: Path, uri: ObjectUri) -> None:
    done = compare(verifier, path, ObjectUri(bucket, "obs.fits"))
    assert done.outcome is Outcome.MISSING
    with pytest.raises(StoreError, match=f"/obs.fits: there is no such object, but {uri}: verify that"):
        done.check()
    # One that somebody else has put there isn't meant.
    s3.put_object(Bucket=bucket, Key="other.zst", Body=stored(s3, uri))
    assert compare(verifier, path, ObjectUri(bucket, "other")).detail == ""
    assert compare(verifier, path, ObjectUri(bucket, "k" * 1_024)).detail == ""


def test_cancelled_and_used_again(verifier: Verifier, path: Path, uri: ObjectUri) -> None:
    verifier.cancel()
    assert compare(verifier, path, uri, deep=True).is_same
