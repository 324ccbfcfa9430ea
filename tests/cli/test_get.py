"""`fastput get`, `ls` and `cat`: what they print, where things go, and their exit status."""

from __future__ import annotations

import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.archives import compressed, entry, files_below, odd_tree, of_tree, packed, plain
from tests.support.cli import COMMAND, TIMEOUT_S, Cli
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return odd_tree(tmp_path / "tree")


def test_an_object_and_where_it_goes(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    assert cli("put", "--quiet", small, large, f"s3://{bucket}/run/").status == 0
    done = cli("get", f"s3://{bucket}/run/{small.name}", tmp_path / "copy")
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{tmp_path}/copy  97.7 KiB  compared by crc64nvme\n"
    assert (tmp_path / "copy").read_bytes() == small.read_bytes()
    assert cli("get", "--quiet", f"s3://{bucket}/run/{large.name}", "new/", cwd=tmp_path).out == ""
    assert (tmp_path / "new" / large.name).read_bytes() == large.read_bytes()
    several = cli("get", f"s3://{bucket}/run/", ".", cwd=tmp_path / "new")
    assert several.out.startswith("2 of 2 got, 0 skipped, 0 failed: 17.1 MiB in ")
    assert set(files_below(tmp_path / "new")) == {small.name, large.name}
    dry = cli("get", "--dry-run", f"s3://{bucket}/run/{small.name}", tmp_path / "dry" / "x")
    assert (dry.status, dry.out) == (0, f"would get s3://{bucket}/run/{small.name} (97.7 KiB) to {tmp_path}/dry/x\n")
    assert not (tmp_path / "dry").exists()


def test_json_and_the_first_status(cli: Cli, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    packings = [entry(b"a", b"content"), entry(b"../b", b"x"), entry(b"zeros", bytes(10), is_ok=False)]
    s3.put_object(Bucket=bucket, Key="obs.tar.zst", Body=packed(packings, MIB))
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "a").write_text("old")
    done = cli("get", "--json", f"s3://{bucket}/obs.tar.zst//", tmp_path / "got")
    assert (done.status, done.err) == (2, "")
    got, refused, zeros, summary = done.events
    assert (got["event"], got["path"], got["size_bytes"]) == ("got", str(tmp_path / "got" / "a"), 7)
    assert (got["crc64nvme"], got["proof"]) == (crc64nvme_base64(b"content"), "crc64nvme")
    assert [(each["event"], each["error"], each["exit_status"]) for each in (refused, zeros)] == [
        ("failed", "UsageError", 2),
        ("failed", "SourceError", 3),
    ]
    counts = {name: summary[name] for name in ("event", "planned", "got", "skipped", "failed", "bytes")}
    assert counts == {"event": "summary", "planned": 3, "got": 1, "skipped": 0, "failed": 2, "bytes": 7}
    again = cli("get", "--json", "--no-clobber", f"s3://{bucket}/obs.tar.zst//a", tmp_path / "got")
    assert (again.status, [event["event"] for event in again.events]) == (8, ["skipped", "summary"])


def test_errors_are_one_line(cli: Cli, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    frames = bytearray(compressed(content(3 * MIB), MIB))
    frames[MIB + 5_000] ^= 1
    s3.put_object(Bucket=bucket, Key="b.zst", Body=bytes(frames))
    target = tmp_path / "none"
    cli("get", f"s3://{bucket}/b.zst", target).expect_error(14, f"{bucket}/b.zst", "frame 1 of 3", "(at byte 1,0")
    cli("get", f"s3://{bucket}/b.zst//x", target).expect_error(14, "has no index")
    for words in (["get"], ["get", "--raw"], ["cat"]):
        more = [target] if words[0] == "get" else []
        cli(*words, f"s3://{bucket}/none", *more).expect_error(6, f"s3://{bucket}/none: there is no such object")
    cli("cat", f"s3://{bucket}").expect_error(2, "one object")
    cli("get", f"s3://{bucket}/b.zst").expect_error(2, f"where is s3://{bucket}/b.zst to go?")
    cli("get", f"s3://{bucket}/none/", target).expect_error(6, "no such object or prefix")
    cli("get", f"s3://{bucket}/", "-").expect_error(2, "one object")
    cli("cat", "--range", "9-5", f"s3://{bucket}/b.zst").expect_error(2, "'9-5'")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_directory_is_wanted(cli: Cli, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a", Body=b"x")
    (tmp_path / "file").write_text("mine")
    done = cli("get", f"s3://{bucket}/p/", tmp_path / "file")
    assert (done.status, done.err) == (2, f"fastput: {tmp_path}/file: is no directory: give another one\n")
    assert files_below(tmp_path) == {"file": b"mine"}


def _tree_of(root: Path) -> dict[str, tuple[bytes, int]]:
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


@pytest.mark.parametrize("more", [[], ["--compress", "3"]], ids=["plain", "compressed"])
def test_there_and_back(cli: Cli, bucket: str, tmp_path: Path, more: list[str]) -> None:
    root, back, prefix = tmp_path / "tree", tmp_path / "back", f"s3://{bucket}/run7/"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.fits", "sub/b", "empty", "sub/large")):
        data = content(17 * MIB if name == "sub/large" else number * 1000, number)
        (root / name).write_bytes(b"" if name == "empty" else data)
        os.utime(root / name, ns=(1, 1_600_000_000_000_000_000 + number * 1_000_000_001))
    assert cli("put", "--quiet", *more, root, prefix).status == 0
    assert (done := cli("get", prefix, back)).status == 0, done
    assert _tree_of(back) == _tree_of(root)
    if not more:  # sync compares keys, and those of what is compressed are others
        again = cli("sync", "--json", "--dry-run", back, prefix)
        assert (again.status, [event for event in again.events if event["event"] == "planned"]) == (0, [])
        os.utime(back / "a.fits")
        again = cli("sync", "--json", "--dry-run", back, prefix)
        assert [event["key"] for event in again.events if event["event"] == "planned"] == ["run7/a.fits"]


def test_progress_is_for_terminals(cli: Cli, bucket: str, tmp_path: Path, s3: S3Client) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(100 * MIB)
    assert cli("put", "--quiet", large, f"s3://{bucket}/large").status == 0

    def on_terminal(*options: str) -> tuple[int, bytes]:
        main, other = pty.openpty()
        command = [*COMMAND, "get", "--concurrency", "1", *options, f"s3://{bucket}/large", tmp_path / "got"]
        with subprocess.Popen(command, env=dict(cli.env), stdout=subprocess.PIPE, stderr=other) as process:
            os.close(other)
            drawn = b""
            with open(main, "rb", buffering=0) as terminal, suppress(OSError):  # that is how a terminal ends
                while data := terminal.read(1 << 16):
                    drawn += data
            return process.wait(TIMEOUT_S), drawn

    status, drawn = on_terminal()
    assert (status, b" of 100.0 MiB" in drawn, b"MB/s now" in drawn) == (0, True, True)
    assert on_terminal("--no-progress") == (0, b"")
    assert (tmp_path / "got").stat().st_size == 100 * MIB


def test_standard_output(cli: Cli, bucket: str, tree: Path, tmp_path: Path, s3: S3Client) -> None:
    data = content(3 * MIB, 4)
    s3.put_object(Bucket=bucket, Key="key.zst", Body=compressed(data, 100_000))
    s3.put_object(Bucket=bucket, Key="obs.tar", Body=plain(of_tree(tree)))

    def written(*arguments: object) -> bytes:
        command = [*COMMAND, *map(str, arguments)]
        done = subprocess.run(command, env=dict(cli.env), capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout

    assert written("cat", f"s3://{bucket}/key.zst") == data
    assert written("get", "--raw", f"s3://{bucket}/key.zst", "-") == compressed(data, 100_000)
    assert written("cat", "--range", "-7", f"s3://{bucket}/key.zst") == data[-7:]
    member = f"s3://{bucket}/obs.tar//d/deep/large"
    assert written("cat", "--range", "5242880-", member) == content(5 * MIB + 77, 2)[5242880:]


@pytest.mark.parametrize("more", [[], ["--compress", "3"]], ids=["plain", "compressed"])
def test_what_put_has_packed(cli: Cli, bucket: str, tree: Path, tmp_path: Path, more: list[str]) -> None:
    assert cli("put", "--quiet", "--pack=10GiB", *more, tree, f"s3://{bucket}/obs.tar").status == 0
    key = "obs-0001.tar.zst" if more else "obs-0001.tar"
    done = cli("get", f"s3://{bucket}/{key}//", tmp_path / "got")
    assert (done.status, done.err) == (0, "")
    differing = subprocess.run(["diff", "-r", "--no-dereference", tree, tmp_path / "got"], capture_output=True)
    assert (differing.returncode, differing.stdout, differing.stderr) == (0, b"", b"")


def test_ls(cli: Cli, bucket: str, tree: Path, s3: S3Client) -> None:
    for key in ("a", "p/b", "p/q/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"12345")
    s3.put_object(Bucket=bucket, Key="obs.tar.zst", Body=packed(of_tree(tree), 1 << 20))
    assert set(cli("ls", f"s3://{bucket}").out.splitlines()) == {"a", "p/", "obs.tar.zst"}
    assert set(cli("ls", "--recursive", f"s3://{bucket}/p/").out.splitlines()) == {"p/b", "p/q/c"}
    long = {line.split()[-1]: line.split() for line in cli("ls", "-l", f"s3://{bucket}/p/").out.splitlines()}
    modified = s3.head_object(Bucket=bucket, Key="p/b")["LastModified"]
    assert long == {
        "p/b": ["5", modified.strftime("%Y-%m-%dT%H:%M:%SZ"), "p/b"],
        "p/q/": ["-", "-", "p/q/"],
    }
    events = cli("ls", "--json", f"s3://{bucket}/obs.tar.zst//").events
    assert [event["name"].removesuffix("/").encode(errors="surrogateescape") for event in events] == [
        packing.member.name for packing in of_tree(tree)
    ]
    sizes = {event["name"]: event["size_bytes"] for event in events}
    assert (sizes["d/a.fits"], sizes["d/"], sizes["empty"]) == (700_000, None, 0)
    below = cli("ls", "-l", f"s3://{bucket}/obs.tar.zst//d/").out
    assert "d/soft -> a.fits" in below
    assert "hard" not in below
    cli("ls", f"s3://{bucket}/none/").expect_error(6, "no such object or prefix")
    cli("ls", f"s3://{bucket}/obs.tar.zst//none/").expect_error(6, "no such member")
