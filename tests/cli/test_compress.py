"""`fastput put --compress` to a real store; what it made is decoded by zstd, zstandard and indexed_zstd."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import indexed_zstd
import numpy as np
import pytest
import zstandard

from fastput.engine.job import Compression
from fastput.formats.tail import Tail, load_tail
from tests.support.cli import Cli
from tests.support.content import KIB, MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def samples(size_bytes: int) -> bytes:
    """16-bit noise, as an instrument has it."""
    return np.random.default_rng(1).normal(0, 40, size_bytes // 2).astype("<i2").tobytes()


def decode(data: bytes) -> bytes:
    by_program = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    by_library: bytes = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    assert by_program == by_library
    return by_program


def put(cli: Cli, s3: S3Client, bucket: str, source: str | Path, *options: str, **more: Any) -> tuple[Any, Any]:
    """(its receipt, the object)."""
    done = cli("put", "--json", *options, source, f"s3://{bucket}/key", **more)
    assert (done.status, done.err) == (0, ""), done
    sent = next(event for event in done.events if event["event"] == "sent")
    return sent, s3.get_object(Bucket=bucket, Key=sent["key"])


@pytest.mark.parametrize(
    "options", [["--compress"], ["--compress", "7"], ["--compress=auto", "--frame-size", "100KiB"]]
)
@pytest.mark.parametrize("kind", ["samples", "random", "text", "one frame", "empty"])
def test_what_others_decode(
    cli: Cli, bucket: str, s3: S3Client, tmp_path: Path, options: list[str], kind: str
) -> None:
    data = {
        "samples": samples(24 * MIB), "random": content(13 * MIB), "text": b"two words " * MIB,
        "one frame": b"abc", "empty": b"",
    }[kind]  # fmt: skip
    path = tmp_path / "obs.raw"
    path.write_bytes(data)
    sent, found = put(cli, s3, bucket, path, "--part-size", "5MiB", *options)
    stored = found["Body"].read()
    assert sent["key"] == "key.zst"
    assert decode(stored) == data
    assert (sent["size_bytes"], sent["crc64nvme"]) == (len(stored), crc64nvme_base64(stored))
    made = sent["content"]
    assert (made["size_bytes"], made["crc64nvme"]) == (len(data), crc64nvme_base64(data))
    assert found["Metadata"]["fastput-encoding"] == made["encoding"] == "zstd-seekable"
    assert int(found["Metadata"]["fastput-frame-size"]) == made["frame_bytes"]
    assert found["Metadata"]["fastput-content-size"] == str(len(data))
    if sent["upload_id"] is None:
        assert found["Metadata"]["fastput-content-crc64nvme"] == crc64nvme_base64(data)
    tail = load_tail(stored, len(stored))
    assert isinstance(tail, Tail)
    assert tail.table is not None
    assert tail.facts is not None
    assert (tail.table.content_bytes, tail.table.count) == (len(data), made["frames"])
    assert tail.facts.content_bytes == len(data)
    if kind in ("random", "samples"):
        assert len(stored) <= len(data) + len(data) // 1000 + 10 * KIB, "what doesn't shrink hardly grows"


def test_anywhere_in_it(cli: Cli, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    data = samples(20 * MIB)
    path = tmp_path / "obs.raw"
    path.write_bytes(data)
    _, found = put(cli, s3, bucket, path, "--compress")
    archive = tmp_path / "obs.raw.zst"
    archive.write_bytes(found["Body"].read())
    reader = indexed_zstd.IndexedZstdFile(str(archive))
    for offset_bytes in (len(data) - 10, 0, MIB - 5, 7 * MIB, 3):
        reader.seek(offset_bytes)
        assert reader.read(100) == data[offset_bytes : offset_bytes + 100]


@pytest.mark.parametrize("size_bytes", [0, 1, 5 * MIB, 13 * MIB])
def test_standard_input(cli: Cli, bucket: str, s3: S3Client, size_bytes: int) -> None:
    data = samples(size_bytes + size_bytes % 2)
    sent, found = put(cli, s3, bucket, "-", "--compress", "--part-size", "5MiB", input=data)
    assert decode(found["Body"].read()) == data
    assert sent["content"]["size_bytes"] == len(data)


def test_a_content_encoding_instead_of_another_key(cli: Cli, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    for size_bytes in (1000, 20 * MIB):
        path = tmp_path / "obs.raw"
        path.write_bytes(samples(size_bytes))
        sent, found = put(cli, s3, bucket, path, "--compress", "--content-encoding", "--part-size", "5MiB")
        assert sent["key"] == "key"
        assert found["ContentEncoding"] == "zstd"
        assert decode(found["Body"].read()) == path.read_bytes()


def test_a_key_that_ends_so_already(cli: Cli, bucket: str, s3: S3Client, small: Path) -> None:
    done = cli("put", "--compress", small, f"s3://{bucket}/some.zst")
    assert done.status == 0
    assert s3.head_object(Bucket=bucket, Key="some.zst")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--compress=20"], ["level '20'", "1 to 19"]),
        (["--compress=best"], ["'best'", "auto"]),
        (["--frame-size", "1MiB"], ["--compress"]),
        (["--content-encoding"], ["--compress"]),
        (["--compress", "--frame-size", "1KiB"], ["16.0 KiB"]),
    ],
)
def test_what_makes_no_sense(cli: Cli, bucket: str, small: Path, options: list[str], words: list[str]) -> None:
    cli("put", *options, small, f"s3://{bucket}/key").expect_error(2, *words)


def test_the_word_before_a_file(cli: Cli, bucket: str, s3: S3Client, small: Path) -> None:
    """A file isn't taken for the value that --compress may have."""
    done = cli("put", "--json", "--compress", small, f"s3://{bucket}/")
    assert done.status == 0, done
    assert [event["key"] for event in done.events if event["event"] == "sent"] == [f"{small.name}.zst"]


def test_the_default_frame() -> None:
    assert Compression().frame_bytes == MIB
