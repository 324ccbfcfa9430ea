"""Each case of bench/faults: the right object or the right error, in time, and nothing left behind."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import fastput
from bench import fault_cases
from bench.fault_cases import OBJECT, PART_BYTES, SIZES_BYTES, Case, Expected, Scene
from bench.fault_runs import closing, profile_name, unrest, write_profiles
from bench.leaks import Held
from bench.servers.scripted import Scripted
from fastput.errors import FastputError
from tests.faults.conftest import KEY
from tests.support.cli import Cli, Ended, environment
from tests.support.content import content

CASES = fault_cases.load()
RESUMED_WITHIN_S = 60.0
# Standing for their kind; all of them would take minutes, and say nothing new about the command line.
CLI_CASES = {
    *("reset_in_mid_body", "nothing_answered", "internal_error_always", "slow_down_storm"),
    *("access_denied_in_mid_transfer", "expired_token_renewed", "expired_token_always", "bit_flips_always"),
    *("no_such_upload", "missing_etag_always", "complete_fails_in_200_no_clobber", "put_answer_lost_no_clobber"),
    *("complete_answer_lost", "endpoint_gone", "wrong_region", "skewed_always", "create_never_answered"),
    *("complete_never_answered", "abort_never_answered"),
}


def _matrix(cases: list[Case]) -> list[Any]:
    return [pytest.param(case, size, id=f"{case.name}-{size}") for case in cases for size in case.expected]


@contextlib.contextmanager
def _scene(
    case: Case, server: Scripted, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Scene]:
    """The faults in force, and the environment that goes with them."""
    if case.has_renewed_credentials:
        write_profiles(tmp_path, [1])
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", profile_name(1))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with fault_cases.scene([case], server, bucket, None) as scene:
        yield scene


def _file(directory: Path, size: str) -> tuple[Path, str]:
    data = content(SIZES_BYTES[size])
    path = directory / "source.bin"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def _outcome(future: Future[fastput.Receipt], expected: Expected) -> FastputError | None:
    """How it ended, in time."""
    started_at = time.monotonic()
    try:
        error = future.exception(timeout=expected.within_s)
    except TimeoutError:
        pytest.fail(f"not ended after {expected.within_s} s")
    name = OBJECT if error is None else type(error).__name__
    assert name in expected.outcomes, f"{name} after {time.monotonic() - started_at:.1f} s: {error!r}"
    assert error is None or isinstance(error, FastputError)
    for word in expected.words:
        assert word in str(error)
    return error


def _expect_nothing_left(server: Scripted, bucket: str, expected: Expected, error: FastputError | None) -> None:
    """No upload on the server but those that the error names."""
    left = [upload.upload_id for upload in server.uploads(bucket)]
    unnamed = [upload_id for upload_id in left if error is None or upload_id not in (error.upload_id, str(error))]
    assert len(unnamed) <= expected.orphans, f"left and not named by {error!r}: {unnamed}"
    if left and error is not None and not expected.orphans:
        assert error.upload_id in left


@pytest.mark.parametrize(("case", "size"), _matrix(CASES))
def test_a_file(
    case: Case, size: str, server: Scripted, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected, before = case.expected[size], Held()
    path, sha256 = _file(tmp_path, size)
    uri, options = f"s3://{bucket}/{KEY}", {"part_size": PART_BYTES, "state_dir": tmp_path / "state", **case.client}
    with _scene(case, server, bucket, monkeypatch, tmp_path) as scene:
        client = fastput.Client(endpoint_url=scene.url, **options)
        try:
            error = _outcome(client.submit(path, uri, **case.put), expected)
            assert not unrest(client)
        finally:
            assert not closing(client)
        del client
        _judge(case, error, expected, server, bucket, sha256)
        if case.network is None:
            assert not before.wait_until_released()
        if error is not None and error.upload_id is not None:
            scene.heal()
            _expect_resumed(server, bucket, path, sha256, error, {"endpoint_url": scene.url, **options})
    assert not before.wait_until_released()


def _judge(
    case: Case, error: FastputError | None, expected: Expected, server: Scripted, bucket: str, sha256: str
) -> None:
    stored = server.object(bucket, KEY)
    if stored is not None:
        assert stored.sha256 == sha256
    if error is None:
        assert stored is not None
    elif not expected.may_exist:
        assert stored is None, f"the object is there, and the error says: {error}"
    _expect_nothing_left(server, bucket, expected, error)
    if not case.is_silent:
        assert any(seen.fault for seen in server.requests(bucket)), "the fault didn't happen"


def _expect_resumed(
    server: Scripted, bucket: str, path: Path, sha256: str, error: FastputError, options: dict[str, Any]
) -> None:
    """What was kept is of use: the same again, without the fault, ends well and leaves nothing."""
    with fastput.Client(**options) as client:
        receipt = client.submit(path, f"s3://{bucket}/{KEY}").result(RESUMED_WITHIN_S)
    stored = server.object(bucket, KEY)
    assert stored is not None
    assert stored.sha256 == sha256
    left = [upload.upload_id for upload in server.uploads(bucket)]
    if error.hint is not None:
        assert receipt.resumed_bytes > 0
        assert left == []
    else:  # not worth a journal, and Abort failed: only the error tells of it
        assert left in ([], [error.upload_id])


ABORTED = [("stream", case) for case in CASES if "large" in case.expected and not case.is_hopeful]
# Buffers end as streams do.
ABORTED += [("buffer", case) for _, case in ABORTED if case.name in ("bit_flips_always", "complete_never_answered")]


@pytest.mark.parametrize(
    ("kind", "case"), [pytest.param(kind, case, id=f"{case.name}-{kind}") for kind, case in ABORTED]
)
def test_what_can_not_be_resumed_is_aborted(
    kind: str, case: Case, server: Scripted, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Buffers and streams have no name that a later run could find them by."""
    expected, before, data = case.expected["large"], Held(), content(SIZES_BYTES["large"])
    with _scene(case, server, bucket, monkeypatch, tmp_path) as scene:
        client = fastput.Client(
            endpoint_url=scene.url, part_size=PART_BYTES, state_dir=tmp_path / "state", **case.client
        )
        try:
            source = io.BytesIO(data) if kind == "stream" else data
            error = _outcome(client.submit(source, f"s3://{bucket}/{KEY}", **case.put), expected)
            assert not unrest(client)
        finally:
            assert not closing(client)
    del client
    _expect_nothing_left(server, bucket, expected, error)
    assert not before.wait_until_released()


