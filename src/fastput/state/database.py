"""The SQLite file of one journal or ledger. Whoever opens it holds its lock, or has a copy.

The write-ahead log makes a note cheap: one write without a wait for the disk. What was committed survives the end of
the process, however it ends; after a loss of power the newest notes may be gone, and their parts are sent again. Where
a file system can't have the log SQLite keeps its rollback journal, which needs nothing of us.
"""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastput.errors import JournalError
from fastput.state.files import open_own, unusable
from fastput.state.rows import Damaged, Row

_T = TypeVar("_T")
FACT_TABLE = "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL, seal BLOB NOT NULL) WITHOUT ROWID"
PUT_FACT = "INSERT OR REPLACE INTO fact VALUES (?, ?, ?)"
SIDECARS = ("-wal", "-shm", "-journal")
BUSY_TIMEOUT_S = 0.05
MAGIC = b"SQLite format 3\0"
HEAD = re.compile(re.escape(MAGIC) + b"..(?:\1\1|\2\2)", re.DOTALL)  # page size, and its format: with a log or without

# What SQLite says of the disk or the directory rather than of the file's content, see
# https://www.sqlite.org/rescode.html: PERM, BUSY, LOCKED, INTERRUPT, IOERR, FULL, CANTOPEN, PROTOCOL, NOLFS, AUTH.
_OF_THE_DISK = frozenset({3, 5, 6, 9, 10, 13, 14, 15, 22, 23})
_OF_THE_FILE = frozenset({522, 8458})  # IOERR_SHORT_READ, IOERR_CORRUPTFS
_OF_THE_DIRECTORY = frozenset({1544})  # READONLY_DIRECTORY


@dataclass(frozen=True, slots=True)
class Format:
    """
    Attributes:
        name: for people.
        schema: the statements that make it, sorted by the names of the tables.
    """

    name: str
    application_id: int
    version: int
    schema: tuple[str, ...]


