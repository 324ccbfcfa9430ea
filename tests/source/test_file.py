"""Files: what is refused, and every way in which one can change under an upload."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from fastput.errors import SourceChanged, SourceNotFound, SourceReadError, SourceUnreadable
from fastput.model import Part
from fastput.source import FileSource
from tests.support.content import content

DATA = content(100_000)
WHOLE = Part(1, 0, len(DATA))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_what_it_knows(path: Path) -> None:
    source = FileSource(path)
    status = path.stat()
    stat = source.stat()
    assert (stat.device, stat.inode, stat.size_bytes, stat.mtime_ns) == (
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    )  # fmt: skip
    assert (source.name, source.size_bytes) == (str(path), len(DATA))
    body = source.body(Part(2, 100, 5000), None)
    assert body.read() == DATA[100:5100]
    assert source.failure_of(body) is None
    source.check_unchanged()
    source.close()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file"):
        FileSource(tmp_path / "missing")
    with pytest.raises(SourceUnreadable):
        FileSource("nul\0byte")


def test_a_file_for_a_directory(path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="can't be opened"):
        FileSource(path / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; tests/cli takes that right away")
def test_no_permission(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(SourceUnreadable, match="no permission"):
        FileSource(path)


def test_special_files_are_refused_and_closed(tmp_path: Path) -> None:
    fifo, listening = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        before = descriptors()
        for path, kind in ((tmp_path, "a directory"), (fifo, "a pipe"), (Path("/dev/null"), "a character device")):
            with pytest.raises(SourceUnreadable, match=f"not a regular file but {kind}"):
                FileSource(path)
        with pytest.raises(SourceUnreadable):
            FileSource(listening)
        assert descriptors() == before


def test_links_are_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    source = FileSource(tmp_path / "link")
    assert source.size_bytes == len(DATA)
    source.check_unchanged()
    source.close()
    with pytest.raises(SourceUnreadable, match="can't be opened"):
        FileSource(tmp_path / "loop")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(DATA)
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], None]] = {
    "it had 100,000 bytes and has 100,004": grow,
    "it had 100,000 bytes and has 5": lambda path: os.truncate(path, 5),
    "it was written to": touch,
    "another file stands in its place": replace,
    "it was removed": Path.unlink,
}


@pytest.mark.parametrize("said", CHANGES)
def test_changes_are_seen_at_the_end(path: Path, said: str) -> None:
    source = FileSource(path)
    CHANGES[said](path)
    with pytest.raises(SourceChanged, match=said) as caught:
        source.check_unchanged()
    assert str(path) in str(caught.value)
    source.close()


@pytest.mark.parametrize("said", list(CHANGES)[:3])
def test_changes_are_seen_while_a_part_is_read(path: Path, said: str) -> None:
    source = FileSource(path)
    body = source.body(WHOLE, None)
    CHANGES[said](path)
    wire = body.read()
    assert len(wire) < len(DATA)
    assert isinstance(source.failure_of(body), SourceChanged)
    source.close()


def test_reading_does_not_count_as_a_change(path: Path) -> None:
    source = FileSource(path)
    path.read_bytes()
    path.chmod(0o600)
    source.check_unchanged()
    source.close()


def test_a_disk_that_fails(path: Path, tmp_path: Path) -> None:
    """A descriptor that another one was put in the place of: reading it fails for real."""
    source = FileSource(path)
    body = source.body(WHOLE, "crc64nvme")
    directory = os.open(tmp_path, os.O_RDONLY)
    os.dup2(directory, body.fd)  # type: ignore[attr-defined]
    os.close(directory)
    body.read()
    failure = source.failure_of(body)
    assert isinstance(failure, SourceReadError)
    assert "Is a directory" in str(failure)
    assert failure.exit_status == 3
    source.close()


def test_closing_closes(path: Path) -> None:
    before = descriptors()
    source = FileSource(path)
    source.will_send(WHOLE)
    source.was_sent(WHOLE)
    assert descriptors() == before + 1
    source.close()
    assert descriptors() == before
