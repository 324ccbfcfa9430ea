"""Objects that boto3 has written to a real store, compared with files, and with receipts."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

import fastput
from bench.servers.seaweedfs import SeaweedFS
from fastput.client.proof import Outcome
from fastput.client.verifier import Verification, Verifier
from fastput.engine.retry import RetryPolicy
from fastput.errors import (
    EndpointError,
    IntegrityError,
    Interrupted,
    SourceChanged,
    SourceNotFound,
    StoreError,
    Unproven,
    UsageError,
)
from fastput.formats.receipt import Shipped, parse_line
from fastput.model import ListedPart, ObjectInfo, ObjectUri
from fastput.source import FileSource, StreamSource
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = content(12 * MIB + 345)
SMALL = content(100_000)
PARTS = (5 * MIB, 5 * MIB, 2 * MIB + 345)
UNEVEN = (6 * MIB, 5 * MIB, MIB + 345)


@pytest.fixture(scope="module")
def plain_s3(seaweedfs: SeaweedFS) -> S3Client:
    """A boto3 client that sends checksums only where it is told to."""
    return seaweedfs.client(Config(request_checksum_calculation="when_required"))


@pytest.fixture
def store(options: dict[str, str]) -> Iterator[S3Store]:
    with closing(S3Store(StoreOptions(endpoint_url=options["endpoint_url"]))) as store:
        yield store


@pytest.fixture
def verifier(store: S3Store) -> Iterator[Verifier]:
    with closing(Verifier(store, policy=RetryPolicy(max_attempts=2, base_s=0.0))) as verifier:
        yield verifier


def write_single(s3: S3Client, bucket: str, data: bytes, **options: Any) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=data, **options)


def write_parts(
    s3: S3Client, bucket: str, data: bytes, sizes: Sequence[int] = PARTS, algorithm: str = "", **options: Any
) -> None:
    about: dict[str, Any] = {"Bucket": bucket, "Key": "key"}
    named: dict[str, Any] = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload: dict[str, Any] = {"UploadId": s3.create_multipart_upload(**about, **named, **options)["UploadId"]}
    member, parts, offset = f"Checksum{algorithm}", [], 0
    for number, size in enumerate(sizes, start=1):
        piece = data[offset : offset + size]
        answer: Any = s3.upload_part(**about, **upload, **named, PartNumber=number, Body=piece)
        kept = {member: answer[member]} if member in answer else {}
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **kept})
        offset += size
    s3.complete_multipart_upload(**about, **upload, MultipartUpload={"Parts": parts})


Write = Callable[["S3Client", str, bytes], None]
FULL = {"ChecksumType": "FULL_OBJECT"}
# Who has written it, with what, and what proves it then.
WRITERS: dict[str, tuple[bytes, Write, str]] = {
    **{
        f"single-{name}": (SMALL, lambda s3, b, d, n=name: write_single(s3, b, d, ChecksumAlgorithm=n), name.lower())
        for name in ("CRC64NVME", "CRC32C", "CRC32", "SHA1", "SHA256")
    },
    **{
        f"composite-{name}": (
            DATA, lambda s3, b, d, n=name: write_parts(s3, b, d, algorithm=n), f"{name.lower()} of 3 parts"
        )
        for name in ("CRC32C", "CRC32", "SHA1", "SHA256")
    },
    **{
        f"full-{name}": (DATA, lambda s3, b, d, n=name: write_parts(s3, b, d, algorithm=n, **FULL), name.lower())
        for name in ("CRC64NVME", "CRC32C", "CRC32")
    },
    "etag": (SMALL, write_single, "md5 etag"),
    "etag-of-parts": (DATA, write_parts, "md5 etag of 3 parts"),
    "etag-of-one-part": (SMALL, lambda s3, b, d: write_parts(s3, b, d, [len(d)]), "md5 etag of 1 parts"),
    "etag-of-uneven-parts": (DATA, lambda s3, b, d: write_parts(s3, b, d, UNEVEN), "md5 etag of 3 parts"),
    "sha256-of-uneven-parts": (
        DATA, lambda s3, b, d: write_parts(s3, b, d, UNEVEN, "SHA256"), "sha256 of 3 parts"
    ),
    "empty": (b"", write_single, "md5 etag"),
}  # fmt: skip


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def compare(
    verifier: Verifier, bucket: str, path: Path, data: bytes, deep: bool = False, shipped: Shipped | None = None
) -> Verification:
    path.write_bytes(data)
    with closing(FileSource(path)) as source:
        return verifier.verify(source, ObjectUri(bucket, "key"), deep, shipped)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_boto3_has_written(
    verifier: Verifier, plain_s3: S3Client, bucket: str, tmp_path: Path, writer: str
) -> None:
    data, write, proof = WRITERS[writer]
    write(plain_s3, bucket, data)
    same = compare(verifier, bucket, tmp_path / "file", data)
    assert (same.outcome, same.proof, same.detail) == (Outcome.SAME, proof, "")
    assert same.size_bytes == len(data)
    same.check()
    for place in (0, len(data) // 2, len(data) - 1) if data else ():
        other = compare(verifier, bucket, tmp_path / "file", flipped(data, place))
        assert (other.outcome, other.proof) == (Outcome.DIFFERS, proof), place
        with pytest.raises(IntegrityError, match="differs"):
            other.check()


def test_a_byte_that_was_flipped_on_the_store(
    verifier: Verifier, plain_s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    write_parts(plain_s3, bucket, flipped(DATA, 7 * MIB), algorithm="CRC32C")
    assert compare(verifier, bucket, tmp_path / "file", DATA).outcome is Outcome.DIFFERS


def test_another_size(verifier: Verifier, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_single(plain_s3, bucket, SMALL[:-1])
    for deep in (False, True):
        other = compare(verifier, bucket, tmp_path / "file", SMALL, deep)
        assert (other.outcome, other.proof) == (Outcome.DIFFERS, "size")
        assert "99,999" in other.detail
        assert "100,000" in other.detail


def test_nothing_there(verifier: Verifier, bucket: str, tmp_path: Path) -> None:
    missing = compare(verifier, bucket, tmp_path / "file", SMALL)
    assert (missing.outcome, missing.size_bytes) == (Outcome.MISSING, None)
    error = missing.error()
    assert isinstance(error, StoreError)
    assert (error.exit_status, error.status) == (6, 404)


@pytest.mark.parametrize("size_bytes", [0, 1, 8 * MIB, 20 * MIB + 1])
def test_deep(verifier: Verifier, plain_s3: S3Client, bucket: str, tmp_path: Path, size_bytes: int) -> None:
    data = content(size_bytes)
    write_single(plain_s3, bucket, data)
    same = compare(verifier, bucket, tmp_path / "file", data, deep=True)
    assert (same.outcome, same.proof) == (Outcome.SAME, "download")
    for place in sorted({0, size_bytes // 2, size_bytes - 1}) if data else ():
        other = compare(verifier, bucket, tmp_path / "file", flipped(data, place), deep=True)
        assert (other.outcome, other.proof) == (Outcome.DIFFERS, "download")
        assert f"byte {place:,} " in other.detail


# ---- stores that say less


class Reticent(S3Store):
    """A real store that doesn't tell everything."""

    hides: frozenset[str] = frozenset()

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        info = super().head(uri, version_id)
        assert info is not None
        if "checksums" in self.hides:
            info = dataclasses.replace(info, checksums={}, is_full_object=False, is_composite=False)
        return dataclasses.replace(info, is_etag_opaque="etag" in self.hides)

    def part_bytes(self, uri: ObjectUri, number: int, version_id: str | None = None) -> int | None:
        if "one part" in self.hides and number == 2:
            raise StoreError("no", status=400)
        return None if "parts" in self.hides else super().part_bytes(uri, number, version_id)

    def object_parts(self, uri: ObjectUri, version_id: str | None = None) -> Sequence[ListedPart]:
        if "attributes" in self.hides:
            raise StoreError("no", status=501)
        return super().object_parts(uri, version_id)


