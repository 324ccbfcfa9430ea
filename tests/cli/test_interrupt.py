"""Ctrl-C and SIGTERM: the command ends soon, says so, and leaves nothing on the store."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Nothing
from tests.support.cli import Cli, environment
from tests.support.content import MIB, content
from tests.support.tcp import serve_silence

ENDS_WITHIN_S = 20
both_signals = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def silent_cli(url: str) -> Cli:
    keys = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    return Cli(environment(**keys, AWS_ENDPOINT_URL=url, AWS_EC2_METADATA_DISABLED="true"))


def expect_interrupted(process: subprocess.Popen[str]) -> str:
    """Returns what it said."""
    try:
        _, err = process.communicate(timeout=ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        pytest.fail(f"still there {ENDS_WITHIN_S} s after the signal")
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert all(line.startswith("fastput: ") for line in err.splitlines())
    assert "interrupted" in err
    return err


@both_signals
def test_while_a_put_is_in_flight(small: Path, number: int) -> None:
    with serve_silence() as server:
        process = silent_cli(server.url).start("put", "--no-progress", small, "s3://bucket/key")
        server.wait()
        process.send_signal(number)
        expect_interrupted(process)


def test_another_thread_takes_the_signal(small: Path) -> None:
    """Was a bug: the main thread slept on. The kernel chooses the thread, and one that starts another is often it."""
    with serve_silence() as server:
        process = silent_cli(server.url).start("put", "--no-progress", small, "s3://bucket/key")
        server.wait()
        others = {int(name) for name in os.listdir(f"/proc/{process.pid}/task")} - {process.pid}
        assert ctypes.CDLL(None).tgkill(process.pid, min(others), signal.SIGINT) == 0
        expect_interrupted(process)


def test_while_an_upload_is_being_created(large: Path) -> None:
    """Was a bug: Create sits in botocore, which waits 300 s for an answer, four times."""
    with serve_silence() as server:
        process = silent_cli(server.url).start("put", "--no-progress", large, "s3://bucket/key")
        server.wait()
        process.send_signal(signal.SIGINT)
        expect_interrupted(process)


def test_the_second_ends_it_at_once(large: Path) -> None:
    with serve_silence() as server:
        process = silent_cli(server.url).start("put", "--no-progress", large, "s3://bucket/key")
        server.wait()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=ENDS_WITHIN_S)
    assert process.returncode == 130


@both_signals
def test_in_mid_upload_to_a_real_store(cli: Cli, bucket: str, nothing_left: Nothing, number: int) -> None:
    """Standard input that goes quiet when parts have been sent: the upload is under way, and stays so."""
    reading, writing = os.pipe()
    process = cli.start("put", "--no-progress", "--part-size", "5MiB", "-", f"s3://{bucket}/key", stdin=reading)
    os.close(reading)
    try:
        with open(writing, "wb", buffering=0, closefd=False) as pipe:
            # The pipe holds 64 KiB: when all is written, the command has read the first part and more.
            for offset_bytes in range(0, 11 * MIB, MIB):
                pipe.write(content(11 * MIB)[offset_bytes : offset_bytes + MIB])
        process.send_signal(number)
        err = expect_interrupted(process)
    finally:
        os.close(writing)
    assert "left on the store" not in err
    nothing_left.check()


def test_a_pipe_that_says_nothing(cli: Cli, bucket: str, nothing_left: Nothing) -> None:
    reading, writing = os.pipe()
    process = cli.start("put", "--json", "--verbose", "-", f"s3://{bucket}/key", stdin=reading)
    os.close(reading)
    # Only a full pipe tells that nobody reads, only a drained one that somebody does.
    written_bytes = os.write(writing, bytes(64 << 10))
    written_bytes += os.write(writing, bytes(64 << 10))
    process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=ENDS_WITHIN_S)
    finally:
        os.close(writing)
    assert process.returncode == 130
    assert '"failed": 1' in out.splitlines()[-1]
    nothing_left.check()
