"""`fastput put --pack` to a real store; GNU tar, tarfile, zstd and ratarmount read what it made."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ratarmountcore.mountsource.factory import open_mount_source

from tests.support.cli import Cli
from tests.support.content import MIB, content, crc64nvme_base64
from tests.support.trees import held

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIDECARS = {".index.sqlite", ".csv", ".jsonl"}


@pytest.fixture
def run7(tmp_path: Path) -> Path:
    root = tmp_path / "run7"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o750)
    (root / "obs.fits").write_bytes(content(7 * MIB + 13))
    (root / "sub" / "samples").write_bytes(b"0123456789" * 200_000)
    (root / "sub" / "deep" / "nothing").write_bytes(b"")
    (root / "sub" / "é ☄\n").write_bytes(b"x" * 513)
    with open(os.fsencode(root) + b"/not utf-8 \xff", "wb") as file:
        file.write(b"y" * 512)
    with open(root / "sparse", "wb") as file:
        file.seek(3 * MIB)
        file.write(b"end")
    (root / "link").symlink_to("sub/samples")
    (root / "nowhere").symlink_to("/does/not/exist")
    os.link(root / "sub" / "samples", root / "z second name")
    os.chmod(root / "obs.fits", 0o640)
    os.utime(root / "sub" / "samples", ns=(0, -1_250_000_000))
    return root


def fetch(s3: S3Client, bucket: str, directory: Path) -> dict[str, Path]:
    """All objects, as files of their keys' names."""
    directory.mkdir()
    found = {}
    for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        found[entry["Key"]] = path = directory / entry["Key"].replace("/", "_")
        s3.download_file(bucket, entry["Key"], str(path))
    return found


def sums(root: Path) -> bytes:
    """By sha256sum."""
    listing = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum"
    return subprocess.run(["sh", "-c", listing], cwd=root, check=True, capture_output=True).stdout


def summary(done: Any) -> dict[str, Any]:
    found: dict[str, Any] = next(event for event in done.events if event["event"] == "summary")
    return found


@pytest.mark.parametrize("options", [[], ["--compress"], ["--compress=5", "--frame-size", "64KiB"]])
def test_what_others_read(
    cli: Cli, bucket: str, s3: S3Client, run7: Path, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = cli("put", "--json", "--part-size", "5MiB", "--pack", *options, run7, f"s3://{bucket}/data/")
    assert (done.status, done.err) == (0, ""), done
    counted = summary(done)
    assert (counted["planned"], counted["packed"], counted["failed"]) == (9, 9, 0)
    found = fetch(s3, bucket, tmp_path / "fetched")
    key = "data/run7.tar" + (".zst" if options else "")
    assert set(found) == {key, *(key + suffix for suffix in SIDECARS)}
    archive = found[key]
    plain = archive
    if options:
        plain = tmp_path / "plain.tar"
        subprocess.run(["zstd", "-q", "-d", archive, "-o", plain], check=True)
    before = held(run7)

    # GNU tar
    by_tar = tmp_path / "by tar"
    by_tar.mkdir()
    subprocess.run(["tar", "-xf", plain, "-C", by_tar], check=True, capture_output=True)
    assert held(by_tar) == before
    listed = subprocess.run(["tar", "-tf", plain, "--quoting-style=literal"], check=True, capture_output=True).stdout
    assert b"sub/samples\n" in listed
    assert sums(by_tar) == sums(run7)

    # tarfile
    with tarfile.open(plain) as opened:
        members = opened.getmembers()
        assert [os.fsencode(member.name) for member in members] == sorted(
            before, key=lambda path: path + b"/" if before[path].kind == 0o040000 else path
        )
        assert opened.extractfile("obs.fits").read() == (run7 / "obs.fits").read_bytes()  # type: ignore[union-attr]

    # The lists beside it.
    with open(plain, "rb") as file:
        for line in found[key + ".jsonl"].read_bytes().splitlines():
            member = json.loads(line)
            file.seek(member["offset"])
            data = file.read(member["size"])
            assert crc64nvme_base64(data) == member["crc64nvme"]
            path = Path(run7, member["name"])
            if member["type"] == "file":
                assert data == path.read_bytes()
        text = found[key + ".csv"].read_bytes().decode(errors="surrogateescape")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert {row["name"] for row in rows} == {
            os.fsdecode(name) for name, each in before.items() if each.kind == 0o100000 and name != b"z second name"
        }
        for row in rows:
            file.seek(int(row["offset"]))
            assert file.read(int(row["length"])) == Path(run7, row["name"]).read_bytes()

    # ratarmount, with the index in its usual place.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = tmp_path / "mounted"
    place.mkdir()
    os.link(archive, place / Path(key).name)
    index = place / f"{Path(key).name}.index.sqlite"
    index.write_bytes(found[key + ".index.sqlite"].read_bytes())
    kept = index.stat()
    with open_mount_source(str(place / Path(key).name)) as source:
        assert {os.path.basename(name) for name in source.list("/") or ()} >= {"obs.fits", "sub", "empty", "link"}  # type: ignore[arg-type]
        for name in ("/obs.fits", "/sub/samples", "/sparse", "/sub/deep/nothing"):
            info = source.lookup(name)
            assert info is not None
            with source.open(info) as opened_file:
                assert opened_file.read() == Path(run7, name[1:]).read_bytes()
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns), "it was used as it is"


