"""Sources that can't be sent: one clear line, an exit status of their own, and nothing on the store."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Nothing
from tests.support.cli import Cli
from tests.support.content import MIB, content

TIB = 1 << 40


def test_missing_file(cli: Cli, bucket: str, tmp_path: Path, nothing_left: Nothing) -> None:
    path = tmp_path / "missing.bin"
    cli("put", path, f"s3://{bucket}/key").expect_error(3, str(path), "no such file")
    nothing_left.check()


@pytest.mark.parametrize("hides", ["file", "directory"])
def test_no_permission(cli: Cli, bucket: str, small: Path, tmp_path: Path, nothing_left: Nothing, hides: str) -> None:
    path = small
    if hides == "directory":
        (tmp_path / "locked").mkdir()
        path = small.rename(tmp_path / "locked" / "file")
        path.parent.chmod(0)
    else:
        path.chmod(0)
    prefix: list[str] = []
    if os.geteuid() == 0:
        # Root may read everything, by two capabilities: without them it's like everybody else.
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if not shutil.which("setpriv") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("root reads everything here")
    try:
        cli("put", path, f"s3://{bucket}/key", prefix=prefix).expect_error(3, str(path), "permission")
    finally:
        path.parent.chmod(0o700)
    nothing_left.check()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        yield path


def test_special_files(cli: Cli, bucket: str, tmp_path: Path, listening: Path, nothing_left: Nothing) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    cli("put", fifo, f"s3://{bucket}/key").expect_error(3, str(fifo), "pipe", "-")
    cli("put", "/dev/zero", f"s3://{bucket}/key").expect_error(3, "/dev/zero", "character device")
    cli("put", listening, f"s3://{bucket}/key").expect_error(3, str(listening))
    nothing_left.check()


def test_a_name_that_would_break_the_line(cli: Cli, bucket: str, tmp_path: Path) -> None:
    cli("put", tmp_path / "two\nlines", f"s3://{bucket}/key").expect_error(3, "two\\nlines")


@pytest.fixture
def huge(tmp_path: Path) -> Iterator[Path]:
    """49 TiB of nothing: ext4 stops at 16, tmpfs and XFS don't."""
    for directory in (tmp_path, Path("/dev/shm")):
        path = directory / f"fastput-test-huge-{os.getpid()}"
        try:
            with path.open("wb") as file:
                file.truncate(49 * TIB)
        except OSError:
            path.unlink(missing_ok=True)
            continue
        try:
            yield path
        finally:
            path.unlink()
        return
    pytest.skip("no file system here takes a file of 49 TiB")


def test_a_file_above_the_limits(cli: Cli, bucket: str, huge: Path, nothing_left: Nothing) -> None:
    cli("put", huge, f"s3://{bucket}/key").expect_error(2, "49.0 TiB", "limit")
    cli("put", "--dry-run", huge, f"s3://{bucket}/key").expect_error(2, "49.0 TiB", "limit")
    with huge.open("r+b") as file:
        file.truncate(48 * TIB)
    done = cli("put", "--dry-run", huge, f"s3://{bucket}/key")
    assert (done.status, done.err) == (0, ""), "48 TiB can be planned"
    nothing_left.check()


def test_standard_input_that_can_not_be_read(cli: Cli, bucket: str, small: Path, nothing_left: Nothing) -> None:
    descriptor = os.open(small, os.O_WRONLY)
    try:
        cli("put", "-", f"s3://{bucket}/key", stdin=descriptor).expect_error(3, os.strerror(errno.EBADF))
    finally:
        os.close(descriptor)
    nothing_left.check()


def test_standard_input_that_is_closed(cli: Cli, bucket: str, nothing_left: Nothing) -> None:
    # Was a bug: sys.stdin is None, and _check_sources' sys.stdin.buffer a traceback.
    done = cli("put", "-", f"s3://{bucket}/key", preexec_fn=lambda: os.close(0))
    done.expect_error(3 if "SourceError" in done.err else done.status, "standard input")
    assert done.status in (2, 3)
    nothing_left.check()


def test_standard_input_that_breaks(cli: Cli, bucket: str, nothing_left: Nothing) -> None:
    """A connection as standard input, reset by its other end when parts have been sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as ours:
            theirs, _ = listener.accept()
            process = cli.start("put", "--no-progress", "--part-size", "5MiB", "-", f"s3://{bucket}/key", stdin=theirs)
            theirs.close()
            ours.sendall(content(12 * MIB))
            # Closing sends a reset: what wasn't read is thrown away, and reading fails.
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.startswith("fastput: ")
    assert err.count("\n") == 1
    assert "reset" in err
    nothing_left.check()
