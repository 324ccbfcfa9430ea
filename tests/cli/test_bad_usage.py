"""What is asked for wrongly is refused before anything is sent, with exit status 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Nothing
from tests.support.cli import Cli


@pytest.mark.parametrize(
    "uri", ["", "bucket/key", "http://bucket/key", "s3:/bucket/key", "s3://", "s3:///key", "s3://b/key", "s3://a b c/k"]
)
def test_malformed_uri(cli: Cli, small: Path, uri: str) -> None:
    cli("put", small, uri).expect_error(2, "s3://bucket/key")


def test_a_bucket_name_that_no_store_takes(cli: Cli, small: Path) -> None:
    # Was a bug: botocore's message has two lines.
    cli("put", "--no-progress", small, "s3://Buck_et!/key").expect_error(2, "Buck_et!")


@pytest.mark.parametrize("key", ["k" * 1025, "é" * 513])
def test_a_key_above_1024_bytes(cli: Cli, bucket: str, small: Path, nothing_left: Nothing, key: str) -> None:
    cli("put", small, f"s3://{bucket}/{key}").expect_error(2, "1,02", "bytes")
    nothing_left.check()


def test_a_key_that_is_not_utf8(cli: Cli, bucket: str, small: Path, nothing_left: Nothing) -> None:
    cli("put", small, f"s3://{bucket}/\udcff").expect_error(2, "UTF-8")
    named = small.rename(small.parent / "\udcff.bin")
    cli("put", named, f"s3://{bucket}/").expect_error(2, "UTF-8")
    nothing_left.check()


def test_several_sources_need_a_prefix_and_keys_of_their_own(
    cli: Cli, bucket: str, small: Path, large: Path, tmp_path: Path, nothing_left: Nothing
) -> None:
    cli("put", small, large, f"s3://{bucket}/key").expect_error(2, "2 files need a prefix")
    cli("put", small, "-", f"s3://{bucket}/prefix/").expect_error(2, "standard input")
    cli("put", "-", f"s3://{bucket}/prefix/").expect_error(2, "no name")
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / small.name
    twin.write_bytes(b"")
    cli("put", small, twin, f"s3://{bucket}/prefix/").expect_error(2, str(small), str(twin), "both")
    cli("put", small, small, f"s3://{bucket}/").expect_error(2, "both")
    nothing_left.check()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--part-size", "eight"),
        ("--part-size", "-1"),
        ("--memory", "5 parsecs"),
        ("--concurrency", "0"),
        ("--concurrency", "many"),
        ("--limit-rate", "fast"),
        ("--limit-rate", "400M"),
        ("--limit-rate", "100kbps"),
        ("--limit-rate", "08:00-18:00"),
        ("--checksum", "sha0"),
        ("--metadata", "novalue"),
        ("--tag", "=value"),
        ("--nonsense", "1"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, small: Path, option: str, value: str) -> None:
    done = cli("put", option, value, small, "s3://bucket/key")
    assert done.status == 2
    assert done.out == ""
    assert "Traceback" not in done.err
    assert option in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--part-size", "1MiB"], ["outside the store's"]),
        (["--part-size", "6GiB"], ["outside the store's"]),
        (["--memory", "1KiB"], ["memory"]),
        (["--memory", "4MiB"], ["memory"]),
        (["--metadata", "a b=c"], ["a b", "header"]),
        (["--metadata", "é=c"], ["header"]),
        (["--metadata", f"a={'v' * 2048}"], ["2,049", "2,048"]),
        ([f"--tag=k{number}=v" for number in range(11)], ["11 tags"]),
        (["--receipt", "/nowhere/receipts"], ["/nowhere/receipts"]),
        (["--profile", "nobody"], ["nobody"]),
        (["--ca-bundle", "/nowhere/ca.pem"], ["/nowhere/ca.pem"]),
        (["--endpoint-url", "not a url"], ["not a url"]),
        (["--endpoint-url", "http://127.0.0.1:99999"], ["99999"]),
    ],
)
def test_options_that_can_not_work(
    cli: Cli, bucket: str, large: Path, nothing_left: Nothing, options: list[str], words: list[str]
) -> None:
    cli("put", "--no-progress", *options, large, f"s3://{bucket}/key").expect_error(2, *words)
    nothing_left.check()


# Were bugs. Each ended in a traceback, in "fastput failed inside", or in exit status 9 with
# "no answer from the endpoint", though the store was never asked.
@pytest.mark.parametrize(
    "options",
    [
        ["--part-size", "9" * 400],
        ["--metadata", "a=\udcff"],
        ["--metadata", "a@b=c"],
        ["--tag", "a=\udcff"],
        ["--content-type", "a\nb: c"],
        ["--storage-class", "a\nb: c"],
    ],
    ids=["size-overflows", "metadata-not-utf8", "metadata-name-no-token", "tag-not-utf8", "type-lines", "class-lines"],
)
@pytest.mark.parametrize("size", ["small", "large"])
def test_options_that_no_request_can_carry(
    cli: Cli, bucket: str, request: pytest.FixtureRequest, nothing_left: Nothing, options: list[str], size: str
) -> None:
    path: Path = request.getfixturevalue(size)
    done = cli("put", "--no-progress", *options, path, f"s3://{bucket}/key")
    assert done.status == 2, done
    assert "Traceback" not in done.err
    assert "failed inside" not in done.err
    nothing_left.check()


def test_a_ca_bundle_that_is_none(cli: Cli, small: Path, tmp_path: Path) -> None:
    # Was a bug: the runtime's RuntimeError, as "fastput failed inside", exit status 1.
    bundle = tmp_path / "ca.pem"
    bundle.write_text("not a certificate")
    endpoint = ("--endpoint-url", "https://127.0.0.1:1")
    cli("put", "--no-progress", *endpoint, "--ca-bundle", bundle, small, "s3://bucket/key").expect_error(2, str(bundle))


def test_no_arguments_and_help(cli: Cli) -> None:
    assert cli("put", "only-one").status == 2
    assert cli("nonsense").status == 2
    for arguments in (["--help"], ["put", "--help"]):
        done = cli(*arguments)
        assert (done.status, done.err) == (0, "")
    assert "xit status" in cli("--help").out
    for option in ("--endpoint-url", "--no-clobber", "--dry-run", "--receipt", "--ca-bundle", "--limit-rate"):
        assert option in cli("put", "--help").out


def test_help_of_put_mentions_exit_statuses(cli: Cli) -> None:
    # Was a bug: only `fastput --help` does, and `fastput put --help` is what people call.
    assert "xit status" in cli("put", "--help").out
