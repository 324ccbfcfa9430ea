"""However the process ends: what was noted is there, and nothing else."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from fastput.state import Journal
from tests.state.samples import WAIT_S, child, database, entry, line, open_journal, parts

FRAME_BYTES = 24 + 4096  # of SQLite's write-ahead log, which begins with 32 bytes

NOTE_AND_TELL = """
journal = open_journal(Path(sys.argv[1]))
journal.begin(entry())
for number in range(1, 10_001):
    journal.note([part(number)])
    print(number, flush=True)
"""

FORK_AND_NOTE = """
journal = open_journal(Path(sys.argv[1]))
journal.begin(entry())
journal.note(parts([1, 2]))
if (pid := os.fork()) == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
journal.note(parts([3]))
print("noted", flush=True)
signal.pause()
"""

FORK_AND_DIE = """
journal = open_journal(Path(sys.argv[1]))
if (pid := os.fork()) == 0:
    print("child", os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


def kill(process: object) -> None:
    process.send_signal(signal.SIGKILL)  # type: ignore[attr-defined]
    process.wait(WAIT_S)  # type: ignore[attr-defined]


@pytest.mark.parametrize("after", [1, 2, 17, 300, 1500])
def test_killed_while_it_notes(tmp_path: Path, after: int) -> None:
    """1,500 notes are more than the log holds before SQLite moves it into the database."""
    with child(NOTE_AND_TELL, tmp_path) as process:
        for _ in range(after):
            line(process)
        process.kill()
        assert process.stdout is not None
        told = after + len(process.stdout.read().split("\n")) - 1
    journal = open_journal(tmp_path)
    assert journal.finding is None
    assert journal.entry == entry()
    # The last one may have been committed, but not told.
    assert len(journal.parts) in (told, told + 1)
    assert journal.parts == parts(range(1, len(journal.parts) + 1))
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ends_leaves_it_alone(tmp_path: Path) -> None:
    """Closing the connection, as a child's end would, moves the log into the database and deletes it."""
    with child(FORK_AND_NOTE, tmp_path) as process:
        assert line(process) == "noted"
        process.kill()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts) == (entry(), parts([1, 2, 3]))
    journal.remove()


def test_a_child_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with child(FORK_AND_DIE, tmp_path) as process:
        assert line(process).startswith("child")
        process.kill()
        process.wait(WAIT_S)
        open_journal(tmp_path).remove()  # while the child lives: it ends with its standard input


def state_of(directory: Path) -> tuple[object, ...]:
    journal = open_journal(directory)
    state = (journal.entry, journal.parts, journal.completing_crc64nvme)
    assert journal.finding is None
    journal.remove()
    return state


class Torn:
    """A journal's files before and after its last transaction, which stands in the log."""

    def __init__(self, directory: Path, journal: Journal, last: object) -> None:
        self.directory = directory / "torn"
        self.directory.mkdir()
        path = database(directory)
        log = path.with_name(path.name + "-wal")
        self.path, self.log_path = self.directory / path.name, self.directory / log.name
        self.before = log.read_bytes()
        last()  # type: ignore[operator]
        self.database, self.log = path.read_bytes(), log.read_bytes()
        journal.close()
        shutil.copy(path, directory / "after")
        assert self.log.startswith(self.before)
        assert len(self.log) > len(self.before)

    def state(self, log: bytes) -> tuple[object, ...]:
        self.path.write_bytes(self.database)
        self.log_path.write_bytes(log)
        return state_of(self.directory)


@pytest.fixture
def torn_note(tmp_path: Path) -> Torn:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note(parts([1, 2]))
    return Torn(tmp_path, journal, lambda: journal.note(parts([3, 4, 5])))


def test_a_note_cut_at_every_byte(torn_note: Torn) -> None:
    old, new = (entry(), parts([1, 2]), None), (entry(), parts([1, 2, 3, 4, 5]), None)
    assert len(torn_note.log) - len(torn_note.before) == FRAME_BYTES
    for length_bytes in range(len(torn_note.before), len(torn_note.log)):
        assert torn_note.state(torn_note.log[:length_bytes]) == old, length_bytes
    assert torn_note.state(torn_note.log) == new


def test_a_note_with_a_sector_that_did_not_reach_the_disk(torn_note: Torn) -> None:
    old = (entry(), parts([1, 2]), None)
    for offset_bytes in range(len(torn_note.before), len(torn_note.log), 512):
        log = bytearray(torn_note.log)
        sector = log[offset_bytes : offset_bytes + 512]
        if any(sector):
            log[offset_bytes : offset_bytes + 512] = bytes(len(sector))
            assert torn_note.state(bytes(log)) == old, offset_bytes


def test_a_beginning_cut_short(tmp_path: Path) -> None:
    """Several pages: the new upload with the old one's parts would be the worst of mixtures."""
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note(parts(range(1, 120)))
    journal.completing(9)
    torn = Torn(tmp_path, journal, lambda: journal.begin(entry(upload_id="new")))
    old, new = (entry(), parts(range(1, 120)), 9), (entry(upload_id="new"), (), None)
    frames = (len(torn.log) - len(torn.before)) // FRAME_BYTES
    assert frames > 2
    cuts = {
        len(torn.before) + frame * FRAME_BYTES + offset for frame in range(frames) for offset in (-1, 0, 1, 24, 999)
    }
    for length_bytes in sorted(cuts - {len(torn.before) - 1}):
        assert torn.state(torn.log[:length_bytes]) == old, length_bytes
    assert torn.state(torn.log) == new
