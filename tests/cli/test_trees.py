"""`fastput put DIR` and `fastput sync`: what is sent, what is said, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Cli, Ended
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILES = {"a.fits": b"one", "b.log": b"two", "sub/c.fits": b"three", "sub/deep/d.tmp": b"four", "empty": b""}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "run7"
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def own(cli: Cli, tmp_path: Path) -> Cli:
    """With a state directory of its own."""
    return Cli({**cli.env, "XDG_STATE_HOME": str(tmp_path / "state")})


@pytest.fixture
def stored(s3: S3Client, bucket: str) -> Callable[[], dict[str, bytes]]:
    def read() -> dict[str, bytes]:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}

    return read


Stored = Callable[[], dict[str, bytes]]


def summary(done: Ended) -> dict[str, object]:
    return done.events[-1]


def below(prefix: str, names: list[str] | None = None) -> dict[str, bytes]:
    return {prefix + name: data for name, data in FILES.items() if names is None or name in names}


@pytest.mark.parametrize("word", ["put", "cp"])
def test_a_directory(own: Cli, bucket: str, tree: Path, stored: Stored, word: str) -> None:
    done = own(word, tree, f"s3://{bucket}/p/")
    assert (done.status, done.err) == (0, ""), done
    assert done.out.startswith("5 of 5 sent, 0 skipped, 0 failed: 15 B in ")
    assert stored() == below("p/")


@pytest.mark.parametrize("uri", ["s3://{}", "s3://{}/", "s3://{}/p", "s3://{}/p/"])
def test_a_prefix_gets_its_slash(own: Cli, bucket: str, tree: Path, stored: Stored, uri: str) -> None:
    assert own("put", "--recursive", tree, uri.format(bucket)).status == 0
    assert stored() == below("p/" if "p" in uri else "")


def test_several_sources(own: Cli, bucket: str, tree: Path, tmp_path: Path, stored: Stored) -> None:
    (tmp_path / "run8.txt").write_bytes(b"text")
    (tmp_path / "run7-").mkdir()
    (tmp_path / "run7-" / "x").write_bytes(b"x")
    done = own("put", tmp_path / "run8.txt", tree, tmp_path / "run7-", f"s3://{bucket}/p/")
    assert done.status == 0, done
    assert stored() == below("p/run7/") | {"p/run8.txt": b"text", "p/run7-/x": b"x"}


def test_two_of_the_same_name(own: Cli, bucket: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "x" / "run7").mkdir(parents=True)
    own("put", tree, tmp_path / "x" / "run7", f"s3://{bucket}/").expect_error(2, "would both become run7")


def test_a_list_of_names(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    (tree / "line\nbreak").write_bytes(b"x")
    done = own("put", "--from-file", "-", tree, f"s3://{bucket}/p/", input=b"a.fits\nsub/c.fits\na.fits\n")
    assert done.status == 0, done
    assert stored() == below("p/", ["a.fits", "sub/c.fits"])
    done = own("put", "--from-file", "-", "-0", f"s3://{bucket}/q/", input=b"line\nbreak\0sub/c.fits", cwd=tree)
    assert done.status == 0, done
    assert {key for key in stored() if key.startswith("q/")} == {"q/line\nbreak", "q/sub/c.fits"}


def test_a_name_in_a_list_that_is_not_there(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    done = own("put", "--json", "--from-file", "-", tree, f"s3://{bucket}/", input=b"a.fits\nnowhere\nsub\n")
    assert done.status == 3
    assert (summary(done)["planned"], summary(done)["sent"], summary(done)["failed"]) == (3, 1, 2)
    messages = {event["source"]: event["message"] for event in done.events if event["event"] == "failed"}
    assert "No such file" in messages["nowhere"]
    assert "a directory, where a file was named" in messages["sub"]


def test_rules(own: Cli, bucket: str, tree: Path, stored: Stored, tmp_path: Path) -> None:
    patterns = tmp_path / "patterns"
    patterns.write_text("# none of these\n*.log\n")
    done = own(
        "put", tree, f"s3://{bucket}/p/", "--exclude", "*", "--include=*.fits", "--include", "*.log",
        "--exclude-from", patterns,
    )  # fmt: skip
    assert done.status == 0, done
    assert stored() == below("p/", ["a.fits", "sub/c.fits"])


def test_sizes_and_ages_are_reasons(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    os.utime(tree / "a.fits", (0, 0))
    done = own("put", "--json", tree, f"s3://{bucket}/", "--max-age", "1d", "--min-size", "1", "--max-size", "4")
    assert done.status == 0
    assert summary(done)["skipped_because"] == {
        "older than 1d00h": 1, "smaller than 1 B": 1, "larger than 4 B": 1,
    }  # fmt: skip
    assert stored() == below("", ["b.log", "sub/deep/d.tmp"])


def test_the_last_comes_last(own: Cli, bucket: str, tree: Path, s3: S3Client) -> None:
    (tree / "READY").write_bytes(b"")
    (tree / "sub" / "READY").write_bytes(b"")
    receipts = tree.parent / "receipts"
    assert own("put", tree, f"s3://{bucket}/p/", "--last", "READY", "--receipt", receipts).status == 0
    order = [json.loads(line)["path"] for line in receipts.read_text().splitlines()]
    assert set(order[-2:]) == {"READY", "sub/READY"}
    assert len(order) == 7


def test_what_comes_last_does_not_come_if_something_failed(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    (tree / "READY").write_bytes(b"")
    (tree / os.fsdecode(b"bad\xff")).write_bytes(b"")
    done = own("put", "--json", tree, f"s3://{bucket}/p/", "--last", "READY")
    assert done.status == 3
    assert summary(done)["skipped_because"] == {"not sent: it comes last, and 1 others had failed": 1}
    assert stored() == below("p/")


def test_the_account_holds(own: Cli, bucket: str, tree: Path) -> None:
    (tree / os.fsdecode(b"bad\xff")).write_bytes(b"")
    (tree / "link").symlink_to("a.fits")
    os.mkfifo(tree / "pipe")
    os.link(tree / "a.fits", tree / "again.fits")
    receipts = tree.parent / "receipts"
    done = own("put", "--json", tree, f"s3://{bucket}/p/", "--receipt", receipts)
    found = summary(done)
    assert (done.status, found["planned"], found["sent"], found["skipped"], found["failed"]) == (3, 9, 6, 2, 1)
    assert found["skipped_because"] == {"a symbolic link": 1, "a pipe": 1}
    assert found["hard_links"] == 2
    events = [json.loads(line)["event"] for line in receipts.read_text().splitlines()]
    assert sorted(events) == ["failed", "sent", "sent", "sent", "sent", "sent", "sent", "skipped", "skipped"]


def test_what_failed_is_tried_again(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    (tree / "nothing").symlink_to("nowhere")
    receipts = tree.parent / "receipts"
    arguments = ("put", "--follow", "--receipt", receipts, tree, f"s3://{bucket}/p/")
    assert own(*arguments).status == 3
    (tree / "nowhere").write_bytes(b"now")
    done = own(*arguments, "--json", "--retry-failed", receipts)
    assert (done.status, summary(done)["planned"], summary(done)["sent"]) == (0, 1, 1)
    assert stored()["p/nothing"] == b"now"
    done = own(*arguments, "--json", "--retry-failed", receipts)
    assert (done.status, summary(done)["planned"]) == (0, 0)


def test_metadata(own: Cli, bucket: str, tree: Path, s3: S3Client) -> None:
    os.utime(tree / "a.fits", ns=(0, 1_700_000_000_123_456_789))
    expected = {
        "mtime": {"mtime": "1700000000.123456789"},
        "none": {},
        "rclone": {"mtime": "1700000000.123456789", "mode": "100640", "uid": "0", "gid": "0"},
    }
    (tree / "a.fits").chmod(0o640)
    os.chown(tree / "a.fits", os.geteuid(), os.getegid())
    expected["rclone"] |= {"uid": str(os.geteuid()), "gid": str(os.getegid())}
    for kind, metadata in expected.items():
        assert own("put", "--preserve", kind, tree, f"s3://{bucket}/{kind}/").status == 0
        assert s3.head_object(Bucket=bucket, Key=f"{kind}/a.fits")["Metadata"] == metadata


def test_recorded_links(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    (tree / "link").symlink_to("sub/c.fits")
    assert own("put", "--links", "record", tree, f"s3://{bucket}/p/").status == 0
    assert stored() == below("p/") | {"p/link.rclonelink": b"sub/c.fits"}


def test_hashed_prefixes(own: Cli, bucket: str, tree: Path, s3: S3Client, stored: Stored) -> None:
    receipts = tree.parent / "receipts"
    arguments = (tree, f"s3://{bucket}/p/", "--hash-prefix", "2")
    assert own("put", *arguments, "--receipt", receipts).status == 0
    found = stored()
    assert {key[5:] for key in found} == set(FILES)
    assert all(key[:2] == "p/" and key[4] == "/" for key in found)
    for line in receipts.read_text().splitlines():
        document = json.loads(line)
        assert document["key"].endswith("/" + document["path"])
        assert s3.head_object(Bucket=bucket, Key=document["key"])["Metadata"]["fastput-path"] == document["path"]
    done = own("sync", "--json", "--delete", *arguments)
    assert (done.status, summary(done)["sent"], summary(done)["deleted"]) == (0, 0, 0)
    (tree / "a.fits").unlink()
    done = own("sync", "--json", "--delete", *arguments)
    assert (done.status, summary(done)["sent"], summary(done)["deleted"]) == (0, 0, 1)


def test_sync(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    arguments = ("sync", tree, f"s3://{bucket}/p/", "--json")
    assert summary(own(*arguments))["sent"] == 5
    assert summary(own(*arguments))["skipped_because"] == {"as it was sent": 5}
    (tree / "b.log").write_bytes(b"TWO")
    (tree / "sub" / "c.fits").unlink()
    assert summary(own(*arguments))["sent"] == 1
    assert stored() == below("p/") | {"p/b.log": b"TWO"}
    would = own(*arguments, "--delete", "--dryrun")
    assert [event["key"] for event in would.events if event["event"] == "would_delete"] == ["p/sub/c.fits"]
    assert len(stored()) == 5
    assert summary(own(*arguments, "--delete"))["deleted"] == 1
    assert "p/sub/c.fits" not in stored()


def test_a_dry_run_sends_nothing(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    for word in ("put", "sync"):
        done = own(word, "--dry-run", tree, f"s3://{bucket}/p/")
        assert (done.status, done.err) == (0, ""), done
        lines = done.out.splitlines()
        assert len([line for line in lines if line.startswith("would send ")]) == 5
        assert lines[-1] == "5 of 5 would be sent, 0 would be skipped, 0 can't be: 15 B"
    assert stored() == {}


def test_an_empty_directory_empties_nothing(own: Cli, bucket: str, tree: Path, stored: Stored, tmp_path: Path) -> None:
    """It may be a mount point."""
    assert own("put", tree, f"s3://{bucket}/p/").status == 0
    empty = tmp_path / "mnt"
    empty.mkdir()
    own("sync", "--delete", empty, f"s3://{bucket}/p/").expect_error(2, "5 objects", "mounted", "--force")
    assert stored() == below("p/")
    assert own("sync", "--delete", "--force", empty, f"s3://{bucket}/p/").status == 0
    assert stored() == {}


def test_a_directory_that_is_gone_empties_nothing(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    assert own("put", tree, f"s3://{bucket}/p/").status == 0
    shutil.rmtree(tree)
    own("sync", "--delete", "--force", tree, f"s3://{bucket}/p/").expect_error(3, "no such directory")
    own("sync", f"s3://{bucket}/p/", tree).expect_error(2, "comes last", "fetches nothing")
    assert stored() == below("p/")


def test_no_more_is_deleted_than_is_allowed(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    assert own("put", tree, f"s3://{bucket}/p/").status == 0
    shutil.rmtree(tree / "sub")
    arguments = ("sync", "--delete", tree, f"s3://{bucket}/p/", "--max-delete")
    own(*arguments, "1").expect_error(2, "2 objects", "--max-delete is 1")
    assert len(stored()) == 5
    assert own(*arguments, "2").status == 0
    assert len(stored()) == 3


def test_nothing_is_deleted_after_a_failure(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    assert own("put", tree, f"s3://{bucket}/p/").status == 0
    (tree / "a.fits").unlink()
    (tree / os.fsdecode(b"bad\xff")).write_bytes(b"")
    done = own("sync", "--delete", tree, f"s3://{bucket}/p/")
    assert done.status == 3
    assert "nothing is deleted, because 1 files failed" in done.err
    assert stored() == below("p/")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["put", "--follow", "--links", "record"], ["contradict"]),
        (["put", "--fail-fast", "--max-errors", "3"], ["contradict"]),
        (["put", "-0"], ["--from-file"]),
        (["sync", "--size-only", "--checksum"], ["contradict"]),
        (["sync", "--force"], ["--delete"]),
        (["sync", "--max-delete", "1"], ["--delete"]),
        (["put", "--exclude-from", "/nowhere"], ["/nowhere"]),
        (["put", "--retry-failed", "/nowhere"], ["/nowhere"]),
        (["put", "--hash-prefix", "9"], ["9"]),
        (["put", "--manifest", "md5sum"], ["--manifest"]),
    ],
)
def test_what_makes_no_sense(own: Cli, tree: Path, arguments: list[str], words: list[str]) -> None:
    own(*arguments, tree, "s3://some-bucket/p/").expect_error(2, *words)


def test_errors_end_it(own: Cli, bucket: str, tmp_path: Path) -> None:
    root = tmp_path / "many"
    root.mkdir()
    for i in range(20):
        (root / os.fsdecode(b"bad\xff%02d" % i)).write_bytes(b"")
    done = own("put", "--json", "--fail-fast", root, f"s3://{bucket}/p/")
    assert (done.status, summary(done)["failed"]) == (3, 1)
    done = own("put", "--json", "--max-errors", "5", root, f"s3://{bucket}/p/")
    assert (done.status, summary(done)["failed"]) == (3, 5)


def test_large_and_small_together(own: Cli, bucket: str, tree: Path, stored: Stored) -> None:
    large = content(17 * MIB)
    (tree / "large").write_bytes(large)
    assert own("put", "--part-size", "5MiB", tree, f"s3://{bucket}/p/").status == 0
    assert stored() == below("p/") | {"p/large": large}


def test_no_such_bucket(own: Cli, tree: Path) -> None:
    done = own("put", tree, "s3://no-such-bucket-here/p/")
    assert done.status == 6
    assert "no-such-bucket-here" in done.err
