"""`fastput put --manifest`, read by those that it is for."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import termios
import time
import zlib
from pathlib import Path

import pytest

from tests.cli.conftest import Nothing
from tests.support.cli import Cli
from tests.support.content import content

NAMES = ["plain.bin", "two words", "new\nline", "back\\slash", "é☄", "100%", "car\rriage"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Names below tmp_path; the last file goes as several parts."""
    for seed, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(content(10_000 * seed, seed + 1))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "large").write_bytes(content(17 << 20))
    return [*NAMES, "sub/large"]


def check(tool: str, path: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([tool, "--strict", "-c", path], cwd=directory, capture_output=True)


@pytest.mark.parametrize(("tool", "default"), [("sha256sum", "SHA256SUMS"), ("md5sum", "MD5SUMS")])
def test_lists_of_coreutils(
    cli: Cli, bucket: str, files: list[str], tmp_path: Path, tool: str, default: str
) -> None:
    done = cli("put", "--quiet", f"--manifest={tool}", *files, f"s3://{bucket}/run/", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    checked = check(tool, default, tmp_path)
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert checked.stdout.count(b": OK") == len(files)
    theirs = subprocess.run([tool, "--", *files], cwd=tmp_path, capture_output=True, check=True).stdout
    assert (tmp_path / default).read_bytes() == theirs
    with (tmp_path / "new\nline").open("ab") as file:
        file.write(b"x")
    assert check(tool, default, tmp_path).returncode == 1


def test_a_name_that_is_not_utf8_and_an_absolute_one(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    named = small.rename(tmp_path / os.fsdecode(b"\xff.bin"))
    listed = tmp_path / "list"
    assert cli("put", "--quiet", f"--manifest=sha256sum={listed}", named, f"s3://{bucket}/key").status == 0
    assert check("sha256sum", str(listed), Path("/")).returncode == 0


@pytest.mark.parametrize("uri", ["stream.tar", "run/stream.tar"])
def test_standard_input_is_listed_under_its_key(cli: Cli, bucket: str, tmp_path: Path, uri: str) -> None:
    data = content(12 << 20)
    done = cli("put", "--quiet", "--manifest", "sha256sum", "-", f"s3://{bucket}/{uri}", input=data, cwd=tmp_path)
    assert done.status == 0
    (tmp_path / "stream.tar").write_bytes(data)
    assert check("sha256sum", "SHA256SUMS", tmp_path).returncode == 0


def test_a_bag(cli: Cli, bucket: str, files: list[str], tmp_path: Path) -> None:
    done = cli("put", "--quiet", "--manifest", "bagit=bags/run7", *files, f"s3://{bucket}/run/data/", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    bag = tmp_path / "bags" / "run7"
    assert {path.name for path in bag.iterdir()} == {
        "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"
    }  # fmt: skip
    assert check("sha256sum", "tagmanifest-sha256.txt", bag).returncode == 0
    sizes = [(tmp_path / name).stat().st_size for name in files]
    assert f"Payload-Oxum: {sum(sizes)}.{len(sizes)}\n" in (bag / "bag-info.txt").read_text()
    # The payload is what lies under the prefix.
    listed = {}
    for line in (bag / "manifest-sha256.txt").read_bytes().decode().split("\n")[:-1]:
        digest, _, path = line.partition("  ")
        listed[path.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")] = digest
    assert listed == {
        f"data/{Path(name).name}": hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in files
    }


def test_sidecars_of_casda(cli: Cli, bucket: str, files: list[str], tmp_path: Path) -> None:
    done = cli("put", "--quiet", "--manifest", "casda=side/cars", *files, f"s3://{bucket}/run/", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    for name in files:
        data = (tmp_path / name).read_bytes()
        crc32, sha1, size = (tmp_path / "side" / "cars" / f"{Path(name).name}.checksum").read_text().split()
        assert (int(crc32, 16), len(crc32)) == (zlib.crc32(data), 8)
        assert sha1 == hashlib.sha1(data).hexdigest()
        assert int(size, 16) == len(data)
    assert len(list((tmp_path / "side" / "cars").iterdir())) == len(files)


def test_several_manifests_of_one_run(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    options = ["--manifest", "sha256sum", "--manifest=md5sum=sums.md5", "--manifest", "casda", "--manifest", "bagit"]
    assert cli("put", "--quiet", *options, small.name, f"s3://{bucket}/", cwd=tmp_path).status == 0
    assert check("sha256sum", "SHA256SUMS", tmp_path).returncode == 0
    assert check("md5sum", "sums.md5", tmp_path).returncode == 0
    assert (tmp_path / f"{small.name}.checksum").exists()
    assert (tmp_path / "bag" / "bagit.txt").exists()


def test_what_failed_is_not_listed(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    done = cli(
        "put", "--quiet", "--manifest", "sha256sum", small.name, "missing", large.name, f"s3://{bucket}/", cwd=tmp_path
    )
    assert done.status == 3
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert [line.partition("  ")[2] for line in lines] == [small.name, large.name]
    assert check("sha256sum", "SHA256SUMS", tmp_path).returncode == 0


def test_where_nothing_was_sent_nothing_is_written(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("before")
    assert cli("put", "--quiet", "--manifest", "sha256sum", "missing", f"s3://{bucket}/", cwd=tmp_path).status == 3
    assert (tmp_path / "SHA256SUMS").read_text() == "before"
    assert cli("put", "--quiet", "--manifest", "sha256sum", small.name, f"s3://{bucket}/", cwd=tmp_path).status == 0
    assert check("sha256sum", "SHA256SUMS", tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", small.name]


def test_a_link_stays_one(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("list")
    assert cli("put", "--quiet", "--manifest=sha256sum=link", small.name, f"s3://{bucket}/", cwd=tmp_path).status == 0
    assert (tmp_path / "link").is_symlink()
    assert check("sha256sum", "list", tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("sha256sum=/nowhere/list", ["/nowhere/list", "No such file"]),
        ("sha256sum=.", ["no regular file"]),
        ("md5sum=/dev/null", ["/dev/null", "no regular file"]),
        ("bagit=small.bin/bag", ["small.bin/bag", "Not a directory"]),
        ("casda=small.bin", ["small.bin", "Not a directory"]),
        ("sha256sum=small.bin", ["replace small.bin"]),
        ("sha256sum=./sub/../small.bin", ["replace"]),
    ],
)
def test_what_can_not_be_written_is_known_before(
    cli: Cli, bucket: str, small: Path, tmp_path: Path, nothing_left: Nothing, manifest: str, words: list[str]
) -> None:
    (tmp_path / "sub").mkdir()
    done = cli("put", "--manifest", manifest, small.name, f"s3://{bucket}/", cwd=tmp_path)
    done.expect_error(2, "the manifest", *words)
    nothing_left.check()
    assert sorted(path.name for path in tmp_path.iterdir()) == [small.name, "sub"]


def test_a_sidecar_does_not_replace_a_source(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / f"{small.name}.checksum").write_text("mine")
    names = [small.name, f"{small.name}.checksum"]
    done = cli("put", "--manifest", "casda", *names, f"s3://{bucket}/", cwd=tmp_path)
    done.expect_error(2, f"{small.name}.checksum", "to be sent")
    assert (tmp_path / f"{small.name}.checksum").read_text() == "mine"


@pytest.mark.parametrize("key", ["..", "a/.", "a//.."])
def test_keys_that_are_no_files_names(cli: Cli, bucket: str, small: Path, key: str, nothing_left: Nothing) -> None:
    cli("put", "--manifest", "bagit", small, f"s3://{bucket}/{key}").expect_error(2, "another key")
    nothing_left.check()


@pytest.mark.parametrize("manifest", ["sha0sum", "", "=list", "sha256sum="])
def test_kinds_that_are_none(cli: Cli, small: Path, manifest: str) -> None:
    done = cli("put", "--manifest", manifest, small, "s3://bucket/key")
    done.expect_error(2, "--manifest")


def test_a_manifest_that_can_not_be_written_any_more(cli: Cli, bucket: str, tmp_path: Path) -> None:
    """Its directory was there when it was looked at, and isn't when the upload has ended."""
    lists = tmp_path / "lists"
    lists.mkdir()
    reading, writing = os.pipe()
    arguments = ("put", "--no-progress", f"--manifest=md5sum={lists}/list", "-", f"s3://{bucket}/key")
    process = cli.start(*arguments, stdin=reading)
    with open(writing, "wb", buffering=0) as pipe:
        pipe.write(b"some")
        deadline_s = time.monotonic() + 60
        while fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4):  # what is sent is read after that look
            assert time.monotonic() < deadline_s
            assert process.poll() is None
        lists.rmdir()
        lists.write_text("")
        os.close(reading)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert err.startswith(f"fastput: the manifest {lists}/list can't be written: ")
    assert f"s3://{bucket}/key" in out
