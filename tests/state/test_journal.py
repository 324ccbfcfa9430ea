"""What goes in comes out, and nothing else goes in."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.errors import JournalError
from fastput.model import ConfirmedPart, ObjectUri
from fastput.state import Journal, journals
from tests.state.samples import ENDPOINT, SOURCE, URI, database, entry, open_journal, part, parts

ascii_texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=80)
lengths = st.lists(st.tuples(st.integers(1, 2**33), st.booleans()), min_size=1, max_size=30)


def test_a_new_one_is_empty(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts, journal.completing_crc64nvme, journal.finding) == (None, (), None, None)
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.finding) == (None, None)
    journal.close()


@settings(deadline=None, max_examples=60)
@given(lengths=lengths, data=st.data())
def test_round_trip(lengths: list[tuple[int, bool]], data: st.DataObject) -> None:
    """Any parts of any file, in any order, in any batches; some parts of the file aren't confirmed."""
    noted, offset_bytes = [], 0
    for number, (length_bytes, is_confirmed) in enumerate(lengths, start=1):
        etag, crc = data.draw(ascii_texts), data.draw(st.integers(0, 2**64 - 1))
        checksum = data.draw(st.none() | ascii_texts)
        if is_confirmed:
            noted.append(ConfirmedPart(number, offset_bytes, length_bytes, etag, crc, checksum))
        offset_bytes += length_bytes
    stat = replace(entry().source_stat, size_bytes=offset_bytes, mtime_ns=data.draw(st.integers(-(2**63), 2**63)))
    key, source = data.draw(st.text(min_size=1)), os.fsdecode(b"/" + data.draw(st.binary()))
    head = entry(key=key, source=source, source_stat=stat)
    waiting = data.draw(st.permutations(noted))
    completing = data.draw(st.none() | st.integers(0, 2**64 - 1))
    with tempfile.TemporaryDirectory() as directory:
        journal = Journal.open(Path(directory), ENDPOINT, ObjectUri(URI.bucket, key), source)
        journal.begin(head)
        while waiting:
            count = data.draw(st.integers(1, len(waiting)))
            journal.note(waiting[:count])
            waiting = waiting[count:]
        if completing is not None:
            journal.completing(completing)
        journal.close()
        journal = Journal.open(Path(directory), ENDPOINT, ObjectUri(URI.bucket, key), source)
        assert journal.finding is None
        assert (journal.entry, journal.parts) == (head, tuple(noted))
        assert journal.completing_crc64nvme == completing
        journal.remove()
        assert os.listdir(directory) == []


def test_ten_thousand_parts(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    for first in range(1, 10_001, 16):
        journal.note(parts(range(first, min(first + 16, 10_001))))
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.parts == parts(range(1, 10_001))
    journal.close()


def test_whether_there_is_one(tmp_path: Path) -> None:
    assert not Journal.exists(tmp_path, ENDPOINT, URI, SOURCE)
    journal = open_journal(tmp_path)
    assert Journal.exists(tmp_path, ENDPOINT, URI, SOURCE)
    assert not Journal.exists(tmp_path, ENDPOINT, URI, SOURCE + "2")
    journal.close()
    assert Journal.exists(tmp_path, ENDPOINT, URI, SOURCE)
    open_journal(tmp_path).remove()
    assert not Journal.exists(tmp_path, ENDPOINT, URI, SOURCE)


def test_beginning_again_forgets(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note(parts([1, 2, 3]))
    journal.completing(1)
    journal.begin(entry(upload_id="another"), parts([5, 6]))
    journal.note(parts([2]))
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts) == (entry(upload_id="another"), parts([2, 5, 6]))
    assert journal.completing_crc64nvme is None
    journal.close()


def test_going_on_adds(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note(parts([1, 3]))
    journal.close()
    journal = open_journal(tmp_path)
    sent_again = replace(part(3), etag='"newer"')
    journal.note([part(2), sent_again])
    journal.close()
    journal = open_journal(tmp_path)
    assert journal.parts == (part(1), part(2), sent_again)
    journal.close()


def test_each_upload_has_its_own(tmp_path: Path) -> None:
    identities = [
        (ENDPOINT, URI, SOURCE),
        ("http://other", URI, SOURCE),
        (ENDPOINT, ObjectUri("other-bucket", URI.key), SOURCE),
        (ENDPOINT, ObjectUri(URI.bucket, "other"), SOURCE),
        (ENDPOINT, URI, SOURCE + "\udcfe"),
    ]
    opened = [Journal.open(tmp_path, *identity) for identity in identities]
    assert len(list(tmp_path.glob("*.journal"))) == len(identities)
    for journal in opened:
        assert journal.entry is None
        journal.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"number": 10_001},
        {"offset_bytes": -1},
        {"length_bytes": 0},
        {"offset_bytes": 10_000 * (5 << 20)},
        {"crc64nvme": -1},
        {"crc64nvme": 2**64},
        {"etag": ""},
        {"etag": "x" * 1025},
        {"etag": "é"},
        {"etag": "a\nb"},
        {"checksum": ""},
    ],
    ids=str,
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, wrong: dict[str, object]) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    with pytest.raises(JournalError, match="this part can't stand in a journal"):
        journal.note([part(1), replace(part(2), **wrong)])  # type: ignore[arg-type]
    journal.note([part(5)])
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts) == (entry(), (part(5),))
    journal.close()


