"""`fastput verify`: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Cli, environment
from tests.support.content import content
from tests.support.tcp import closed_port, serve_answer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_file_and_files(cli: Cli, bucket: str, small: Path, large: Path) -> None:
    assert cli("put", "--quiet", small, large, f"s3://{bucket}/run/").status == 0
    one = cli("verify", small, f"s3://{bucket}/run/{small.name}")
    assert (one.status, one.err) == (0, "")
    assert one.out == f"s3://{bucket}/run/{small.name}  97.7 KiB  same, by crc64nvme\n"
    several = cli("verify", "--deep", small, large, f"s3://{bucket}/run/")
    assert (several.status, several.err) == (0, "")
    first, second, summary = several.out.splitlines()
    assert first.endswith("same, by download")
    assert second == f"s3://{bucket}/run/{large.name}  17.0 MiB  same, by download"
    assert summary.startswith("2 of 2 same, 0 differs, 0 missing, 0 unproven, 0 failed: 17.1 MiB in ")


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_one_flipped_byte(cli: Cli, bucket: str, large: Path, deep: list[str]) -> None:
    assert cli("put", "--quiet", large, f"s3://{bucket}/key").status == 0
    flip(large, 12_345_678)
    other = cli("verify", *deep, large, f"s3://{bucket}/key")
    other.expect_error(7, f"s3://{bucket}/key: it differs from {large}", "byte 12,345,678" if deep else "crc64nvme")
    assert other.out == ""


def test_truncated_and_missing(cli: Cli, bucket: str, small: Path) -> None:
    assert cli("put", "--quiet", small, f"s3://{bucket}/key").status == 0
    with small.open("r+b") as file:
        file.truncate(99_999)
    cli("verify", small, f"s3://{bucket}/key").expect_error(7, "100,000", "99,999")
    cli("verify", small, f"s3://{bucket}/none").expect_error(6, "no such object")
    cli("verify", small.parent / "none", f"s3://{bucket}/key").expect_error(3, "no such file")


def test_json_and_the_first_status(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    assert cli("put", "--quiet", small, large, f"s3://{bucket}/").status == 0
    absent = tmp_path / "absent"
    absent.write_bytes(b"")
    flip(large)
    done = cli("verify", "--json", small, large, tmp_path / "none", absent, f"s3://{bucket}/")
    assert (done.status, done.err) == (7, "")
    same, differs, failed, missing, summary = done.events
    assert (same["event"], same["outcome"], same["proof"], same["exit_status"]) == ("verified", "same", "crc64nvme", 0)
    assert (same["source"], same["bucket"], same["key"]) == (str(small), bucket, small.name)
    assert (same["size_bytes"], same["version_id"]) == (100_000, None)
    assert (differs["outcome"], differs["proof"], differs["exit_status"]) == ("differs", "crc64nvme", 7)
    assert (failed["event"], failed["error"], failed["exit_status"]) == ("failed", "SourceNotFound", 3)
    assert (missing["outcome"], missing["size_bytes"], missing["exit_status"]) == ("missing", None, 6)
    counted = {name: summary[name] for name in ("verified", "same", "differs", "missing", "unproven", "failed")}
    assert counted == {"verified": 4, "same": 1, "differs": 1, "missing": 1, "unproven": 0, "failed": 1}
    assert summary["event"] == "summary"
    assert cli("verify", "--quiet", small, absent, large, f"s3://{bucket}/").status == 6


def test_quiet(cli: Cli, bucket: str, small: Path, large: Path) -> None:
    assert cli("put", "--quiet", small, large, f"s3://{bucket}/").status == 0
    done = cli("verify", "--quiet", small, large, f"s3://{bucket}/")
    assert (done.status, done.out, done.err) == (0, "", "")
    flip(small)
    cli("verify", "--quiet", small, large, f"s3://{bucket}/").expect_error(7, small.name)


NAMES = ["two words", "new\nline", "é☄", "100%+&?#", "-dash", "quote'\""]


def test_names(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copy(small, tmp_path / name)
    paths = [tmp_path / name for name in NAMES]
    assert cli("put", "--quiet", "--receipt", tmp_path / "r", *paths, f"s3://{bucket}/a b/").status == 0
    for done in (cli("verify", *paths, f"s3://{bucket}/a b/"), cli("verify", "--receipt", tmp_path / "r")):
        assert (done.status, done.err) == (0, ""), done
        assert len(done.out.splitlines()) == len(NAMES) + 1
    flip(paths[1])
    cli("verify", paths[1], f"s3://{bucket}/a b/").expect_error(7, "new\\nline")


def test_a_name_that_is_not_utf8(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    named = small.rename(tmp_path / os.fsdecode(b"\xff.bin"))
    assert cli("put", "--quiet", "--receipt", tmp_path / "r", named, f"s3://{bucket}/key").status == 0
    assert cli("verify", named, f"s3://{bucket}/key").status == 0
    assert cli("verify", "--receipt", tmp_path / "r").status == 0
    cli("verify", named, f"s3://{bucket}/").expect_error(2, "UTF-8")
    flip(named)
    cli("verify", named, f"s3://{bucket}/key").expect_error(7, "\\udcff.bin")


# ---- shipments


@pytest.fixture
def shipment(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> Path:
    """Receipts of three objects whose files are gone."""
    path = tmp_path / "shipment.jsonl"
    third = tmp_path / "third"
    third.write_bytes(content(5000))
    assert cli("put", "--quiet", "--receipt", path, small, large, third, f"s3://{bucket}/run/").status == 0
    for source in (small, large, third):
        source.unlink()
    return path


def keys_of(shipment: Path) -> list[str]:
    return [json.loads(line)["key"] for line in shipment.read_text().splitlines()]


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_shipment(
    cli: Cli, bucket: str, s3: S3Client, shipment: Path, small: Path, large: Path, deep: list[str]
) -> None:
    whole = cli("verify", "--receipt", shipment, *deep)
    assert (whole.status, whole.err) == (0, ""), whole
    assert "3 of 3 same" in whole.out
    damaged = bytearray(content(17 << 20))
    damaged[-1] ^= 1
    s3.put_object(Bucket=bucket, Key=f"run/{large.name}", Body=bytes(damaged), ChecksumAlgorithm="CRC64NVME")
    s3.delete_object(Bucket=bucket, Key=f"run/{small.name}")
    done = cli("verify", "--json", "--receipt", shipment, *deep)
    *events, summary = done.events
    assert [event["key"] for event in events] == keys_of(shipment)
    outcomes = {event["key"]: event["outcome"] for event in events}
    assert outcomes == {f"run/{large.name}": "differs", f"run/{small.name}": "missing", "run/third": "same"}
    assert (summary["same"], summary["differs"], summary["missing"]) == (1, 1, 1)
    first_bad = next(event for event in events if event["outcome"] != "same")
    assert done.status == first_bad["exit_status"]


def test_an_object_that_may_be_another(cli: Cli, bucket: str, s3: S3Client, shipment: Path, large: Path) -> None:
    """It was put again by somebody whose checksum the receipt doesn't know: only a download tells."""
    s3.put_object(Bucket=bucket, Key=f"run/{large.name}", Body=content(17 << 20), ChecksumAlgorithm="SHA256")
    done = cli("verify", "--receipt", shipment)
    assert done.status == 13
    assert "unproven" in done.err
    assert "--deep" in done.err
    assert cli("verify", "--receipt", shipment, "--deep").status == 0


