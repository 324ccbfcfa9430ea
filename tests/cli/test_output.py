"""What the command prints, for people and for programs."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.conftest import Nothing
from tests.support.cli import Cli
from tests.support.content import content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def test_json(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    done = cli("put", "--json", small, tmp_path / "missing", large, f"s3://{bucket}/prefix/")
    assert done.status == 3
    assert done.err == ""
    *events, summary = done.events
    assert sorted(event["event"] for event in events) == ["failed", "sent", "sent"]
    by_source = {event["source"]: event for event in events}
    assert by_source[str(tmp_path / "missing")]["error"] == "SourceNotFound"
    assert by_source[str(tmp_path / "missing")]["exit_status"] == 3
    for path in (small, large):
        event = by_source[str(path)]
        assert (event["bucket"], event["key"]) == (bucket, f"prefix/{path.name}")
        assert event["size_bytes"] == path.stat().st_size
        assert event["crc64nvme"] == crc64nvme_base64(path.read_bytes())
    assert summary["event"] == "summary"
    assert (summary["planned"], summary["sent"], summary["skipped"], summary["failed"]) == (3, 2, 0, 1)
    assert summary["bytes"] == small.stat().st_size + large.stat().st_size
    assert summary["resent_bytes"] == 0
    goodput_mbps = summary["bytes"] * 8 / 1e6 / summary["seconds"]
    assert abs(summary["goodput_mbps"] - goodput_mbps) < 0.02 * goodput_mbps


def test_no_clobber_skips(cli: Cli, bucket: str, small: Path, large: Path, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket, Key=small.name, Body=b"here before")
    done = cli("put", "--json", "--no-clobber", small, large, f"s3://{bucket}/")
    assert done.status == 8
    summary = done.events[-1]
    assert (summary["planned"], summary["sent"], summary["skipped"], summary["failed"]) == (2, 1, 1, 0)
    assert [event["event"] for event in done.events if event.get("source") == str(small)] == ["skipped"]
    assert s3.get_object(Bucket=bucket, Key=small.name)["Body"].read() == b"here before"
    again = cli("put", "-n", large, f"s3://{bucket}/")
    again.expect_error(8, large.name, "already")


def test_the_first_failure_in_the_plan_gives_the_status(cli: Cli, bucket: str, small: Path, s3: S3Client) -> None:
    s3.put_object(Bucket=bucket, Key=small.name, Body=b"")
    missing = small.parent / "missing"
    assert cli("put", "-n", small, missing, f"s3://{bucket}/").status == 8
    assert cli("put", "-n", missing, small, f"s3://{bucket}/").status == 3


def test_lines_for_people(cli: Cli, bucket: str, small: Path) -> None:
    done = cli("put", small, f"s3://{bucket}/")
    assert (done.status, done.err) == (0, "")
    sent, summary = done.out.splitlines()
    assert sent.startswith(f"s3://{bucket}/{small.name}  97.7 KiB  crc64nvme {crc64nvme_base64(content(100_000))}")
    assert summary.startswith("1 of 1 sent, 0 skipped, 0 failed: 97.7 KiB in ")


def test_quiet(cli: Cli, bucket: str, small: Path) -> None:
    done = cli("put", "--quiet", small, f"s3://{bucket}/")
    assert (done.status, done.out, done.err) == (0, "", "")
    missing = cli("put", "--quiet", small.parent / "missing", f"s3://{bucket}/")
    missing.expect_error(3, "missing")
    assert missing.out == ""


def test_verbose_shows_tracebacks(cli: Cli, small: Path) -> None:
    done = cli("put", "--verbose", small, "s3://no-such-bucket-here/key")
    assert done.status == 6
    assert done.err.startswith("fastput: ")
    assert "status=404" in done.err
    assert "code=NoSuchBucket" in done.err
    assert "NoSuchBucket" in done.err.splitlines()[-1] or "Traceback" in done.err or "fastput.errors" in done.err


def test_receipts_are_appended(cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path) -> None:
    receipts = tmp_path / "receipts.jsonl"
    for path in (small, large):
        assert cli("put", "--receipt", receipts, path, f"s3://{bucket}/").status == 0
    first, second = map(json.loads, receipts.read_text().splitlines())
    assert (first["source"], second["source"]) == (str(small), str(large))
    assert second["crc64nvme"] == crc64nvme_base64(large.read_bytes())
    assert sum(part["length_bytes"] for part in second["parts"]) == large.stat().st_size
    status = large.stat()
    assert second["source_stat"] == {
        "device": status.st_dev, "inode": status.st_ino, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
    }  # fmt: skip


def test_a_receipt_of_a_file_whose_name_is_not_utf8(cli: Cli, bucket: str, small: Path, tmp_path: Path) -> None:
    # Was a bug: the object is there, and then a UnicodeEncodeError's traceback, exit status 1.
    named = small.rename(small.parent / os.fsdecode(b"\xff.bin"))
    receipts = tmp_path / "receipts.jsonl"
    done = cli("put", "--receipt", receipts, named, f"s3://{bucket}/key")
    assert (done.status, done.err) == (0, "")
    assert json.loads(receipts.read_text())["key"] == "key"


def test_dry_run_asks_nobody(cli: Cli, small: Path, large: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        done = cli("put", "--dry-run", "--endpoint-url", url, small, large, "s3://bucket/prefix/")
        listener.setblocking(False)
        try:
            listener.accept()
        except BlockingIOError:
            pass
        else:
            raise AssertionError("somebody came")
    assert (done.status, done.err) == (0, "")
    one, several = done.out.splitlines()
    assert one == f"would send {small} (97.7 KiB) to s3://bucket/prefix/{small.name} in one request"
    assert several == f"would send {large} (17.0 MiB) to s3://bucket/prefix/{large.name} in 4 parts of 5.0 MiB"


def test_dry_run_says_what_would_fail(cli: Cli, small: Path, bucket: str, nothing_left: Nothing) -> None:
    done = cli("put", "--dry-run", small, small.parent / "missing", f"s3://{bucket}/")
    assert done.status == 3
    assert done.err.startswith("fastput: ")
    assert done.out.count("would send") == 1
    nothing_left.check()


def test_dry_run_in_json_ends_with_a_summary(cli: Cli, small: Path) -> None:
    # Was a bug: no summary, which programs wait for as the last line.
    done = cli("put", "--dry-run", "--json", small, "s3://bucket/")
    assert done.status == 0
    assert done.events[0]["event"] == "planned"
    assert done.events[-1]["event"] == "summary"


def test_version(cli: Cli) -> None:
    from fastput.native.crc import variants

    assert cli("--version").out == "fastput 0.1.0\n"
    verbose = cli("--version", "--verbose").out
    assert verbose.startswith("fastput 0.1.0\n")
    for name, variant in variants().items():
        assert f"{name} {variant}" in verbose
    assert "awscrt" in verbose
