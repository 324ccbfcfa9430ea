"""The ledger: what it keeps, what it survives, and that what was changed in it isn't believed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastput.errors import JournalBusy, JournalError
from fastput.model import ConfirmedFile, ObjectUri, SourceStat
from fastput.state import ledger as ledger_module
from fastput.state.ledger import Ledger

PREFIX = ObjectUri("bucket", "run7/")
int64 = st.integers(-(2**63), 2**63 - 1)
uint64 = st.integers(0, 2**64 - 1)
stats = st.builds(SourceStat, uint64, uint64, st.integers(0, 2**63 - 1), int64, int64)
confirmed = st.builds(ConfirmedFile, st.binary(min_size=1, max_size=20), stats, st.text("ab-\"0", max_size=5), uint64)


def open_ledger(directory: Path, root: str = "/data/run7", form: str = "") -> Ledger:
    return Ledger.open(directory, "https://store:9000", PREFIX, root, form)


def file(path: bytes, etag: str = "e", inode: int = 1) -> ConfirmedFile:
    return ConfirmedFile(path, SourceStat(1, inode, 3, 4, 5), etag, 6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(confirmed, unique_by=lambda each: each.path, max_size=20))
def test_what_is_noted_is_there(tmp_path_factory: pytest.TempPathFactory, files: list[ConfirmedFile]) -> None:
    directory = tmp_path_factory.mktemp("state")
    ledger = open_ledger(directory)
    ledger.confirm(files)
    ledger.close()
    again = open_ledger(directory)
    assert list(again.files()) == sorted(files, key=lambda each: each.path)
    again.close()


def test_more_than_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_PAGE_ROWS", 10)
    ledger = open_ledger(tmp_path)
    files = [file(b"%03d" % i) for i in range(95)]
    ledger.confirm(files)
    # Rows that come and go meanwhile disturb nothing.
    seen = []
    for number, each in enumerate(ledger.files()):
        seen.append(each)
        ledger.confirm([file(b"%03d" % number, etag="new")])
        ledger.forget([b"%03d" % (number - 1)])
    assert [each.path for each in seen] == [each.path for each in files]
    ledger.close()


def test_runs(tmp_path: Path) -> None:
    """One that came to no end goes on; after one that did there is a new one."""
    first = open_ledger(tmp_path)
    assert not first.is_continued
    first.confirm([file(b"a")])
    first.close()
    second = open_ledger(tmp_path)
    assert second.is_continued
    assert [each.path for each in second.files(of_this_run=True)] == [b"a"]
    second.confirm([file(b"b")])
    second.finish()
    second.close()
    third = open_ledger(tmp_path)
    assert not third.is_continued
    assert list(third.files(of_this_run=True)) == []
    assert [each.path for each in third.files()] == [b"a", b"b"]
    third.close()


def test_others_are_others(tmp_path: Path) -> None:
    with_row = open_ledger(tmp_path)
    with_row.confirm([file(b"a")])
    for other in (open_ledger(tmp_path, root="/data/run8"), open_ledger(tmp_path, form="2")):
        assert list(other.files()) == []
        other.close()
    with_row.close()


def test_one_at_a_time(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    with pytest.raises(JournalBusy, match=r"this process is sending /data/run7"):
        open_ledger(tmp_path)
    ledger.close()
    open_ledger(tmp_path).close()


def database(directory: Path) -> Path:
    (found,) = directory.glob("*.ledger")
    return found


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE object SET etag = 'x'",
        "UPDATE object SET size_bytes = 4",
        "UPDATE object SET run = 7",
        "UPDATE object SET path = x'6161'",
        "UPDATE object SET seal = x'00'",
        "UPDATE object SET crc64nvme = 'text'",
        "UPDATE object SET path = 'text'",
    ],
)
def test_a_row_that_was_changed_is_unknown(tmp_path: Path, change: str) -> None:
    ledger = open_ledger(tmp_path)
    ledger.confirm([file(b"a")])
    ledger.close()
    with sqlite3.connect(database(tmp_path)) as connection:
        connection.execute(change)
    connection.close()
    again = open_ledger(tmp_path)
    assert list(again.files()) == []
    again.close()


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_file_that_is_none_is_put_aside(tmp_path: Path, content: bytes) -> None:
    open_ledger(tmp_path).close()
    database(tmp_path).write_bytes(content)
    ledger = open_ledger(tmp_path)
    assert ledger.finding is not None
    assert "can't be used" in ledger.finding
    assert list(ledger.files()) == []
    ledger.close()


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no such directory"):
        open_ledger(tmp_path / "nowhere")