@pytest.fixture
def reticent(options: dict[str, str]) -> Iterator[Reticent]:
    with closing(Reticent(StoreOptions(endpoint_url=options["endpoint_url"]))) as store:
        yield store


def hiding(store: Reticent, *what: str) -> Verifier:
    store.hides = frozenset(what)
    return Verifier(store, policy=RetryPolicy(max_attempts=2, base_s=0.0))


def test_likely_part_sizes(reticent: Reticent, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    """Ceph doesn't say where parts begin: what agrees is the same, what doesn't may be cut otherwise."""
    write_parts(plain_s3, bucket, DATA)
    with closing(hiding(reticent, "parts")) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA).proof == "md5 etag of 3 parts"
        other = compare(verifier, bucket, tmp_path / "file", flipped(DATA, 0))
        assert (other.outcome, other.proof) == (Outcome.UNPROVEN, "")
        with pytest.raises(Unproven, match="--deep"):
            other.check()


def test_parts_that_nobody_guesses(reticent: Reticent, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_parts(plain_s3, bucket, DATA, UNEVEN)
    with closing(hiding(reticent, "parts")) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA).outcome is Outcome.UNPROVEN
        assert compare(verifier, bucket, tmp_path / "file", DATA, deep=True).outcome is Outcome.SAME
    with closing(hiding(reticent, "one part")) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA).outcome is Outcome.UNPROVEN