class Database:
    """An open one, readable and writable."""

    def __init__(self, path: Path, form: Format) -> None:
        """Opens it, or makes it with mode 0600.

        Raises:
            Damaged: it is none, or none of this version, or SQLite can't make sense of it.
            JournalError: the disk or the directory doesn't allow it, or a file in its place isn't ours.
        """
        import sqlite3

        self._path = path
        fd = open_own(path, os.O_RDWR | os.O_CREAT)
        size_bytes, head = os.fstat(fd).st_size, os.pread(fd, len(MAGIC) + 4, 0)
        os.close(fd)
        # SQLite would take a very short file for a new one, and fail at the first write to one of a later format.
        if size_bytes and not HEAD.fullmatch(head):
            raise Damaged("it is no SQLite database, or cut short")
        for sidecar in sidecars(path):
            with suppress(FileNotFoundError):
                os.close(open_own(sidecar, os.O_RDONLY))  # as strict as with the database
        try:
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._judged(error) from error
        _open.add(self)
        try:
            self._prepare(form, is_new=size_bytes == 0)
        except BaseException as error:
            self.close()
            if size_bytes == 0:
                for made in (path, *sidecars(path)):
                    made.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error | MemoryError | ValueError):
                raise self._judged(error) from error
            raise

    def _prepare(self, form: Format, is_new: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA trusted_schema=OFF")
        execute("PRAGMA cell_size_check=ON")
        # Before the log is looked at: then its index is in our memory, and there is no -shm file.
        execute("PRAGMA locking_mode=EXCLUSIVE")
        # A new one is worth no wait for the disk: a loss of power takes what stands in the log alone anyway.
        execute("PRAGMA synchronous=OFF" if is_new else "PRAGMA synchronous=NORMAL")
        application_id = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        schema = [sql for (sql,) in execute("SELECT sql FROM sqlite_master ORDER BY name")]
        # Nothing but a header: its making was cut short.
        is_new = is_new or (application_id, version, schema) == (0, 0, [])
        if not is_new:
            if application_id != form.application_id:
                raise Damaged("it is a file of another program")
            if version != form.version:
                raise Damaged(f"it is of format {version}, which this version of fastput doesn't know")
            if schema != list(form.schema):
                raise Damaged(f"its tables are not those of a {form.name}")
        execute("PRAGMA journal_mode=WAL")
        if is_new:
            pragmas = (f"PRAGMA application_id={form.application_id}", f"PRAGMA user_version={form.version}")
            for statement in ("BEGIN IMMEDIATE", *form.schema, *pragmas, "COMMIT"):
                execute(statement)
            execute("PRAGMA synchronous=NORMAL")
        elif (found := execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise Damaged(f"SQLite finds in it: {found}")

    def rows(self, statement: str, values: Row = ()) -> list[Row]:
        """What a SELECT finds.

        Raises:
            Damaged: SQLite can't make sense of what is there.
            JournalError: the disk failed.
        """
        import sqlite3

        try:
            return self._connection.execute(statement, values).fetchall()
        except (sqlite3.Error, MemoryError, ValueError) as error:
            raise self._judged(error) from error

    def write(self, *steps: tuple[str, Iterable[Row]]) -> None:
        """Each statement with each of its rows, all of it or nothing.

        Raises:
            JournalError: a full disk, or any other failure. What was there before is there still.
        """
        import sqlite3

        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, rows in steps:
                self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise unusable(self._path, error) from error

    def remove(self) -> None:
        """Deletes its files and closes it.

        Raises:
            JournalError: the directory doesn't allow it.
        """
        import sqlite3

        try:
            # The database goes first: without it its log says nothing, but not the other way round.
            _unlink(self._path)
        finally:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA synchronous=OFF")  # nothing of it needs to reach the disk now
            self.close()
        for sidecar in sidecars(self._path):
            _unlink(sidecar)

    def close(self) -> None:
        """Brings the log home into the database, as far as the disk allows."""
        import sqlite3

        _open.discard(self)
        with suppress(sqlite3.Error):
            self._connection.close()

    def pin(self) -> None:
        """Keeps the connection from ever being closed."""
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def _judged(self, error: Exception) -> Damaged | JournalError:
        code = getattr(error, "sqlite_errorcode", 0)
        is_of_the_disk = code & 0xFF in _OF_THE_DISK and code not in _OF_THE_FILE
        if is_of_the_disk or code in _OF_THE_DIRECTORY:
            return unusable(self._path, error)
        return Damaged(f"SQLite can't read it ({error})")


_open: weakref.WeakSet[Database] = weakref.WeakSet()


def _pin_all() -> None:
    # Closing a connection moves the log into the database and deletes it. A child that ends would do that to its
    # parent's journal, with the state that it had at the fork.
    for database in list(_open):
        database.pin()


os.register_at_fork(after_in_child=_pin_all)


def sidecars(path: Path) -> list[Path]:
    """The files that SQLite may have beside a database."""
    return [path.with_name(path.name + suffix) for suffix in SIDECARS]


def load_or_make(path: Path, load: Callable[[], _T]) -> tuple[_T, str | None]:
    """What load() makes of a file, or of a new one if it is damaged; and what was damaged, and is now where.

    Raises:
        JournalError: the directory doesn't allow it, or a new one can't be read either.
    """
    try:
        return load(), None
    except Damaged as damage:
        finding = f"{damage}; it is now {put_aside(path)}"
    try:
        return load(), finding
    except Damaged as again:
        raise unusable(path, again) from None


def put_aside(path: Path) -> Path:
    """Renames a damaged journal and what belongs to it, in the place of an older one. Returns its new name.

    Raises:
        JournalError: the directory doesn't allow it.
    """
    target = path.with_suffix(".damaged")
    try:
        for new in sidecars(target):
            new.unlink(missing_ok=True)
        path.replace(target)  # first, as in remove()
        for old, new in zip(sidecars(path), sidecars(target), strict=True):
            with suppress(FileNotFoundError):
                old.replace(new)
    except OSError as error:
        raise unusable(target, error) from None
    return target


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unusable(path, error) from None
