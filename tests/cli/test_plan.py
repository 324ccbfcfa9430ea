"""`fastput plan`: what it says, and that `fastput put --plan` does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Cli
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "run7"
    (root / "sub").mkdir(parents=True)
    for number in range(20):
        (root / "sub" / f"f{number:02}.h5").write_bytes(content(1000, number))
    (root / "large.bin").write_bytes(content(20 * MIB))
    (root / "a.tmp").write_bytes(b"scratch")
    return root


def keys(s3: S3Client, bucket: str) -> set[str]:
    return {found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def test_what_it_says(cli: Cli, tree: Path) -> None:
    done = cli("plan", tree, "s3://bucket/p/", "--link", "1Gbps", "--exclude", "*.tmp")
    assert (done.status, done.err) == (0, "")
    assert "files      21, 20.0 MiB" in done.out
    assert "requests   26: 20 objects in one, 1 in 4 parts" in done.out
    assert "117.5 MB/s: 1 Gbps as given, 94% of it for data" in done.out
    assert "STANDARD_IA" in done.out


def test_json(cli: Cli, tree: Path) -> None:
    done = cli("plan", tree, "s3://bucket/p/", "--json", "--link", "1Gbps", "--limit-rate", "10Mbps", "--sample", "0")
    assert (done.status, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["requests"] == 27
    assert document["takes_s"] == pytest.approx(document["survey"]["total"]["size_bytes"] * 8 / 10e6)
    assert document["costs"]["STANDARD"]["requests"] == pytest.approx(27 * 0.005 / 1000)
    assert document["compress"]["is_recommended"] is False


def test_without_a_link(cli: Cli, tree: Path, tmp_path: Path) -> None:
    done = Cli({**cli.env, "XDG_STATE_HOME": str(tmp_path)})("plan", tree, "s3://bucket/p/")
    assert done.status == 0
    assert "link       unknown: give --link RATE" in done.out


def test_put_does_it(cli: Cli, bucket: str, tree: Path, tmp_path: Path, s3: S3Client) -> None:
    path = tmp_path / "run7.plan"
    planned = cli("plan", tree, f"s3://{bucket}/p/", "--exclude", "*.tmp", "--part-size", "8MiB", "--out", path)
    assert planned.status == 0, planned
    assert "# files      21, 20.0 MiB" in path.read_text()
    done = cli("put", "--plan", path, "--json")
    assert done.status == 0, done
    assert (done.events[-1]["planned"], done.events[-1]["sent"]) == (21, 21)
    assert keys(s3, bucket) == {"p/large.bin", *(f"p/sub/f{number:02}.h5" for number in range(20))}
    assert s3.head_object(Bucket=bucket, Key="p/large.bin")["ETag"].endswith('-3"')  # parts of 8 MiB


def test_a_plan_that_was_edited(cli: Cli, bucket: str, tree: Path, tmp_path: Path, s3: S3Client) -> None:
    path = tmp_path / "run7.plan"
    assert cli("plan", tree, f"s3://{bucket}/p/", "--out", path).status == 0
    rules = 'rules = [\n    ["exclude", "*"], ["include", "*01.h5"],\n'
    path.write_text(path.read_text().replace("rules = [\n", rules))
    assert cli("put", "--plan", path, "--quiet").status == 0
    assert keys(s3, bucket) == {"p/sub/f01.h5"}


@pytest.mark.parametrize(("arguments", "words"), [
    (["--storage-class", "NONE"], ["no prices of 'NONE'", "STANDARD_IA"]),
    (["--prices", "none.toml"], ["none.toml", "No such file"]),
    (["--link", "max"], ["--link max", "1Gbps"]),
    (["--link", "fast"], ["fast"]),
    (["--limit-rate", "25:00-26:00=1Mbps"], ["25:00"]),
    (["--out", "none/a.plan"], ["can't be written"]),
])  # fmt: skip
def test_what_makes_no_sense(cli: Cli, tree: Path, arguments: list[str], words: list[str]) -> None:
    cli("plan", tree, "s3://bucket/p/", *arguments).expect_error(2, *words)


def test_what_is_not_there(cli: Cli, tmp_path: Path) -> None:
    cli("plan", tmp_path / "none", "s3://bucket/p/", "--link", "1Gbps").expect_error(3, "none", "no such")
    cli("plan", tmp_path, "bucket/p").expect_error(2, "s3://")


def test_a_plan_that_is_none(cli: Cli, tmp_path: Path) -> None:
    cli("put", "--plan", tmp_path / "none.plan").expect_error(2, "none.plan", "No such file")
