"""Stores that refuse, or aren't there: one clear line, and an exit status that says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Nothing
from tests.support.cli import Cli, environment
from tests.support.tcp import closed_port, serve_answer

both_sizes = pytest.mark.parametrize("size", ["small", "large"])


@pytest.fixture
def path(request: pytest.FixtureRequest, size: str) -> Path:
    found: Path = request.getfixturevalue(size)
    return found


@both_sizes
def test_no_such_bucket(cli: Cli, path: Path) -> None:
    cli("put", path, "s3://no-such-bucket-here/key").expect_error(6, "no-such-bucket-here", "no bucket")


def test_no_such_bucket_for_standard_input(cli: Cli) -> None:
    cli("put", "-", "s3://no-such-bucket-here/key", input=b"x").expect_error(6, "no bucket")


def test_no_such_bucket_with_a_key_of_two_lines(cli: Cli, small: Path) -> None:
    # Was a bug: a key may hold a newline, and the message then had two lines.
    cli("put", small, "s3://no-such-bucket-here/two\nlines").expect_error(6, "no bucket")


@both_sizes
@pytest.mark.parametrize(
    ("name", "word"), [("AWS_SECRET_ACCESS_KEY", "secret key"), ("AWS_ACCESS_KEY_ID", "access key")]
)
def test_wrong_credentials(cli: Cli, bucket: str, path: Path, nothing_left: Nothing, name: str, word: str) -> None:
    cli("put", path, f"s3://{bucket}/key", env={name: "wrong"}).expect_error(5, word)
    nothing_left.check()


@both_sizes
def test_no_credentials(cli: Cli, bucket: str, path: Path, nothing_left: Nothing) -> None:
    env = {name: value for name, value in cli.env.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    Cli(env)("put", path, f"s3://{bucket}/key").expect_error(5, "no credentials", "AWS_ACCESS_KEY_ID")
    nothing_left.check()


def test_half_of_the_credentials(cli: Cli, bucket: str, small: Path, nothing_left: Nothing) -> None:
    # Was a bug: exit status 2, as of a wrong option.
    env = {name: value for name, value in cli.env.items() if name != "AWS_SECRET_ACCESS_KEY"}
    Cli(env)("put", small, f"s3://{bucket}/key").expect_error(5, "AWS_SECRET_ACCESS_KEY")
    nothing_left.check()


@both_sizes
def test_nobody_listens(cli: Cli, path: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    done = cli("put", "--no-progress", path, "s3://bucket/key", "--endpoint-url", url)
    done.expect_error(9, url, "refused")


@both_sizes
def test_a_host_that_has_no_address(cli: Cli, path: Path) -> None:
    url = "http://fastput-test.invalid:9000"
    done = cli("put", "--no-progress", path, "s3://bucket/key", "--endpoint-url", url)
    done.expect_error(9, url)


def error_document(code: str, more: str = "") -> str:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>It says so.</Message>{more}</Error>"


KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


# No server that runs here checks these: the answers are Amazon S3's, from its documentation.
# Was a bug: RequestTimeTooSkewed for a small file ended as 9, "no answer": the runtime has an error
# of its own for it and hands no status on.
@both_sizes
@pytest.mark.parametrize(
    ("http_status", "code", "more", "status", "words"),
    [
        (400, "ExpiredToken", "", 5, ["expired"]),
        (403, "RequestTimeTooSkewed", "", 5, ["clock"]),
        (403, "AccessDenied", "", 6, ["access denied", "It says so."]),
        (400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>", 6, ["--region eu-west-1"]),
        (400, "EntityTooLarge", "", 2, ["It says so."]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_answers_of_amazon_s3(
    path: Path, http_status: int, code: str, more: str, status: int, words: list[str]
) -> None:
    document = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>It says so.</Message>{more}</Error>"
    with serve_answer(http_status, document) as server:
        cli = Cli(environment(**KEYS, AWS_ENDPOINT_URL=server.url))
        cli("put", "--no-progress", path, "s3://bucket/key").expect_error(status, *words)


@both_sizes
@pytest.mark.parametrize(
    ("http_status", "headers"), [(403, ""), (404, ""), (301, "location: https://127.0.0.1:1/bucket/key\r\n")]
)
def test_answers_of_something_else(path: Path, http_status: int, headers: str) -> None:
    """Was a bug: a proxy that redirects to https (301) ended a large file with botocore's
    RecursionError, exit status 1."""
    with serve_answer(http_status, "<html>no store here</html>", headers) as server:
        cli = Cli(environment(**KEYS, AWS_ENDPOINT_URL=server.url))
        cli("put", "--no-progress", path, "s3://bucket/key").expect_error(6, f"HTTP {http_status}")


def test_a_success_that_is_none(large: Path) -> None:
    """Was a bug: "fastput failed inside: KeyError: 'UploadId'", exit status 1."""
    with serve_answer(200, "<html>Welcome to the router!</html>") as server:
        cli = Cli(environment(**KEYS, AWS_ENDPOINT_URL=server.url))
        cli("put", "--no-progress", large, "s3://bucket/key").expect_error(6)
