"""Files that aren't journals, or no longer: each has its outcome, and none is a crash or a part that nobody noted."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fastput.errors import JournalError
from fastput.state import Journal
from fastput.state.journal import FORMAT
from tests.state.samples import ENDPOINT, SOURCE, URI, database, entry, open_journal, part, parts

NOTED = parts(range(1, 200))
CRC = 2**63 + 1
needs_another_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good journal, closed; with pages in it that are no longer used."""
    journal = open_journal(tmp_path)
    journal.begin(entry(), parts(range(1, 500)))
    journal.begin(entry())
    journal.note(NOTED)
    journal.completing(CRC)
    journal.close()
    return database(tmp_path)


def expect_sane(directory: Path) -> Journal:
    """Some of what was noted, or a new one that says why."""
    journal = open_journal(directory)
    if journal.entry is None:
        assert journal.finding
        assert journal.parts == ()
        assert journal.completing_crc64nvme is None
    else:
        assert journal.entry == entry()
        assert set(journal.parts) <= set(NOTED)
        assert journal.completing_crc64nvme in (None, CRC)
    return journal


def expect_put_aside(directory: Path, *words: str) -> None:
    journal = open_journal(directory)
    assert (journal.entry, journal.parts) == (None, ())
    assert journal.finding is not None
    for word in (*words, str(URI), ".damaged"):
        assert word in journal.finding
    journal.begin(entry())
    journal.note([part(1)])
    journal.close()
    journal = open_journal(directory)
    assert (journal.parts, journal.finding) == ((part(1),), None)
    journal.close()


def test_bits_that_changed(path: Path) -> None:
    """A byte in 400 places; where SQLite doesn't see it, the row's seal does."""
    good, source = path.read_bytes(), random.Random(64)
    outcomes = {"kept": 0, "put aside": 0}
    for place in [*range(100), *(source.randrange(len(good)) for _ in range(400))]:
        bad = bytearray(good)
        bad[place] ^= 1 << source.randrange(8)
        path.write_bytes(bad)
        journal = expect_sane(path.parent)
        outcomes["kept" if journal.entry else "put aside"] += 1
        journal.begin(entry(), NOTED)  # it can be written too
        journal.close()
    assert outcomes["kept"] > 20
    assert outcomes["put aside"] > 100


def test_bits_that_changed_in_the_log(tmp_path: Path) -> None:
    (original := tmp_path / "original").mkdir()
    journal = open_journal(original)
    journal.begin(entry())
    journal.note(NOTED[:100])
    journal.note(NOTED[100:])
    path, source = database(original), random.Random(65)
    log = path.with_name(path.name + "-wal")
    good, good_log = path.read_bytes(), log.read_bytes()
    journal.remove()
    for _ in range(200):
        bad = bytearray(good_log)
        bad[source.randrange(len(bad))] ^= 1 << source.randrange(8)
        (tmp_path / path.name).write_bytes(good)
        (tmp_path / log.name).write_bytes(bad)
        journal = open_journal(tmp_path)
        assert (journal.entry, len(journal.parts)) in [(None, 0), (entry(), 0), (entry(), 100), (entry(), 199)]
        assert journal.parts == NOTED[: len(journal.parts)]
        journal.remove()


def test_cut_short(path: Path) -> None:
    good = path.read_bytes()
    for length_bytes in [*range(1, 600, 7), *range(600, len(good), 509)]:
        path.write_bytes(good[:length_bytes])
        journal = open_journal(path.parent)
        assert journal.entry is None, length_bytes
        assert journal.finding, length_bytes
        journal.close()


def test_other_bytes(path: Path) -> None:
    for seed in range(20):
        source = random.Random(seed)
        path.write_bytes(source.randbytes(source.choice([1, 15, 16, 100, 512, 4096, 50_000])))
        expect_put_aside(path.parent, "the journal can't be used")


def test_a_header_and_other_bytes(path: Path) -> None:
    head = path.read_bytes()[:100]
    for seed in range(50):
        path.write_bytes(head + random.Random(seed).randbytes(3 * 4096 - 100))
        expect_sane(path.parent).close()


def test_an_empty_file_is_a_new_journal(path: Path) -> None:
    """As a process leaves it that was killed at once."""
    path.write_bytes(b"")
    journal = open_journal(path.parent)
    assert (journal.entry, journal.finding) == (None, None)
    journal.close()


