"""One process on one journal, and no lock that outlives its owner."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from fastput.errors import JournalBusy
from fastput.state.lock import Lock
from tests.state.samples import SOURCE, URI, WAIT_S, child, entry, line, open_journal, parts

HOLD = """
journal = open_journal(Path(sys.argv[1]))
journal.begin(entry())
journal.note(parts([1, 2, 3]))
print("held", flush=True)
sys.stdin.read()
"""

# Takes the lock as often as it can, and is alone each time.
CONTEND = """
from fastput.errors import JournalBusy
from fastput.state.lock import Lock
inside, taken = sys.argv[1] + "/inside", 0
sys.stdin.readline()
while taken < 400:
    try:
        lock = Lock(Path(sys.argv[1], "x.lock"), "s3://bucket/key", "/source")
    except JournalBusy:
        continue
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
    os.unlink(inside)
    lock.release()
    taken += 1
print("done", flush=True)
"""

AT_ONCE_S = 2.0


def test_two_processes(tmp_path: Path) -> None:
    with child(HOLD, tmp_path) as process:
        assert line(process) == "held"
        started_s = time.monotonic()
        with pytest.raises(JournalBusy) as caught:
            open_journal(tmp_path)
        assert time.monotonic() - started_s < AT_ONCE_S
        assert caught.value.exit_status == 12
        assert str(URI) in str(caught.value)
        assert f"process {process.pid} " in str(caught.value)
        process.kill()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts) == (entry(), parts([1, 2, 3]))
    journal.remove()


def test_one_process_twice(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    with pytest.raises(JournalBusy, match="this process"):
        open_journal(tmp_path)
    # The attempt has taken nothing from the owner: closing any descriptor of a file drops POSIX locks.
    with child("open_journal(Path(sys.argv[1]))", tmp_path, stderr=subprocess.PIPE) as process:
        _, err = process.communicate(timeout=WAIT_S)
    assert "JournalBusy" in err
    journal.note(parts([1]))
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.parts == parts([1])
    journal.remove()


def test_many_on_one_lock(tmp_path: Path) -> None:
    """Removing the lock's file while others wait for it: without care two of them get in, on two files."""
    processes = [child(CONTEND, tmp_path) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=WAIT_S)[0] for process in processes] == ["done\n"] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_under_its_owner(tmp_path: Path) -> None:
    """Its owner doesn't take the next one's away."""
    path = tmp_path / "x.lock"
    first = Lock(path, str(URI), SOURCE)
    path.unlink()
    second = Lock(path, str(URI), SOURCE)
    first.release()
    with pytest.raises(JournalBusy):
        Lock(path, str(URI), SOURCE)
    second.release()
    assert not path.exists()


@pytest.mark.parametrize(
    "note", [b"", b"\xff", b"[]", b'{"pid": "x"}', b'{"pid": 1, "host": 2, "uri": 3, "source": 4}']
)
def test_a_note_that_says_nothing(tmp_path: Path, note: bytes) -> None:
    lock = Lock(tmp_path / "x.lock", str(URI), SOURCE)
    (tmp_path / "x.lock").write_bytes(note)
    with pytest.raises(JournalBusy, match="another process"):
        Lock(tmp_path / "x.lock", str(URI), SOURCE)
    lock.release()


def test_an_owner_on_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = Lock(path, str(URI), SOURCE)
    path.write_text(path.read_text().replace(os.uname().nodename, "elsewhere"))
    with pytest.raises(JournalBusy, match=f"process {os.getpid()} on elsewhere"):
        Lock(path, str(URI), SOURCE)
    lock.release()
