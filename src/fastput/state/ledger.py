"""The ledger of a tree: what the store has confirmed of it, a row a file.

A run that was cut short goes on without asking the store about each file, and a sync needs no HEAD of an object that
still has the ETag that it got. What can't be read any more counts as unknown: its file is compared, or sent, again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fastput.errors import JournalError
from fastput.model import ConfirmedFile, ObjectUri, SourceStat
from fastput.state.database import FACT_TABLE, PUT_FACT, Database, Format, load_or_make
from fastput.state.lock import Lock
from fastput.state.rows import Damaged, Row, blob, dump, seal

FORMAT = Format(
    name="ledger",
    application_id=0x4650544C,  # "FPTL"
    version=1,
    schema=(
        FACT_TABLE,
        "CREATE TABLE object (path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, "
        "ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, device INTEGER NOT NULL, etag TEXT NOT NULL, "
        "crc64nvme BLOB NOT NULL, run INTEGER NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID",
    ),
)
SUFFIX = ".ledger"
_PUT_OBJECT = "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PAGE_ROWS = 1000


class Ledger:
    """One thread at a time.

    Attributes:
        is_continued: the run before has come to no end, and this one goes on.
        finding: a sentence for people if there was one that couldn't be used.
    """

    def __init__(self, lock: Lock, database: Database, tree: int, run: int, is_open: bool, finding: str | None) -> None:
        self.is_continued = is_open
        self.finding = finding
        self._lock = lock
        self._database = database
        self._tree = tree
        self._run = run if is_open else run + 1

    @classmethod
    def open(cls, directory: Path, endpoint: str, prefix: ObjectUri, root: str, form: str) -> Ledger:
        """Takes the ledger for this tree and this destination, and reads or makes it; begins a run or goes on with one.

        Args:
            root: absolute path.
            form: what else the keys and objects depend on; with another form nothing is known.

        Raises:
            JournalBusy: another process, or this one, has it.
            JournalError: the directory or the disk doesn't allow it.
        """
        identity = [endpoint, prefix.bucket, prefix.key, root, form]
        name = hashlib.sha256(dump(identity).encode()).hexdigest()[:32] + SUFFIX
        path = directory.absolute() / name
        lock = Lock(path.with_suffix(".ledger-lock"), str(prefix), root)
        try:
            (database, run, is_open), damage = load_or_make(path, lambda: _load(path, identity))
            finding = f"{prefix}: what earlier runs noted can't be used: {damage}" if damage else None
            ledger = cls(lock, database, seal(identity), run, is_open, finding)
            ledger._note_run("open")
        except BaseException:
            lock.release()
            raise
        return ledger

    def files(self, of_this_run: bool = False) -> Iterator[ConfirmedFile]:
        """What was confirmed, by the bytes of the paths. confirm() and forget() may be called meanwhile."""
        after = b""
        condition = "AND run = ?" if of_this_run else "AND run <= ?"
        statement = f"SELECT * FROM object WHERE path > ? {condition} ORDER BY path LIMIT {_PAGE_ROWS}"
        while True:
            try:
                rows = self._database.rows(statement, (after, self._run))
            except (Damaged, JournalError):
                return
            if not rows:
                return
            for row in rows:
                with suppress(Damaged):
                    yield _load_file(row, self._tree)
            after = rows[-1][0]

    def confirm(self, files: Iterable[ConfirmedFile]) -> None:
        """Adds or replaces rows, all or none.

        Raises:
            JournalError: a full disk or another failure.
        """
        self._database.write((_PUT_OBJECT, [_dump_file(file, self._run, self._tree) for file in files]))

    def forget(self, paths: Iterable[bytes]) -> None:
        """Removes rows, all or none.

        Raises:
            JournalError: a full disk or another failure.
        """
        self._database.write(("DELETE FROM object WHERE path = ?", [(path,) for path in paths]))

    def finish(self) -> None:
        """The run has come to its end: the next is a new one.

        Raises:
            JournalError: a full disk or another failure.
        """
        self._note_run("done")

    def close(self) -> None:
        """Lets others have it."""
        self._database.close()
        self._lock.release()

    def _note_run(self, state: str) -> None:
        value = dump([self._run, state])
        self._database.write((PUT_FACT, [("run", value, blob(seal(["run", value], self._tree)))]))


def _load(path: Path, identity: list[str]) -> tuple[Database, int, bool]:
    """(database, the last run, whether it has come to no end)"""
    database = Database(path, FORMAT)
    try:
        tree = seal(identity)
        facts = {name: (value, sealed) for name, value, sealed in database.rows("SELECT * FROM fact")}
        text = dump(identity)
        if not facts:
            database.write((PUT_FACT, [("tree", text, blob(tree))]))
            return database, 0, False
        if facts.get("tree") != (text, blob(tree)):
            raise Damaged("it is another tree's")
        value, sealed = facts.get("run", ("", b""))
        if blob(seal(["run", value], tree)) != sealed:
            raise Damaged("it doesn't say which run was the last")
        number, _, state = value.strip("[]").partition(",")
        return database, int(number), state == '"open"'
    except BaseException:
        database.close()
        raise


def _dump_file(file: ConfirmedFile, run: int, tree: int) -> Row:
    stat = file.stat
    numbers = (stat.size_bytes, stat.mtime_ns, stat.ctime_ns, _signed(stat.inode), _signed(stat.device))
    sealed = seal([file.path.hex(), *numbers, file.etag, file.crc64nvme, run], tree)
    return (file.path, *numbers, file.etag, blob(file.crc64nvme), run, blob(sealed))


def _load_file(row: Row, tree: int) -> ConfirmedFile:
    """
    Raises:
        Damaged: it isn't what was written.
    """
    path, size_bytes, mtime_ns, ctime_ns, inode, device, etag, crc, run, sealed = row
    try:
        crc64nvme = int.from_bytes(crc, "big")
        numbers = (size_bytes, mtime_ns, ctime_ns, inode, device)
        is_right = blob(seal([path.hex(), *numbers, etag, crc64nvme, run], tree)) == sealed
    except (TypeError, AttributeError, ValueError):
        is_right = False
    if not is_right:
        raise Damaged("a row isn't what was written")
    stat = SourceStat(_unsigned(device), _unsigned(inode), size_bytes, mtime_ns, ctime_ns)
    return ConfirmedFile(path, stat, etag, crc64nvme)


def _signed(value: int) -> int:
    """SQLite's integers are signed; inodes and devices aren't."""
    return value - 2**64 if value >= 2**63 else value


def _unsigned(value: int) -> int:
    return value % 2**64
