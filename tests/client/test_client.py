"""The Python interface on a real store; what arrived is read back by boto3."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastput
from fastput.errors import ForkError, Interrupted, NoSuchBucket, ObjectExists, SourceChanged, UsageError
from tests.support.content import MIB, content, crc64nvme_base64
from tests.support.tcp import serve_silence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SMALL = content(100_001)
LARGE = content(17 * MIB + 3)  # four parts of 5 MiB
DATA = {"single": SMALL, "multipart": LARGE}
SECONDS = 60


def read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def expect_nothing_left(s3: S3Client, bucket: str) -> None:
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.fixture(params=list(DATA))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA[request.param])
    return path


# ---- sources


def test_a_path(client: fastput.Client, bucket: str, s3: S3Client, path: Path) -> None:
    client.put(path, f"s3://{bucket}/key")
    client.put(str(path), f"s3://{bucket}/prefix/")
    assert read(s3, bucket, "key") == read(s3, bucket, "prefix/data.bin") == path.read_bytes()


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_memory(client: fastput.Client, bucket: str, s3: S3Client, data: bytes) -> None:
    array = np.frombuffer(data[: len(data) // 4 * 4], dtype=">f4")
    sources: dict[str, Any] = {"bytes": data, "bytearray": bytearray(data), "view": memoryview(data), "array": array}
    for key, source in sources.items():
        assert client.put(source, f"s3://{bucket}/{key}").size_bytes == memoryview(source).nbytes
        assert read(s3, bucket, key) == bytes(source)
    sources["bytearray"].append(0)  # nobody holds it any more


@pytest.mark.parametrize("data", [b"", *DATA.values()], ids=["empty", *DATA])
def test_file_objects(client: fastput.Client, bucket: str, s3: S3Client, data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"skipped" + data)
        file.seek(len(b"skipped"))
        receipt = client.put(file, f"s3://{bucket}/file")
        assert not file.closed
    assert (receipt.size_bytes, receipt.source_stat) == (len(data), None)
    assert read(s3, bucket, "file") == data
    client.put(io.BytesIO(data), f"s3://{bucket}/bytesio")
    assert read(s3, bucket, "bytesio") == data


def test_a_pipe(client: fastput.Client, bucket: str, s3: S3Client) -> None:
    with subprocess.Popen(["head", "-c", str(12 * MIB), "/dev/zero"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        receipt = client.put(process.stdout, f"s3://{bucket}/key")
    assert [part.length_bytes for part in receipt.parts] == [5 * MIB, 5 * MIB, 2 * MIB]
    assert read(s3, bucket, "key") == bytes(12 * MIB)


@pytest.mark.parametrize("source", [7, "nul\0byte", np.zeros(10)[::2], np.zeros(3, "M8[s]"), io.StringIO("text")])
def test_what_can_not_be_sent(client: fastput.Client, bucket: str, s3: S3Client, source: Any) -> None:
    """Was a bug, for the array of dates: its ValueError went through to the loop and failed every
    upload of the client."""
    with pytest.raises(fastput.FastputError) as caught:
        client.put(source, f"s3://{bucket}/key")
    assert "failed inside" not in str(caught.value)
    assert client.put(b"", f"s3://{bucket}/other").size_bytes == 0


# ---- the receipt


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c", "md5", "none"])
def test_receipt(client: fastput.Client, bucket: str, s3: S3Client, path: Path, checksum: str) -> None:
    data, status = path.read_bytes(), path.stat()
    receipt = client.put(path, f"s3://{bucket}/key", checksum=checksum)
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (receipt.bucket, receipt.key, receipt.uri, receipt.source) == (
        bucket,
        "key",
        f"s3://{bucket}/key",
        str(path),
    )
    assert receipt.etag == head["ETag"]
    assert receipt.size_bytes == head["ContentLength"] == len(data)
    assert receipt.crc64nvme == crc64nvme_base64(data)
    assert receipt.checksum == checksum
    if checksum == "crc64nvme":
        assert head["ChecksumCRC64NVME"] == receipt.crc64nvme
    assert receipt.source_stat is not None
    assert receipt.source_stat.inode == status.st_ino
    assert receipt.source_stat.mtime_ns == status.st_mtime_ns
    assert receipt.started_at <= receipt.ended_at
    assert abs(receipt.seconds - (receipt.ended_at - receipt.started_at)) < 1e-9
    assert (receipt.upload_id is None) == (data == SMALL)
    assert receipt.version_id is None
    assert receipt.resent_bytes == 0

    document = json.loads(receipt.to_json())
    assert document == json.loads(json.dumps(receipt.to_dict()))
    assert "\n" not in receipt.to_json()
    assert document["size_bytes"] == len(data)
    numbers = [part["number"] for part in document["parts"]]
    assert numbers == list(range(1, len(numbers) + 1))
    offset_bytes = 0
    for part in document["parts"]:
        piece = data[offset_bytes : offset_bytes + part["length_bytes"]]
        assert part["offset_bytes"] == offset_bytes
        assert part["crc64nvme"] == crc64nvme_base64(piece)
        offset_bytes += len(piece)
    assert offset_bytes == len(data)


def test_a_versioned_bucket(client: fastput.Client, bucket: str, s3: S3Client, path: Path) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = client.put(path, f"s3://{bucket}/key")
    second = client.put(b"new", f"s3://{bucket}/key")
    assert first.version_id
    assert second.version_id not in (None, first.version_id)
    old = s3.get_object(Bucket=bucket, Key="key", VersionId=first.version_id)["Body"].read()
    assert old == path.read_bytes()
    assert read(s3, bucket, "key") == b"new"


def test_what_the_object_carries(client: fastput.Client, bucket: str, s3: S3Client, path: Path) -> None:
    client.put(
        path,
        f"s3://{bucket}/key",
        content_type="image/fits",
        metadata={"telescope": "T1", "Mixed-Case": "a, b; c"},
        tags={"a key": "é+=/", "b": ""},
        storage_class="STANDARD",
    )
    head = s3.head_object(Bucket=bucket, Key="key")
    assert head["ContentType"] == "image/fits"
    assert head["Metadata"] == {"telescope": "T1", "mixed-case": "a, b; c"}
    tags = s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a key": "é+=/", "b": ""}


def test_no_clobber(client: fastput.Client, bucket: str, s3: S3Client, path: Path) -> None:
    client.put(path, f"s3://{bucket}/key", no_clobber=True)
    with pytest.raises(ObjectExists) as caught:
        client.put(bytes(len(path.read_bytes())), f"s3://{bucket}/key", no_clobber=True)
    assert (caught.value.bucket, caught.value.key, caught.value.exit_status) == (bucket, "key", 8)
    assert read(s3, bucket, "key") == path.read_bytes()
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


# ---- many at once


def test_as_completed(client: fastput.Client, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    expected: dict[str, bytes] = {}
    futures = []
    for number in range(40):
        key = f"many/{number:02}"
        expected[key] = content(number * 20_000, seed=number) if number else LARGE
        path = tmp_path / str(number)
        path.write_bytes(expected[key])
        futures.append(client.submit(path, f"s3://{bucket}/{key}"))
    futures.append(client.submit(tmp_path / "missing", f"s3://{bucket}/missing"))
    failed, keys = 0, set()
    for done in fastput.as_completed(futures, timeout=SECONDS):
        if done.exception() is not None:
            failed += 1
        else:
            keys.add(done.result().key)
    assert (failed, keys) == (1, set(expected))
    assert all(read(s3, bucket, key) == data for key, data in expected.items())


def test_aput(client: fastput.Client, bucket: str, s3: S3Client, path: Path) -> None:
    async def run() -> list[Any]:
        puts = [client.aput(path, f"s3://{bucket}/{number}") for number in range(4)]
        return await asyncio.gather(*puts, client.aput("/nowhere", f"s3://{bucket}/x"), return_exceptions=True)

    *receipts, error = asyncio.run(run())
    assert [receipt.key for receipt in receipts] == ["0", "1", "2", "3"]
    assert isinstance(error, fastput.errors.SourceNotFound)
    assert read(s3, bucket, "3") == path.read_bytes()


def test_threads_share_a_client(client: fastput.Client, bucket: str, s3: S3Client) -> None:
    receipts: list[fastput.Receipt] = []

    def run(number: int) -> None:
        for round_number in range(3):
            receipts.append(client.put(content(50_000, seed=number), f"s3://{bucket}/{number}/{round_number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 18
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 18
    assert read(s3, bucket, "4/2") == content(50_000, seed=4)


def test_progress(client: fastput.Client, bucket: str, path: Path) -> None:
    seen: list[fastput.Progress] = []
    receipt = client.put(path, f"s3://{bucket}/key", on_progress=seen.append)
    assert [progress.parts_confirmed for progress in seen] == list(range(1, len(receipt.parts) + 1))
    sent = [progress.sent_bytes for progress in seen]
    assert sent == sorted(sent)
    assert sent[-1] == seen[-1].size_bytes == path.stat().st_size
    assert seen[-1].parts_in_flight == 0
    assert {progress.uri for progress in seen} == {receipt.uri}


# ---- ends


def test_a_file_that_changes_under_way(options: dict[str, str], bucket: str, s3: S3Client, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    with fastput.Client(concurrency=2, part_size="5MiB", **options) as client:
        with pytest.raises(SourceChanged) as caught:
            client.put(path, f"s3://{bucket}/key", on_progress=lambda _: os.truncate(path, len(LARGE) + 1))
        assert caught.value.exit_status == 4
        assert client.snapshot().reserved_bytes == 0
    expect_nothing_left(s3, bucket)


def test_an_upload_that_somebody_else_aborts(client: fastput.Client, bucket: str, s3: S3Client) -> None:
    def abort(progress: fastput.Progress) -> None:
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key="key", UploadId=upload["UploadId"])

    with pytest.raises(fastput.errors.StoreError) as caught:
        client.put(LARGE, f"s3://{bucket}/key", on_progress=abort)
    assert "is left on the store" not in str(caught.value)
    expect_nothing_left(s3, bucket)


def test_errors_have_attributes(client: fastput.Client) -> None:
    for data in DATA.values():
        with pytest.raises(NoSuchBucket) as caught:
            client.put(data, "s3://no-such-bucket-here/key")
        error = caught.value
        assert (error.bucket, error.key, error.status, error.code) == (
            "no-such-bucket-here", "key", 404, "NoSuchBucket"
        )  # fmt: skip
        assert error.request_id


def test_a_failing_block_cancels(options: dict[str, str]) -> None:
    with serve_silence() as server, pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
        with fastput.Client(**{**options, "endpoint_url": server.url}) as client:
            futures = [client.submit(SMALL, f"s3://bucket/{number}") for number in range(30)]
            server.wait()
            raise ZeroDivisionError
    for future in futures:
        assert isinstance(future.exception(SECONDS), Interrupted)


def test_leaving_the_block_waits(options: dict[str, str], bucket: str, s3: S3Client) -> None:
    with fastput.Client(part_size="5MiB", **options) as client:
        future = client.submit(LARGE, f"s3://{bucket}/key")
    assert future.done()
    assert read(s3, bucket, "key") == LARGE
    client.close()
    with pytest.raises(UsageError, match="closed"):
        client.submit(b"", f"s3://{bucket}/late")


def test_a_progress_callback_that_fails(options: dict[str, str], bucket: str) -> None:
    """Was a bug: close() never returned; in a process of its own, so that it can be ended."""
    script = f"""