def test_a_wrong_entry_is_not_written(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note([part(1)])
    with pytest.raises(JournalError, match="this upload can't stand in a journal"):
        journal.begin(entry(upload_id=""))
    with pytest.raises(JournalError, match="this part can't stand in a journal"):
        journal.begin(entry(upload_id="another"), [replace(part(1), number=0)])
    journal.close()
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.parts) == (entry(), (part(1),))
    journal.close()


def test_noting_before_beginning(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    with pytest.raises(JournalError, match="not begun"):
        journal.note([part(1)])
    with pytest.raises(JournalError, match="not begun"):
        journal.completing(1)
    journal.close()


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        journal = open_journal(tmp_path)
        journal.begin(entry())
        journal.note(parts(range(1, 100)))
        modes = {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        journal.close()
    finally:
        os.umask(before)
    assert modes == {".journal": 0o600, ".journal-wal": 0o600, ".lock": 0o600}
    # One that was opened up, by a copy or by hand, is closed again.
    database(tmp_path).chmod(0o666)
    journal = open_journal(tmp_path)
    assert stat.S_IMODE(database(tmp_path).stat().st_mode) == 0o600
    journal.close()


def test_nothing_is_imported_before_it_is_needed() -> None:
    script = "import fastput.state, sys; print({'sqlite3', 'platformdirs', 'tempfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_listing(tmp_path: Path) -> None:
    """Nothing is changed by it: what is held is named, the rest is read."""
    assert list(journals(tmp_path / "missing")) == []
    kept = open_journal(tmp_path)
    kept.begin(entry())
    kept.note(parts([1, 2]))
    kept.completing(7)
    kept.close()
    other = ObjectUri("bucket", "other")
    held = Journal.open(tmp_path, ENDPOINT, other, SOURCE)
    empty = Journal.open(tmp_path, ENDPOINT, ObjectUri("bucket", "empty"), SOURCE)
    empty.close()
    (tmp_path / "0.journal").write_bytes(b"not one" * 1000)
    os.mkfifo(tmp_path / "1.journal")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    found = {summary.path.name: summary for summary in journals(tmp_path)}
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert len(found) == 4
    assert "no SQLite database" in str(found.pop("0.journal").finding)
    assert "not a regular file" in str(found.pop("1.journal").finding)
    (readable,) = (summary for summary in found.values() if summary.entry)
    assert readable.entry == entry()
    assert (readable.confirmed_parts, readable.confirmed_bytes) == (2, 2 * (5 << 20))
    assert (readable.is_completing, readable.is_in_use) == (True, False)
    (in_use,) = (summary for summary in found.values() if summary.is_in_use)
    assert in_use.owner is not None
    assert (in_use.owner.pid, in_use.owner.uri, in_use.owner.source) == (os.getpid(), str(other), SOURCE)
    held.remove()


def test_listing_reads_the_log_too(tmp_path: Path) -> None:
    """The journal of a process that was killed: what it noted stands in the log alone."""
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.note(parts([1, 2, 3]))
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("*.journal*"):
        (copy / path.name).write_bytes(path.read_bytes())
    journal.remove()
    (summary,) = journals(copy)
    assert (summary.entry, summary.confirmed_parts) == (entry(), 3)