def test_several_of_bounded_size(cli: Cli, bucket: str, s3: S3Client, run7: Path, tmp_path: Path) -> None:
    done = cli("put", "--json", "--pack", "6MiB", run7, f"s3://{bucket}/all.tar")
    assert (done.status, done.err) == (0, ""), done
    found = fetch(s3, bucket, tmp_path / "fetched")
    archives = sorted(key for key in found if key.endswith(".tar"))
    assert archives == [f"all-{number:04d}.tar" for number in range(1, len(archives) + 1)]
    assert len(archives) > 2
    out = tmp_path / "out"
    out.mkdir()
    for key in archives:
        subprocess.run(["tar", "-xf", found[key], "-C", out], check=True, capture_output=True)
        with tarfile.open(found[key]) as opened:
            # Only what is too large by itself.
            assert found[key].stat().st_size <= 6 * MIB or len(opened.getmembers()) == 1
    before, after = held(run7, with_times=False), held(out, with_times=False)
    assert {name: each.content for name, each in before.items()} == {
        name: each.content for name, each in after.items()
    }


def test_rules_and_links(cli: Cli, bucket: str, s3: S3Client, run7: Path, tmp_path: Path) -> None:
    done = cli("put", "--json", "--pack", "--links", "skip", "--exclude", "*", "--include", "sub/*", run7,
               f"s3://{bucket}/some")  # fmt: skip
    assert done.status == 0
    found = fetch(s3, bucket, tmp_path / "fetched")
    with tarfile.open(found["some.tar"]) as opened:
        assert {member.name for member in opened.getmembers()} == {
            "sub", "sub/deep", "sub/deep/nothing", "sub/samples", "sub/é ☄\n"
        }  # fmt: skip


def test_a_file_that_cannot_be_read(cli: Cli, bucket: str, s3: S3Client, run7: Path, tmp_path: Path) -> None:
    """It keeps its place, the index says so, and so does the exit status."""
    (run7 / "sub" / "gone").symlink_to("nothing")
    done = cli("put", "--json", "--pack", "--follow", run7, f"s3://{bucket}/k")
    assert done.status == 3
    counted = summary(done)
    assert counted["failed"] == 2  # nowhere, and this one
    assert counted["planned"] == counted["packed"] + counted["failed"]
    found = fetch(s3, bucket, tmp_path / "fetched")
    with tarfile.open(found["k.tar"]) as opened:
        assert opened.extractfile("obs.fits").read() == (run7 / "obs.fits").read_bytes()  # type: ignore[union-attr]


def test_a_list_of_names(cli: Cli, bucket: str, s3: S3Client, run7: Path, tmp_path: Path) -> None:
    names = b"obs.fits\0sub/samples\0"
    done = cli("put", "--pack", "--from-file", "-", "-0", run7, f"s3://{bucket}/k", input=names)
    assert (done.status, done.err) == (0, "")
    with tarfile.open(fetch(s3, bucket, tmp_path / "fetched")["k.tar"]) as opened:
        assert opened.getnames() == ["obs.fits", "sub/samples"]


def test_a_dry_run(cli: Cli, bucket: str, s3: S3Client, run7: Path) -> None:
    done = cli("put", "--pack", "--dry-run", run7, f"s3://{bucket}/k")
    assert (done.status, done.err) == (0, "")
    assert f"would send s3://{bucket}/k.tar" in done.out
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_mistakes(cli: Cli, bucket: str, run7: Path, small: Path, tmp_path: Path) -> None:
    cli("put", "--pack", small, f"s3://{bucket}/k").expect_error(2, "directories")
    cli("put", "--pack", "--hash-prefix", "2", run7, f"s3://{bucket}/k").expect_error(2, "--hash-prefix", "--pack")
    cli("put", "--pack=little", run7, f"s3://{bucket}/k").expect_error(2, "little")
    (tmp_path / "nothing").mkdir()
    cli("put", "--pack", tmp_path / "nothing", f"s3://{bucket}/k").expect_error(3, "nothing to pack")
