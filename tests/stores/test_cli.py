"""The command with its defaults."""

from __future__ import annotations

import json
from pathlib import Path

from tests.stores.conftest import PARTS, SINGLE, Bucket
from tests.stores.facts import Facts
from tests.support.cli import Cli
from tests.support.content import MIB, content


def test_files(cli: Cli, bucket: Bucket, facts: Facts, tmp_path: Path) -> None:
    files = {"empty": b"", "small": SINGLE, "large": PARTS}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    receipts = tmp_path / "receipts"
    paths = [tmp_path / name for name in files]
    done = cli("put", "--part-size", "5MiB", "--receipt", receipts, *paths, bucket.uri("run 7/"))
    assert done.status == 0, done
    for name, data in files.items():
        bucket.expect(data, key=f"run 7/{name}")
    documents = [json.loads(line) for line in receipts.read_text().splitlines()]
    assert {document["key"] for document in documents} == {f"run 7/{name}" for name in files}
    assert {document["checksum"] for document in documents} == {facts.checksum}


def test_standard_input(cli: Cli, bucket: Bucket) -> None:
    data = content(12 * MIB)
    done = cli("put", "--part-size", "5MiB", "-", bucket.uri(), input=data)
    assert done.status == 0, done
    bucket.expect(data)


def test_no_clobber(cli: Cli, bucket: Bucket, path: Path, data: bytes) -> None:
    arguments = ("put", "--part-size", "5MiB", "--no-clobber", path, bucket.uri())
    assert cli(*arguments).status == 0
    path.write_bytes(bytes(len(data)))
    cli(*arguments).expect_error(8, bucket.uri())
    bucket.expect(data)


def test_a_missing_bucket(cli: Cli, path: Path) -> None:
    cli("put", path, "s3://no-such-bucket-here/key").expect_error(6, "no-such-bucket-here")
