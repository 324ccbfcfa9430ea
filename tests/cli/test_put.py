"""`fastput put` to a real store, read back by boto3."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.servers.seaweedfs import SeaweedFS
from tests.support import certificates
from tests.support.cli import Cli
from tests.support.content import MIB, content
from tests.support.tcp import serve_tls

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_to_a_key_and_under_a_prefix(cli: Cli, bucket: str, small: Path, large: Path, s3: S3Client) -> None:
    assert cli("put", small, f"s3://{bucket}/a/key.bin").status == 0
    assert cli("put", small, large, f"s3://{bucket}/b/").status == 0
    assert cli("put", small, f"s3://{bucket}").status == 0
    keys = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {"a/key.bin", f"b/{small.name}", f"b/{large.name}", small.name}
    assert read(s3, bucket, "a/key.bin") == small.read_bytes()
    assert read(s3, bucket, f"b/{large.name}") == large.read_bytes()


def test_an_empty_file(cli: Cli, bucket: str, tmp_path: Path, s3: S3Client) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    done = cli("put", path, f"s3://{bucket}/")
    assert (done.status, done.err) == (0, "")
    assert read(s3, bucket, "empty") == b""


@pytest.mark.parametrize("size_bytes", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 13 * MIB])
def test_standard_input(cli: Cli, bucket: str, s3: S3Client, size_bytes: int) -> None:
    data = content(size_bytes)
    done = cli("put", "--json", "--part-size", "5MiB", "-", f"s3://{bucket}/key", input=data)
    assert (done.status, done.err) == (0, "")
    assert done.events[0]["size_bytes"] == size_bytes
    assert read(s3, bucket, "key") == data


def test_a_pipe_that_does_not_block(cli: Cli, bucket: str, s3: S3Client) -> None:
    """Was a bug: a pipe that is empty for a moment was taken for one that has ended, and the object
    was cut off there, with exit status 0. Any process that shares a pipe can have made it non-blocking."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    data = content(300_000)
    process = cli.start("put", "--json", "-", f"s3://{bucket}/key", stdin=reading)
    os.close(reading)

    def feed() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            for offset_bytes in range(0, len(data), 50_000):
                try:
                    pipe.write(data[offset_bytes : offset_bytes + 50_000])
                except BrokenPipeError:
                    return  # fastput has gone before the end

    feeding = threading.Thread(target=feed)
    feeding.start()
    _, err = process.communicate(timeout=60)
    feeding.join()
    assert process.returncode == 0, err
    assert read(s3, bucket, "key") == data


def test_what_the_object_carries(cli: Cli, bucket: str, small: Path, large: Path, s3: S3Client) -> None:
    options = ["--content-type", "image/fits", "--metadata", "telescope=T1,run=7", "--metadata", "x=a=b"]
    options += ["--tag", "project=a b+c", "--tag", "owner=é", "--storage-class", "STANDARD"]
    assert cli("put", *options, small, large, f"s3://{bucket}/").status == 0
    for path in (small, large):
        head = s3.head_object(Bucket=bucket, Key=path.name)
        assert head["ContentType"] == "image/fits"
        assert head["Metadata"] == {"telescope": "T1", "run": "7", "x": "a=b"}
        tags = s3.get_object_tagging(Bucket=bucket, Key=path.name)["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"project": "a b+c", "owner": "é"}


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c", "md5", "none"])
def test_checksums(cli: Cli, bucket: str, large: Path, s3: S3Client, checksum: str) -> None:
    done = cli("put", "--json", "--part-size", "6M", "--checksum", checksum, large, f"s3://{bucket}/key")
    assert done.status == 0, done
    assert done.events[0]["checksum"] == checksum
    assert read(s3, bucket, "key") == large.read_bytes()


@pytest.mark.parametrize("size", ["small", "large"])
def test_one_at_a_time(cli: Cli, bucket: str, s3: S3Client, request: pytest.FixtureRequest, size: str) -> None:
    """Was a bug: it never ended. When the last part is confirmed, nobody has looked yet whether there
    is another (the window was full), so that the upload doesn't count as whole; afterwards nobody looks again."""
    path: Path = request.getfixturevalue(size)
    done = cli("put", "--no-progress", "--concurrency", "1", path, f"s3://{bucket}/key", timeout=20)
    assert done.status == 0, done
    assert read(s3, bucket, "key") == path.read_bytes()


def test_little_memory(cli: Cli, bucket: str, large: Path, s3: S3Client) -> None:
    done = cli("put", "--no-progress", "--memory", "12MiB", large, f"s3://{bucket}/key")
    assert done.status == 0, done
    assert read(s3, bucket, "key") == large.read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificates.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls_url(seaweedfs: SeaweedFS, authority: tuple[Path, Path]) -> Iterator[str]:
    host, _, port = seaweedfs.endpoint_url.removeprefix("http://").partition(":")
    with serve_tls((host, int(port)), str(authority[1])) as server:
        yield server.url


both_sizes = pytest.mark.parametrize("size", ["small", "large"])


@both_sizes
def test_tls(
    cli: Cli, tls_url: str, bucket: str, s3: S3Client, authority: tuple[Path, Path],
    request: pytest.FixtureRequest, size: str,
) -> None:  # fmt: skip
    path: Path = request.getfixturevalue(size)
    put = ("put", "--no-progress", "--endpoint-url", tls_url, path)
    option = cli(*put, f"s3://{bucket}/option", "--ca-bundle", authority[0])
    variable = cli(*put, f"s3://{bucket}/variable", env={"AWS_CA_BUNDLE": str(authority[0])})
    assert (option.status, option.err, variable.status, variable.err) == (0, "", 0, "")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == ["option", "variable"]
    assert all(read(s3, bucket, key) == path.read_bytes() for key in keys)


@both_sizes
def test_any_certificate(
    cli: Cli, tls_url: str, bucket: str, s3: S3Client, request: pytest.FixtureRequest, size: str
) -> None:
    """Was a bug: urllib3's InsecureRequestWarning on standard error, as often as it felt like."""
    path: Path = request.getfixturevalue(size)
    done = cli("put", "--no-progress", "--no-verify-ssl", "--endpoint-url", tls_url, path, f"s3://{bucket}/key")
    assert (done.status, done.err) == (0, "")
    assert read(s3, bucket, "key") == path.read_bytes()


@both_sizes
def test_a_certificate_of_nobody_known(cli: Cli, tls_url: str, request: pytest.FixtureRequest, size: str) -> None:
    """The small file takes 10-30 s: so long the runtime's TLS library hides why a handshake has failed."""
    path: Path = request.getfixturevalue(size)
    done = cli("put", "--no-progress", "--endpoint-url", tls_url, path, "s3://bucket/key")
    done.expect_error(9, "TLS", tls_url)


def test_an_unknown_certificate_tells_what_to_do(cli: Cli, tls_url: str, large: Path) -> None:
    # Was a bug: "check the endpoint, the network and the port", which are fine.
    done = cli("put", "--no-progress", "--endpoint-url", tls_url, large, "s3://bucket/key")
    done.expect_error(9, "--ca-bundle")