def test_a_closed_client_holds_nothing(server: Scripted, bucket: str, tmp_path: Path) -> None:
    """Whoever still has a name for it."""
    before = Held()
    client = fastput.Client(endpoint_url=server.endpoint_url, state_dir=tmp_path / "state")
    client.put(content(100_000), f"s3://{bucket}/{KEY}")
    assert not closing(client)
    assert not before.wait_until_released()


@pytest.mark.parametrize(("case", "size"), _matrix([case for case in CASES if case.name in CLI_CASES]))
def test_the_command_line(
    case: Case, size: str, server: Scripted, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = case.expected[size]
    path, sha256 = _file(tmp_path, size)
    with _scene(case, server, bucket, monkeypatch, tmp_path) as scene:
        arguments = ["--no-progress", "--part-size", "5MiB", "--endpoint-url", scene.url]
        arguments += ["--journal", tmp_path / "state"]
        if "stall_timeout" in case.client:
            arguments += ["--stall-timeout", case.client["stall_timeout"]]
        if case.put.get("no_clobber"):
            arguments.append("--no-clobber")
        if "checksum" in case.put:
            arguments += ["--checksum", case.put["checksum"]]
        env = server.env()
        if case.has_renewed_credentials:
            env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": profile_name(1)}
        done = Cli(environment(**env))("put", path, f"s3://{bucket}/{KEY}", *arguments)
    if done.status == 0:
        assert OBJECT in expected.outcomes, done
        stored = server.object(bucket, KEY)
        assert stored is not None
        assert stored.sha256 == sha256
        assert done.err == ""
    else:
        classes = [getattr(fastput.errors, name) for name in expected.outcomes - {OBJECT}]
        assert done.status in [error.exit_status for error in classes], done
        # Beside the error: what is waited for, and how to go on.
        lines = done.err.splitlines()
        errors = [line for line in lines if not line.startswith(("fastput: nothing has moved", "fastput: to go on: "))]
        Ended(done.status, done.out, "".join(f"{line}\n" for line in errors)).expect_error(done.status, *expected.words)
