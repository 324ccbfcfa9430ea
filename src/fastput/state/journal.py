"""The journal of one multipart upload: what a later run needs to go on where this one ended.

    open -> begin -> note ... -> completing -> remove       the object is done
                              \\-> close, or kill -9         the next open() finds it all

One file an upload, named after the endpoint, the bucket, the key and the source; its owner alone can read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastput.errors import JournalError
from fastput.model import ConfirmedPart, ObjectUri
from fastput.state.database import FACT_TABLE, PUT_FACT, Database, Format, load_or_make, sidecars
from fastput.state.files import read_own, unusable
from fastput.state.lock import Lock, Owner, read_owner, share
from fastput.state.rows import (
    MAX_CRC,
    NO_ENTRY,
    Damaged,
    JournalEntry,
    Row,
    blob,
    check_entry,
    check_part,
    dump,
    dump_entry,
    dump_part,
    load_entry,
    load_parts,
    seal,
)

FORMAT = Format(
    name="journal",
    application_id=0x46505431,  # "FPT1"
    version=2,
    schema=(
        FACT_TABLE,
        "CREATE TABLE part (number INTEGER PRIMARY KEY, offset_bytes INTEGER NOT NULL, length_bytes INTEGER NOT NULL, "
        "etag TEXT NOT NULL, crc64nvme BLOB NOT NULL, checksum TEXT, note BLOB NOT NULL, seal BLOB NOT NULL)",
    ),
)
SUFFIX = ".journal"
MAX_JOURNAL_BYTES = 256 << 20  # 10,000 parts take 2 MiB, the notes of 5 TiB in frames of 1 MiB another 40
PUT_PART = "INSERT OR REPLACE INTO part VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Content:
    """What a journal says. parts are in order of their numbers."""

    entry: JournalEntry | None = None
    upload: int = 0
    parts: tuple[ConfirmedPart, ...] = ()
    completing_crc64nvme: int | None = None


class Journal:
    """All calls may block on the disk. They come from one thread at a time, not always the same.

    What open() found stays in the attributes; begin() and note() don't change them.

    Attributes:
        entry: the upload that an earlier run began; None: there is nothing to resume.
        parts: what earlier runs noted of it, in order of their numbers.
        completing_crc64nvme: of the whole object, if an earlier run has sent Complete, so that the object may be there.
        finding: a sentence for people if a journal was there that couldn't be used. It was put aside.
    """

    def __init__(self, lock: Lock, database: Database, found: Content, finding: str | None) -> None:
        self.entry = found.entry
        self.parts = found.parts
        self.completing_crc64nvme = found.completing_crc64nvme
        self.finding = finding
        self._lock = lock
        self._database = database
        self._current = found.entry
        self._upload = found.upload

    @classmethod
    def open(cls, directory: Path, endpoint: str, uri: ObjectUri, source: str) -> Journal:
        """Takes the journal for this upload, and reads or makes it.

        Args:
            source: absolute path; bytes that aren't UTF-8 as surrogates, as os.fsdecode gives them.

        Raises:
            JournalBusy: another process, or this one, has it.
            JournalError: the directory or the disk doesn't allow it, or a file in its place isn't ours.
        """
        identity = (endpoint, uri.bucket, uri.key, source)
        path = _path(directory, *identity)
        lock = Lock(path.with_suffix(".lock"), str(uri), source)
        try:
            (database, found), damage = load_or_make(path, lambda: _load(path, identity))
        except BaseException:
            lock.release()
            raise
        finding = f"{uri}: the journal can't be used: {damage}, and the upload starts anew" if damage else None
        return cls(lock, database, found, finding)

    @staticmethod
    def exists(directory: Path, endpoint: str, uri: ObjectUri, source: str) -> bool:
        """Whether an earlier run has left one for this upload. Cheap: SQLite isn't asked."""
        return _path(directory, endpoint, uri.bucket, uri.key, source).exists()

    def begin(self, entry: JournalEntry, parts: Sequence[ConfirmedPart] = ()) -> None:
        """Forgets what was there and starts with this upload, and with parts of it that the store has already.

        Raises:
            JournalError: a full disk or another failure, or something that couldn't be read again. Nothing is changed.
        """
        text = dump_entry(entry)
        upload = seal(["entry", text])
        try:
            check_entry(entry)
        except Damaged as damage:
            raise JournalError(f"{entry.uri}: this upload can't stand in a journal: {damage}") from None
        self._database.write(
            ("DELETE FROM part", [()]),
            ("DELETE FROM fact", [()]),
            (PUT_FACT, [("entry", text, blob(upload))]),
            (PUT_PART, _rows(entry, parts, upload)),
        )
        self._current, self._upload = entry, upload

    def note(self, parts: Sequence[ConfirmedPart]) -> None:
        """Adds parts that the store has, all or none. A part's number that is there already is written over.

        Raises:
            JournalError: a full disk or another failure, or a part that couldn't be read again.
        """
        self._database.write((PUT_PART, _rows(self._begun(), parts, self._upload)))

    def completing(self, crc64nvme: int) -> None:
        """To be called before Complete is sent: from now on the object may be there, with this CRC over the whole.

        Raises:
            JournalError: a full disk or another failure.
        """
        self._begun()
        text = str(crc64nvme)
        sealed = seal(["completing", text], self._upload)
        self._database.write((PUT_FACT, [("completing", text, blob(sealed))]))

    def remove(self) -> None:
        """The object is done: deletes the journal and lets go of it.

        Raises:
            JournalError: a file can't be deleted.
        """
        try:
            self._database.remove()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Lets go of the journal, and keeps it for a later run."""
        self._database.close()
        self._lock.release()

    def _begun(self) -> JournalEntry:
        if self._current is None:
            raise JournalError("the journal has not begun")
        return self._current


def _rows(entry: JournalEntry, parts: Sequence[ConfirmedPart], upload: int) -> list[Row]:
    try:
        for part in parts:
            check_part(part, entry.source_stat.size_bytes)
    except Damaged as damage:
        raise JournalError(f"{entry.uri}: this part can't stand in a journal: {damage}") from None
    return [dump_part(part, upload) for part in parts]


@dataclass(frozen=True, slots=True)
class JournalSummary:
    """One journal of a directory.

    Attributes:
        entry: None while it is in use, and if it can't be read.
        owner: who has it now.
        finding: why it can't be read, for people.
    """

    path: Path
    entry: JournalEntry | None = None
    confirmed_parts: int = 0
    confirmed_bytes: int = 0
    is_completing: bool = False
    is_in_use: bool = False
    owner: Owner | None = None
    finding: str | None = None


def journals(directory: Path) -> Iterator[JournalSummary]:
    """The journals in a directory, by name. Nothing is changed; those without an upload are left out.

    Raises:
        JournalError: the directory can't be read.
    """
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIX))
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable(Path(directory), error) from None
    for name in names:
        path = Path(directory).absolute() / name
        try:
            summary = _summary(path)
        except (Damaged, JournalError, OSError) as error:
            yield JournalSummary(path, finding=str(error))
        else:
            if summary.entry is not None or summary.is_in_use:
                yield summary


def _summary(path: Path) -> JournalSummary:
    import tempfile

    lock_path = path.with_suffix(".lock")
    try:
        fd = share(lock_path)
    except FileNotFoundError:
        fd = -1
    if fd is None:
        return JournalSummary(path, is_in_use=True, owner=read_owner(lock_path))
    with tempfile.TemporaryDirectory(prefix="fastput-") as directory:
        # A copy: opening the journal itself would change it, and keep its upload waiting.
        copy = Path(directory, path.name)
        try:
            _copy(path, copy)
        except FileNotFoundError:
            return JournalSummary(path)  # its upload was done meanwhile
        finally:
            if fd >= 0:
                os.close(fd)
        database, found = _load(copy, None)
        database.close()
    size_bytes = sum(part.length_bytes for part in found.parts)
    return JournalSummary(path, found.entry, len(found.parts), size_bytes, found.completing_crc64nvme is not None)


def _copy(path: Path, target: Path) -> None:
    for index, (old, new) in enumerate(zip([path, *sidecars(path)], [target, *sidecars(target)], strict=True)):
        try:
            content = read_own(old, MAX_JOURNAL_BYTES)
        except FileNotFoundError:
            if index == 0:
                raise
            continue
        if content is None:
            raise Damaged("it is too large for a journal")
        new.write_bytes(content)


def _load(path: Path, identity: tuple[str, str, str, str] | None) -> tuple[Database, Content]:
    database = Database(path, FORMAT)
    try:
        found = _read(database)
        entry = found.entry
        if entry is not None and identity not in (None, (entry.endpoint, entry.bucket, entry.key, entry.source)):
            raise Damaged("it is another upload's")
    except BaseException:
        database.close()
        raise
    return database, found


def _read(database: Database) -> Content:
    rows = database.rows("SELECT name, value, seal FROM fact")
    part_rows = database.rows("SELECT * FROM part ORDER BY number")
    facts = {name: (value, sealed) for name, value, sealed in rows}
    if not all(isinstance(text, str) for name, (value, _) in facts.items() for text in (name, value)):
        raise Damaged("it says what no journal says")
    if "entry" not in facts:
        if facts or part_rows:
            raise Damaged(NO_ENTRY)
        return Content()
    text, sealed = facts.pop("entry")
    upload = seal(["entry", text])
    if blob(upload) != sealed:
        raise Damaged("what it says about the upload isn't what was written")
    entry = load_entry(text)
    completing = None
    for name, (value, sealed) in facts.items():
        if name != "completing" or blob(seal([name, value], upload)) != sealed:
            raise Damaged("it says what no journal says")
        completing = int(value)
    if completing is not None and not 0 <= completing <= MAX_CRC:
        raise Damaged("the object's CRC is none")
    return Content(entry, upload, load_parts(part_rows, upload, entry.source_stat.size_bytes), completing)


def _path(directory: Path, *identity: str) -> Path:
    import hashlib

    return Path(directory).absolute() / (hashlib.sha256(dump(identity).encode()).hexdigest()[:32] + SUFFIX)