def test_the_events_of_put(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    sent = cli("put", "--json", small, tmp_path / "none", large, f"s3://{bucket}/")
    (tmp_path / "events").write_text(sent.out)
    done = cli("verify", "--receipt", tmp_path / "events")
    assert (done.status, done.err) == (0, "")
    assert "2 of 2 same" in done.out


def test_of_one_key_the_last_receipt_counts(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "r"
    for _ in range(2):
        flip(small)
        assert cli("put", "--quiet", "--receipt", receipts, small, f"s3://{bucket}/key").status == 0
    assert cli("verify", "--receipt", receipts).status == 0
    lines = receipts.read_text().splitlines()
    receipts.write_text("\n".join(reversed(lines)))
    cli("verify", "--receipt", receipts).expect_error(7, f"s3://{bucket}/key")


def test_damaged_lines(cli: Cli, bucket: str, shipment: Path) -> None:
    lines = shipment.read_bytes().splitlines(keepends=True)
    shipment.write_bytes(lines[0] + b"\xff garbage\n" + lines[1] + b"{}\n" + lines[2][:100])
    done = cli("verify", "--receipt", shipment)
    assert done.status == 2
    assert [text.partition("line ")[2].partition(":")[0] for text in done.err.splitlines()] == ["2", "4", "5"]
    assert done.out.count("same, by") == 2
    done = cli("verify", "--json", "--receipt", shipment)
    events = [event["event"] for event in done.events]
    assert events == ["verified", "failed", "verified", "failed", "failed", "summary"]
    assert (done.events[1]["error"], done.events[1]["source"]) == ("UsageError", "line 2")


def test_a_receipt_for_a_file(cli: Cli, bucket: str, large: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "r"
    put = ("put", "--quiet", "--checksum", "none", "--part-size", "7MiB", "--receipt", receipts)
    assert cli(*put, large, f"s3://{bucket}/key").status == 0
    done = cli("verify", large, f"s3://{bucket}/key", "--receipt", receipts)
    assert (done.status, done.err) == (0, "")
    assert "md5 etag of 3 parts" in done.out
    flip(large)
    cli("verify", large, f"s3://{bucket}/key", "--receipt", receipts).expect_error(7, "md5 etag of 3 parts")


# ---- what can't work


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{small}"], ["what is to be compared"]),
        (["s3://bucket/key"], ["what is to be compared"]),
        (["--deep"], ["what is to be verified"]),
        (["-", "s3://bucket/key"], ["standard input"]),
        (["{small}", "{large}", "s3://bucket/key"], ["prefix"]),
        (["{small}", "bucket/key"], ["s3://bucket/key"]),
        (["{small}", "s3://bucket/\udcff"], ["UTF-8"]),
        (["--receipt", "/nowhere/receipts"], ["/nowhere/receipts"]),
        (["--receipt", "{empty}"], ["no receipts"]),
        (["--receipt", "{tmp}"], ["directory"]),
        (["--profile", "nobody", "{small}", "s3://bucket/key"], ["nobody"]),
    ],
)
def test_bad_usage(cli: Cli, small: Path, large: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    names = {"small": small, "large": large, "empty": tmp_path / "empty", "tmp": tmp_path}
    done = cli("verify", *(argument.format_map(names) for argument in arguments))
    done.expect_error(2, *words)


def test_stores_that_do_not_answer(small: Path) -> None:
    cli = Cli(environment(**KEYS))
    done = cli("verify", small, "s3://bucket/key", "--endpoint-url", f"http://127.0.0.1:{closed_port()}")
    done.expect_error(9, "refused")
    with serve_answer(403, "") as server:
        cli("verify", small, "s3://bucket/key", "--endpoint-url", server.url).expect_error(6, "access denied")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(small: Path, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cli = Cli(environment(**KEYS, AWS_ENDPOINT_URL=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        process = cli.start("verify", small, "s3://bucket/key")
        listener.settimeout(60)
        asking, _ = listener.accept()  # it waits for an answer that doesn't come
        with asking:
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "fastput: interrupted\n")


def test_help(cli: Cli) -> None:
    help_text = cli("verify", "--help")
    assert help_text.status == 0
    for word in ("--receipt", "--deep", "13 unproven"):
        assert word in help_text.out


@pytest.mark.parametrize("keys", [[], ["--hash-prefix", "2"]])
def test_a_directory(cli: Cli, bucket: str, tmp_path: Path, keys: list[str]) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    for name in ("a.h5", "b.log", "sub/c.h5", "sub/d.h5"):
        (tree / name).write_bytes(content(1000, len(name)))
    assert cli("put", "--quiet", *keys, tree, f"s3://{bucket}/p/").status == 0
    done = cli("verify", *keys, tree, f"s3://{bucket}/p")
    assert (done.status, done.err) == (0, "")
    (summary,) = done.out.splitlines()
    assert summary.startswith("4 of 4 same, 0 differs, 0 missing")
    assert cli("verify", "-v", *keys, tree, f"s3://{bucket}/p").out.count("same, by crc64nvme") == 4
    flip(tree / "sub/c.h5")
    (tree / "new.log").write_bytes(b"new")
    changed = cli("verify", *keys, "--json", "--exclude", "*.log", tree, f"s3://{bucket}/p/")
    assert changed.status == 7
    outcomes = [event["outcome"] for event in changed.events if event["event"] == "verified"]
    assert sorted(outcomes) == ["differs", "same", "same"]
    cli("verify", *keys, tree / "new.log", f"s3://{bucket}/p/").expect_error(6, "no such object")


def test_other_keys_than_those_that_were_given(cli: Cli, bucket: str, small: Path) -> None:
    assert cli("put", "--quiet", "--hash-prefix", "1", small.parent, f"s3://{bucket}/p/").status == 0
    assert cli("verify", small.parent, f"s3://{bucket}/p/").status == 6


# ---- what put has compressed or packed


@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_compressed_file(cli: Cli, bucket: str, small: Path, deep: list[str]) -> None:
    small.write_bytes(b"0123456789" * 10_000)
    assert cli("put", "--quiet", "--compress", small, f"s3://{bucket}/").status == 0
    same = cli("verify", *deep, small, f"s3://{bucket}/{small.name}.zst")
    assert (same.status, same.err) == (0, "")
    assert same.out.endswith(f"same, by {'download' if deep else 'crc64nvme of its content'}\n")
    missing = cli("verify", *deep, small, f"s3://{bucket}/")
    missing.expect_error(6, f"/{small.name}: there is no such object, but s3://{bucket}/{small.name}.zst")
    flip(small, 54_321)
    other = cli("verify", *deep, small, f"s3://{bucket}/{small.name}.zst")
    other.expect_error(7, "it differs", "byte 54,321" if deep else "crc64nvme of its content")


def test_a_damaged_object(cli: Cli, bucket: str, s3: S3Client, small: Path) -> None:
    assert cli("put", "--quiet", "--compress", small, f"s3://{bucket}/").status == 0
    key = f"{small.name}.zst"
    found = s3.get_object(Bucket=bucket, Key=key)
    data = bytearray(found["Body"].read())
    data[50_000] ^= 1
    s3.put_object(Bucket=bucket, Key=key, Body=bytes(data), Metadata=found["Metadata"])
    done = cli("verify", "--deep", small, f"s3://{bucket}/{key}")
    done.expect_error(14, f"s3://{bucket}/{key}", "frame 0 of 1", "at byte 0", "put it again")


@pytest.fixture
def run7(tmp_path: Path) -> Path:
    """A directory in whose order a file's place isn't that of its name alone."""
    root = tmp_path / "run7"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    for number, name in enumerate(("a.h5", "b.log", "sub-1", "sub.h5", "sub/c.h5", "sub/deep/d ☄\n", "sub0")):
        (root / name).write_bytes(content(1_000 * number, number))
    (root / os.fsdecode(b"\xff.bin")).write_bytes(b"not UTF-8")
    (root / "link").symlink_to("a.h5")
    os.link(root / "sub.h5", root / "z second name")
    return root


ARCHIVES = pytest.mark.parametrize(("options", "suffix"), [([], ""), (["--compress"], ".zst")], ids=["tar", "zst"])


@ARCHIVES
@pytest.mark.parametrize("deep", [[], ["--deep"]])
def test_a_directory_and_its_archive(
    cli: Cli, bucket: str, run7: Path, options: list[str], suffix: str, deep: list[str]
) -> None:
    assert cli("put", "--quiet", "--pack", *options, run7, f"s3://{bucket}/").status == 0
    archive = f"s3://{bucket}/run7.tar{suffix}"
    for target in (archive, f"{archive}//"):
        same = cli("verify", *deep, run7, target)
        assert (same.status, same.err) == (0, "")
        assert same.out.startswith("9 of 9 same, 0 differs, 0 missing, 0 unproven, 0 failed"), same.out
    below = cli("verify", *deep, run7 / "sub", f"{archive}//sub/")
    assert (below.status, below.err) == (0, "")
    assert below.out.startswith("2 of 2 same")

    flip(run7 / "sub/deep/d ☄\n", 77)
    (run7 / "sub0").write_bytes(b"shorter")
    (run7 / "new").write_bytes(b"new")
    (run7 / "sub/c.h5").unlink()
    (run7 / "b.log").unlink()
    done = cli("verify", "--json", *deep, "--exclude", "*.log", run7, archive)
    *events, summary = done.events
    told = {
        event["key"].partition("//")[2] if event["event"] == "verified" else event["source"]: event for event in events
    }
    assert {name: event.get("outcome", event["event"]) for name, event in told.items()} == {
        "a.h5": "same",
        "new": "missing",
        "sub-1": "same",
        "sub.h5": "same",
        "sub/c.h5": "failed",
        "sub/deep/d ☄\n": "differs",
        "sub0": "differs",
        "z second name": "same",
        "\udcff.bin": "same",
    }
    assert told["sub/c.h5"]["message"] == f"sub/c.h5: {archive} has it, and there is no such file"
    assert told["sub/deep/d ☄\n"]["detail"] == (
        "byte 77 is the first that isn't the file's" if deep else "the crc64nvme of its content isn't the file's"
    )
    assert told["sub0"]["detail"] == "its content has 6,000 bytes, the file 7"
    assert (told["new"]["detail"], told["new"]["size_bytes"]) == ("there is no such file in the archive", None)
    assert (summary["verified"], summary["failed"], done.status) == (9, 1, 6)  # "new" comes first


def test_no_archive(cli: Cli, bucket: str, s3: S3Client, run7: Path) -> None:
    cli("verify", run7, f"s3://{bucket}/none.tar.zst").expect_error(6, "none.tar.zst")
    s3.put_object(Bucket=bucket, Key="other.tar", Body=bytes(10_240))
    cli("verify", run7, f"s3://{bucket}/other.tar").expect_error(14, "other.tar", "no index")
    # With a slash behind it, it is a prefix.
    assert cli("put", "--quiet", "--exclude", "*.bin", run7, f"s3://{bucket}/p.tar/").status == 0
    assert cli("verify", "--exclude", "*.bin", run7, f"s3://{bucket}/p.tar/").status == 0