def test_a_log_without_its_database_is_not_believed(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.begin(entry())
    log = next(tmp_path.glob("*-wal"))
    content = log.read_bytes()
    journal.remove()
    log.write_bytes(content)
    journal = open_journal(tmp_path)
    assert (journal.entry, journal.finding) == (None, None)
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def change(path: Path, *statements: str) -> None:
    with sqlite3.connect(path, isolation_level=None) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_another_version(path: Path) -> None:
    change(path, "PRAGMA user_version=3")
    expect_put_aside(path.parent, "format 3")


def test_another_program(path: Path) -> None:
    """It isn't even changed."""
    path.unlink()
    change(path, "CREATE TABLE notes (text)", "INSERT INTO notes VALUES ('mine')")
    content = path.read_bytes()
    expect_put_aside(path.parent, "another program")
    assert path.with_suffix(".damaged").read_bytes() == content


def test_more_than_a_journal_has(path: Path) -> None:
    change(path, "CREATE TRIGGER more AFTER INSERT ON part BEGIN DELETE FROM part; END")
    expect_put_aside(path.parent, "tables")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE part SET offset_bytes = offset_bytes + 1 WHERE number = 7",
        "UPDATE part SET number = 9999 WHERE number = 7",
        "UPDATE part SET etag = '\"other\"' WHERE number = 7",
        "UPDATE part SET etag = x'ff' WHERE number = 7",
        "UPDATE part SET crc64nvme = x'0000000000000000' WHERE number = 7",
        "UPDATE part SET crc64nvme = 5 WHERE number = 7",
        "UPDATE part SET checksum = NULL WHERE number = 7",
        "UPDATE part SET seal = x'' WHERE number = 7",
        "UPDATE part SET length_bytes = 'x' WHERE number = 7",
        "UPDATE fact SET value = replace(value, 'up.load', 'UP.load') WHERE name = 'entry'",
        "UPDATE fact SET value = x'00' WHERE name = 'entry'",
        "UPDATE fact SET value = '5' WHERE name = 'completing'",
        "UPDATE fact SET value = 5.5 WHERE name = 'completing'",
        "DELETE FROM fact WHERE name = 'entry'",
        "DELETE FROM fact",
        "INSERT INTO fact VALUES ('more', '', x'')",
        "INSERT INTO fact VALUES (x'00', 1, 2)",
    ],
)
def test_rows_that_nobody_wrote(path: Path, statement: str) -> None:
    change(path, statement)
    expect_put_aside(path.parent)


@pytest.mark.parametrize(
    ("old", "new"),
    [("up.load", "UP.load"), ('"part_bytes":5', '"part_bytes":6'), ('"size_bytes"', '"Size_bytes"'), ("{", "")],
)
def test_an_upload_without_parts(tmp_path: Path, old: str, new: str) -> None:
    """There is no other row whose seal would tell."""
    journal = open_journal(tmp_path)
    journal.begin(entry())
    journal.close()
    change(database(tmp_path), f"UPDATE fact SET value = replace(value, '{old}', '{new}')")
    expect_put_aside(tmp_path)


def test_parts_that_overlap(path: Path) -> None:
    """Sealed as they should be: whoever wrote them was wrong."""
    journal = open_journal(path.parent)
    journal.begin(entry())
    twice = part(1)
    journal.note([twice, type(twice)(2, 1, 5, '"etag"', 1, None)])
    journal.close()
    expect_put_aside(path.parent, "overlap")


def test_anothers_journal_under_this_name(path: Path, tmp_path: Path) -> None:
    other = Journal.open(tmp_path, ENDPOINT, URI, SOURCE + "2")
    other.close()
    (other_path,) = set(tmp_path.glob("*.journal")) - {path}
    shutil.copy(path, other_path)
    other = Journal.open(tmp_path, ENDPOINT, URI, SOURCE + "2")
    assert other.entry is None
    assert other.finding is not None
    assert "another upload" in other.finding
    other.remove()


def test_only_the_last_damaged_one_is_kept(path: Path) -> None:
    for text in (b"first" * 1000, b"second" * 1000):
        path.write_bytes(text)
        path.with_name(path.name + "-wal").write_bytes(text)
        expect_put_aside(path.parent)
    assert sorted(each.suffix for each in path.parent.iterdir()) == [".damaged", ".damaged-wal", ".journal"]
    assert path.with_suffix(".damaged").read_bytes() == b"second" * 1000


def a_directory(path: Path) -> None:
    path.mkdir()


def a_symlink(path: Path) -> None:
    target = path.with_name("precious")
    target.write_bytes(b"not yours")
    path.symlink_to(target)


def a_dangling_symlink(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_file_of_somebody_else(path: Path) -> None:
    path.write_bytes(b"")
    os.chown(path, 12345, 12345)


in_its_place = pytest.mark.parametrize(
    "make",
    [
        a_directory,
        a_symlink,
        a_dangling_symlink,
        a_fifo,
        pytest.param(a_file_of_somebody_else, marks=needs_another_user),
    ],
    ids=lambda make: make.__name__,
)


@in_its_place
@pytest.mark.parametrize("suffix", [".journal", ".lock", ".journal-wal"])
def test_something_else_in_its_place(path: Path, make: Callable[[Path], None], suffix: str) -> None:
    place = path.with_suffix(suffix)
    place.unlink(missing_ok=True)
    make(place)
    kind = stat.S_IFMT(place.lstat().st_mode)
    with pytest.raises(JournalError) as caught:
        open_journal(path.parent)
    assert type(caught.value) is JournalError
    message = str(caught.value)
    assert all(word in message for word in (place.name, "--journal DIR", "--no-resume"))
    assert stat.S_IFMT(place.lstat().st_mode) == kind
    assert not path.with_name("nowhere").exists()
    if (precious := path.with_name("precious")).exists():
        assert precious.read_bytes() == b"not yours"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"no such directory.*--journal DIR"):
        open_journal(tmp_path / "missing")


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="--no-resume"):
        open_journal(tmp_path / "file")


def test_another_program_has_it_open(path: Path) -> None:
    """sqlite3 at a shell, say."""
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked"):
            open_journal(path.parent)
        connection.execute("COMMIT")
    connection.close()
    journal = open_journal(path.parent)
    assert journal.parts == NOTED
    journal.close()


def test_the_number_that_names_the_format() -> None:
    """file(1) and other programs go by it: it stays."""
    assert FORMAT.application_id.to_bytes(4, "big") == b"FPT1"
