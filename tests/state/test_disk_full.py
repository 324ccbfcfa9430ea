"""A disk without room: an error that says so, and what was noted before stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastput.errors import JournalError
from tests.state.samples import WAIT_S, child, entry, open_journal, parts

SMALL_BYTES = 128 << 10

# No file may grow above 64 KiB, as with a quota: works everywhere, but isn't quite a full disk.
LIMITED = """
import resource
from fastput.errors import JournalError
journal = open_journal(Path(sys.argv[1]))
journal.begin(entry())
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, before[1]))
noted = 0
try:
    while True:
        journal.note([part(noted + 1)])
        noted += 1
except JournalError as error:
    print(noted, str(error), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
journal.note([part(9000)])
journal.close()
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can't be mounted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(directory: Path) -> Path:
    path = directory / "filler"
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def test_a_limit(tmp_path: Path) -> None:
    with child(LIMITED, tmp_path) as process:
        out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    noted, _, message = out.strip().partition(" ")
    assert int(noted) > 3
    assert "--no-resume" in message
    journal = open_journal(tmp_path)
    assert (journal.finding, journal.entry) == (None, entry())
    assert journal.parts == parts([*range(1, int(noted) + 1), 9000])
    journal.remove()


def test_while_it_notes(small_disk: Path) -> None:
    journal = open_journal(small_disk)
    journal.begin(entry())
    noted = 0
    with pytest.raises(JournalError, match=r"full.*--journal DIR"):  # noqa: PT012
        while True:
            journal.note(parts([noted + 1]))
            noted += 1
    assert noted > 3
    with pytest.raises(JournalError):
        journal.completing(1)
    journal.close()
    # Still full: it can be read all the same.
    journal = open_journal(small_disk)
    assert (journal.finding, journal.parts) == (None, parts(range(1, noted + 1)))
    journal.remove()
    assert list(small_disk.iterdir()) == []


def test_room_again(small_disk: Path) -> None:
    journal = open_journal(small_disk)
    journal.begin(entry())
    journal.note(parts([1]))
    filler = fill(small_disk)
    with pytest.raises(JournalError):  # noqa: PT012
        for number in range(2, 10_000):
            journal.note(parts([number]))
    filler.unlink()
    journal.note(parts([9000]))
    journal.close()
    journal = open_journal(small_disk)
    assert {1, 9000} <= {part.number for part in journal.parts}
    journal.remove()


def test_from_the_start(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(JournalError, match="--no-resume"):  # noqa: PT012
        journal = open_journal(small_disk)
        journal.begin(entry())
    assert os.listdir(small_disk) == ["filler"]