import fastput
def fail(progress):
    raise ValueError("a mistake of the caller's")
with fastput.Client(part_size="5MiB", endpoint_url={options["endpoint_url"]!r}) as client:
    client.submit(bytes({17 * MIB}), "s3://{bucket}/key", on_progress=fail).exception()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_put_takes_all_options(options: dict[str, str], bucket: str, s3: S3Client, path: Path) -> None:
    receipt = fastput.put(path, f"s3://{bucket}/key", checksum="crc32c", memory="64MiB", concurrency=3, **options)
    assert receipt.checksum == "crc32c"
    assert read(s3, bucket, "key") == path.read_bytes()
    with pytest.raises(TypeError, match="nonsense"):
        fastput.put(path, f"s3://{bucket}/key", nonsense=1, **options)


@pytest.mark.parametrize("given", [{"concurrency": 0}, {"memory": 10}, {"memory": "some"}, {"part_size": "x"}], ids=str)
def test_options_of_a_client_that_make_no_sense(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        fastput.Client(**given)


@pytest.mark.parametrize(
    ("uri", "given"),
    [
        ("http://x/y", {}),
        ("s3://bucket/", {}),
        ("s3://bucket/key", {"checksum": "sha0"}),
        ("s3://bucket/key", {"tags": {str(number): "" for number in range(11)}}),
        ("s3://bucket/key", {"metadata": {"a": "v" * 2048}}),
    ],
)
def test_uploads_that_make_no_sense(client: fastput.Client, uri: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        client.submit(b"", uri, **given)


def test_a_forked_child(options: dict[str, str], bucket: str) -> None:
    """In a process of its own: pytest's shouldn't be forked."""
    script = f"""
import os, sys
import fastput
from fastput.errors import ForkError
with fastput.Client(endpoint_url={options["endpoint_url"]!r}) as client:
    client.put(b"before", "s3://{bucket}/key")
    child = os.fork()
    if child == 0:
        refused = 0
        for call in (lambda: client.submit(b"x", "s3://{bucket}/child"), client.cancel, client.close):
            try:
                call()
            except ForkError as error:
                assert str(os.getppid()) in str(error)
                refused += 1
        sys.exit(refused)  # through the end of the block, as a child would that doesn't know better
    _, status = os.waitpid(child, 0)
    client.put(b"after", "s3://{bucket}/key")
print(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
    assert ForkError.exit_status == 1
