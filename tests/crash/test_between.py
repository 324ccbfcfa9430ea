"""What may have happened between the kill and the same command: another file, another process, a damaged journal."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import ENDS_WITHIN_S, KEY, PART_BYTES, Case
from tests.crash.proxy import POLL_S, Moment
from tests.crash.test_kill import kill_at
from tests.support.content import content

SIZE_BYTES = 15 * PART_BYTES + 1_234_567


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smaller than the one that is killed at any moment."""
    path = tmp_path_factory.mktemp("between") / "large.bin"
    path.write_bytes(content(SIZE_BYTES))
    return path


def at_part(number: int) -> Callable[[Moment], bool]:
    return lambda moment: moment.is_answer("UploadPart", number)


@pytest.fixture
def own(case: Case, tmp_path: Path) -> Case:
    """With a copy of the file, to be changed."""
    case.source = Path(shutil.copy2(case.source, tmp_path / "own.bin"))
    return case


def another_file(path: Path) -> None:
    path.with_name("new").write_bytes(content(SIZE_BYTES, seed=2))
    path.with_name("new").replace(path)


def written_over(path: Path) -> None:
    path.write_bytes(content(SIZE_BYTES, seed=2))


def one_byte(path: Path) -> None:
    """In a part that was sent."""
    with open(path, "r+b") as file:
        file.seek(3 * PART_BYTES + 17)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("keeps_mtime", [False, True], ids=["", "mtime-set-back"])
@pytest.mark.parametrize("change", [another_file, written_over, one_byte], ids=lambda change: change.__name__)
def test_another_file_of_the_same_size(own: Case, change: Callable[[Path], None], keeps_mtime: bool) -> None:
    kill_at(own, at_part(14))  # more than are read again as a sample
    before = own.source.stat()
    change(own.source)
    if keeps_mtime:
        os.utime(own.source, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert own.source.stat().st_mtime_ns == before.st_mtime_ns
    assert own.source.stat().st_size == before.st_size
    sent = own.put()
    own.check_object(sent)
    own.check_left()


@pytest.mark.parametrize("moment", ["request", "answer"])
def test_another_file_after_complete_was_sent(own: Case, moment: str) -> None:
    """The object may be there already, made of the old file."""
    kill_at(own, lambda seen: (seen.stage, seen.operation) == (moment, "Complete"))
    before = own.source.stat()
    written_over(own.source)
    os.utime(own.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    sent = own.put()
    own.check_object(sent)
    own.check_left()


@pytest.mark.parametrize("size_bytes", [SIZE_BYTES - 1, SIZE_BYTES + 1, 7 * PART_BYTES, 1000])
def test_a_file_of_another_size(own: Case, size_bytes: int) -> None:
    kill_at(own, at_part(9))
    os.truncate(own.source, size_bytes)
    sent = own.put()
    own.check_object(sent)
    own.check_left()


def test_a_file_that_is_the_same(own: Case) -> None:
    """A chmod moves the ctime, and nothing else: what was sent is read again, and needn't be sent."""
    kill_at(own, at_part(9))
    own.source.chmod(0o640)
    sent = own.put()
    assert sent.resumed_bytes >= 8 * PART_BYTES
    own.check_object(sent)
    own.check_left()


@pytest.mark.parametrize("is_asking", [False, True])
def test_two_at_the_same_time(case: Case, is_asking: bool) -> None:
    """Even while the store still has to say what it takes, and says nothing."""
    if is_asking:
        case.proxy.trap(lambda moment: moment.is_answer("Probe"), holds_all=False)
    trap = case.proxy.trap(at_part(9))
    first = case.start()
    case.wait_for(trap, first)
    second = case.end(case.start())
    assert (second.status, len(second.events)) == (12, 2)
    assert second.events[0]["error"] == "JournalBusy"
    assert f"process {first.pid} " in second.events[0]["message"]
    case.proxy.release()
    case.check_object(case.expect_sent(case.end(first)))
    case.check_left()


def test_two_resume_at_the_same_time(case: Case) -> None:
    """One of them does it, and stands still at its third part until the other has ended."""
    kill_at(case, at_part(9))
    trap = case.proxy.trap(lambda moment: moment.is_answer("UploadPart", 3))
    both = [case.start(), case.start()]
    deadline_s = time.monotonic() + ENDS_WITHIN_S
    while not (ended := [process for process in both if process.poll() is not None]):
        assert time.monotonic() < deadline_s, "neither gave way"
        time.sleep(POLL_S)
    (loser,) = ended
    (winner,) = (process for process in both if process is not loser)
    case.wait_for(trap, winner)
    assert case.end(loser).status == 12
    case.proxy.release()
    sent = case.expect_sent(case.end(winner))
    assert sent.resumed_bytes >= 8 * PART_BYTES
    case.check_object(sent)
    case.check_left()


def no_file(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(40_000))


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def a_byte_in_each_page(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    for offset_bytes in range(100, len(damaged), 1000):
        damaged[offset_bytes] ^= 0x40
    path.write_bytes(damaged)


@pytest.mark.parametrize("suffix", ["", "-wal"], ids=["database", "log"])
@pytest.mark.parametrize(
    "damage",
    [no_file, empty, cut_in_half, random_bytes, zeros, a_byte_in_each_page],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_journal(case: Case, damage: Callable[[Path], None], suffix: str) -> None:
    """The object is right, whatever is left of the journal. The upload is lost with its ID, and nothing else is."""
    kill_at(case, at_part(9))
    (path,) = case.journal.glob("*.journal")
    known = case.uploads()
    damage(path.with_name(path.name + suffix))
    sent = case.put()
    case.check_object(sent)
    assert case.uploads() <= known | case.orphans
    left = {each.suffix for each in case.journal.iterdir()}
    assert not left & {".journal", ".journal-wal", ".lock"}
    if ".damaged" in left:
        assert "starts anew" in sent.notes
        assert sent.resumed_bytes == 0


def test_a_journal_that_can_not_be_opened(case: Case) -> None:
    """Somebody put a directory in its place: it is said, and the upload goes on without."""
    kill_at(case, at_part(9))
    (path,) = case.journal.glob("*.journal")
    path.unlink()
    path.mkdir()
    sent = case.put()
    assert "without a journal" in sent.notes
    case.check_object(sent)


def test_the_upload_was_aborted(case: Case) -> None:
    """By a lifecycle rule, or by somebody who tidied up."""
    kill_at(case, at_part(9))
    (upload_id,) = case.known()
    case.s3.abort_multipart_upload(Bucket=case.bucket, Key=KEY, UploadId=upload_id)
    sent = case.put()
    assert sent.resumed_bytes == 0
    case.check_object(sent)
    case.check_left()