def test_a_receipt_knows_the_parts(reticent: Reticent, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_parts(plain_s3, bucket, DATA, UNEVEN)
    etag = plain_s3.head_object(Bucket=bucket, Key="key")["ETag"]
    shipped = Shipped("", ObjectUri(bucket, "key"), None, etag, len(DATA), 0, "", UNEVEN, (None,) * 3, {})
    stale = dataclasses.replace(shipped, etag='"other-3"')
    with closing(hiding(reticent, "parts")) as verifier:
        same = compare(verifier, bucket, tmp_path / "file", DATA, shipped=shipped)
        assert (same.outcome, same.proof) == (Outcome.SAME, "md5 etag of 3 parts")
        damaged = flipped(DATA, 0)
        assert compare(verifier, bucket, tmp_path / "file", damaged, shipped=shipped).outcome is Outcome.DIFFERS
        assert compare(verifier, bucket, tmp_path / "file", damaged, shipped=stale).outcome is Outcome.UNPROVEN


def test_a_composite_checksum_without_attributes(
    reticent: Reticent, plain_s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    write_parts(plain_s3, bucket, DATA, algorithm="SHA256")
    with closing(hiding(reticent, "attributes")) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA).proof == "sha256 of 3 parts"
        assert compare(verifier, bucket, tmp_path / "file", flipped(DATA, 0)).outcome is Outcome.DIFFERS


def test_nothing_is_said_at_all(reticent: Reticent, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_single(plain_s3, bucket, SMALL, ChecksumAlgorithm="SHA256")
    with closing(hiding(reticent, "checksums", "etag")) as verifier:
        unproven = compare(verifier, bucket, tmp_path / "file", SMALL)
        assert unproven.outcome is Outcome.UNPROVEN
        error = unproven.error()
        assert error is not None
        assert error.exit_status == 13


class Listing(Reticent):
    """A store that keeps the parts' own checksums, as Amazon S3 does."""

    def object_parts(self, uri: ObjectUri, version_id: str | None = None) -> Sequence[ListedPart]:
        offsets = [0, PARTS[0], PARTS[0] + PARTS[1]]
        digests = [hashlib.sha256(DATA[at : at + size]).digest() for at, size in zip(offsets, PARTS, strict=True)]
        return [
            ListedPart(number, size, "", {"sha256": base64.b64encode(digest).decode()})
            for number, (size, digest) in enumerate(zip(PARTS, digests, strict=True), start=1)
        ]


def test_the_part_that_differs_is_named(
    options: dict[str, str], plain_s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    write_parts(plain_s3, bucket, DATA, algorithm="SHA256")
    with closing(Verifier(Listing(StoreOptions(endpoint_url=options["endpoint_url"])))) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA).outcome is Outcome.SAME
        assert compare(verifier, bucket, tmp_path / "file", flipped(DATA, 6 * MIB)).detail.endswith("part 2")


# ---- mishaps


class Failing(Reticent):
    """Fails at reading for a while, or all the time; or the object is replaced meanwhile."""

    failures = 1
    reads = 0
    s3: S3Client
    lock = threading.Lock()

    def read(self, uri: ObjectUri, first_byte: int, last_byte: int, version_id: str | None = None) -> bytes:
        with self.lock:
            self.reads += 1
            if "reads" in self.hides and self.failures:
                self.failures -= 1
                raise EndpointError("cut off", is_temporary=True)
            if "old" in self.hides and self.reads == 1:
                write_single(self.s3, uri.bucket, content(len(DATA), seed=2))
        return super().read(uri, first_byte, last_byte, version_id)


@pytest.fixture
def failing(options: dict[str, str], plain_s3: S3Client) -> Iterator[Failing]:
    with closing(Failing(StoreOptions(endpoint_url=options["endpoint_url"]))) as store:
        store.s3 = plain_s3
        yield store


def test_reading_is_tried_again(failing: Failing, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_single(plain_s3, bucket, DATA)
    failing.hides = frozenset({"reads"})
    with closing(Verifier(failing, policy=RetryPolicy(max_attempts=4, base_s=0.0))) as verifier:
        assert compare(verifier, bucket, tmp_path / "file", DATA, deep=True).outcome is Outcome.SAME
        failing.failures = 1000
        with pytest.raises(EndpointError):
            compare(verifier, bucket, tmp_path / "file", DATA, deep=True)


def test_an_object_that_is_replaced_while_it_is_read(
    failing: Failing, plain_s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    write_single(plain_s3, bucket, DATA)
    with closing(hiding(failing, "old")) as verifier, pytest.raises(StoreError, match="replaced"):
        compare(verifier, bucket, tmp_path / "file", DATA, deep=True)


def test_ranges(store: S3Store, plain_s3: S3Client, bucket: str) -> None:
    write_single(plain_s3, bucket, SMALL)
    uri = ObjectUri(bucket, "key")
    assert store.read(uri, 0, 0) == SMALL[:1]
    assert store.read(uri, 7, len(SMALL) - 1) == SMALL[7:]
    with pytest.raises(StoreError):
        store.read(uri, 7, len(SMALL))  # one byte less than was asked for
    with pytest.raises(StoreError):
        store.read(uri, len(SMALL), len(SMALL) + 1)
    with pytest.raises(StoreError):
        store.read(ObjectUri(bucket, "none"), 0, 1)


def test_a_file_that_changes_meanwhile(failing: Failing, plain_s3: S3Client, bucket: str, tmp_path: Path) -> None:
    write_single(plain_s3, bucket, SMALL)
    path = tmp_path / "file"
    path.write_bytes(SMALL)
    with closing(Verifier(failing)) as verifier, closing(FileSource(path)) as source:
        path.write_bytes(SMALL + b"more")
        with pytest.raises(SourceChanged, match="while it was read"):
            verifier.verify(source, ObjectUri(bucket, "key"))


def test_a_file_that_is_replaced_meanwhile(
    verifier: Verifier, plain_s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    """The object is what was opened, and that isn't what stands under the name any more."""
    write_single(plain_s3, bucket, SMALL)
    (tmp_path / "file").write_bytes(SMALL)
    with closing(FileSource(tmp_path / "file")) as source:
        (tmp_path / "other").write_bytes(b"other")
        os.replace(tmp_path / "other", tmp_path / "file")
        with pytest.raises(SourceChanged, match="while it was read"):
            verifier.verify(source, ObjectUri(bucket, "key"))


def test_a_stream(verifier: Verifier, bucket: str) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as pipe, pytest.raises(UsageError, match="stream"):
        verifier.verify(StreamSource(pipe, "pipe"), ObjectUri(bucket, "key"))


def test_cancelling(plain_s3: S3Client, bucket: str, options: dict[str, str], tmp_path: Path) -> None:
    write_single(plain_s3, bucket, DATA)
    path = tmp_path / "file"
    path.write_bytes(DATA)
    store = S3Store(StoreOptions(endpoint_url=options["endpoint_url"]))
    verifier = Verifier(store, concurrency=1)
    original, seen = store.read, threading.Event()

    def read(*arguments: Any) -> bytes:
        verifier.cancel()
        seen.set()
        return original(*arguments)

    store.read = read  # type: ignore[method-assign]
    with closing(FileSource(path)) as source, pytest.raises(Interrupted):
        verifier.verify(source, ObjectUri(bucket, "key"), deep=True)
    assert seen.is_set()
    del store.read
    assert compare(verifier, bucket, path, DATA).outcome is Outcome.SAME  # it is the calls that were cancelled
    verifier.close()


# ---- receipts


def shipped_by(client: fastput.Client, path: Path, bucket: str, **options: Any) -> Shipped:
    shipped = parse_line(client.put(path, f"s3://{bucket}/key", **options).to_json().encode())
    assert shipped is not None
    return shipped


@pytest.mark.parametrize("size_bytes", [0, 1000, 12 * MIB])
@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c", "md5", "none"])
@pytest.mark.parametrize("deep", [False, True])
def test_what_fastput_has_sent(
    client: fastput.Client, verifier: Verifier, bucket: str, tmp_path: Path, size_bytes: int, checksum: str, deep: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(size_bytes))
    shipped = shipped_by(client, path, bucket, checksum=checksum)
    path.unlink()
    same = verifier.verify_shipped(shipped, deep)
    assert same.outcome is Outcome.SAME, same
    assert deep == (same.proof == "download")


@pytest.mark.parametrize("size_bytes", [1000, 12 * MIB])
def test_an_object_that_was_tampered_with(
    client: fastput.Client, verifier: Verifier, bucket: str, tmp_path: Path, plain_s3: S3Client, size_bytes: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(size_bytes))
    shipped = shipped_by(client, path, bucket)
    damaged = flipped(content(size_bytes), size_bytes // 2)
    # By somebody whose store keeps a checksum that the receipt knows, in parts of the same size, or in one piece.
    write_single(plain_s3, bucket, damaged, ChecksumAlgorithm="CRC64NVME")
    assert verifier.verify_shipped(shipped).proof == "crc64nvme"
    assert verifier.verify_shipped(shipped).outcome is Outcome.DIFFERS
    write_parts(plain_s3, bucket, damaged, shipped.part_bytes)
    parts_outcome = Outcome.DIFFERS if len(shipped.part_bytes) > 1 else Outcome.UNPROVEN
    assert verifier.verify_shipped(shipped).outcome is parts_outcome
    write_single(plain_s3, bucket, damaged)
    assert verifier.verify_shipped(shipped).outcome is not Outcome.SAME
    deep = verifier.verify_shipped(shipped, deep=True)
    assert (deep.outcome, deep.proof) == (Outcome.DIFFERS, "download")
    write_single(plain_s3, bucket, damaged[:-1])
    assert verifier.verify_shipped(shipped).proof == "size"
    plain_s3.delete_object(Bucket=bucket, Key="key")
    assert verifier.verify_shipped(shipped).outcome is Outcome.MISSING


def test_versions(client: fastput.Client, verifier: Verifier, bucket: str, tmp_path: Path, plain_s3: S3Client) -> None:
    """The receipt's version is looked at, also when it isn't the newest any more, or is hidden by a deletion."""
    plain_s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    path = tmp_path / "file"
    path.write_bytes(SMALL)
    shipped = shipped_by(client, path, bucket)
    assert shipped.version_id
    write_single(plain_s3, bucket, flipped(SMALL, 5))
    for deep in (False, True):
        assert verifier.verify_shipped(shipped, deep).outcome is Outcome.SAME
        assert verifier.verify_shipped(shipped, deep).version_id == shipped.version_id
        newest = verifier.verify_shipped(dataclasses.replace(shipped, version_id=None), deep)
        assert newest.outcome is Outcome.DIFFERS
    plain_s3.delete_object(Bucket=bucket, Key="key")
    assert verifier.verify_shipped(shipped).outcome is Outcome.SAME
    plain_s3.delete_object(Bucket=bucket, Key="key", VersionId=shipped.version_id)
    assert verifier.verify_shipped(shipped).outcome is Outcome.MISSING


# ---- the library's door


def test_a_client_verifies(client: fastput.Client, bucket: str, tmp_path: Path) -> None:
    path = tmp_path / "two words"
    path.write_bytes(DATA)
    client.put(path, f"s3://{bucket}/prefix/")
    assert client.verify(path, f"s3://{bucket}/prefix/").is_same
    assert client.verify(str(path), f"s3://{bucket}/prefix/two words", deep=True).is_same
    assert client.verify(DATA, f"s3://{bucket}/prefix/two words").is_same
    assert client.verify(flipped(DATA, 3), f"s3://{bucket}/prefix/two words").outcome is Outcome.DIFFERS
    with pytest.raises(SourceNotFound):
        client.verify(tmp_path / "none", f"s3://{bucket}/prefix/")
    with pytest.raises(UsageError):
        client.verify(path, "bucket/key")


def test_without_a_client(options: dict[str, str], bucket: str, plain_s3: S3Client, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(SMALL)
    write_single(plain_s3, bucket, SMALL)
    verification = fastput.verify(path, f"s3://{bucket}/", **options)
    assert isinstance(verification, fastput.Verification)
    verification.check()


def test_a_client_that_is_closed(options: dict[str, str], bucket: str) -> None:
    with fastput.Client(**options) as client:
        assert client.verify(b"", f"s3://{bucket}/key").outcome is Outcome.MISSING
    with pytest.raises(UsageError, match="closed"):
        client.verify(b"", f"s3://{bucket}/key")
