"""The index that ratarmount keeps of an archive, so that it needn't read the archive to make one: a database of SQLite.

https://github.com/mxmlnkn/ratarmount
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastput.formats.members import IndexedMember
from fastput.formats.tar import Kind

# Version 0.5.0 of the index: later ones only add tables and columns, which ratarmount can do without.
_TABLES = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE "files" (
        "path" VARCHAR(65535) NOT NULL,
        "name" VARCHAR(65535) NOT NULL,
        "offsetheader" INTEGER,
        "offset" INTEGER,
        "size" INTEGER,
        "mtime" REAL,
        "mode" INTEGER,
        "type" INTEGER,
        "linkname" VARCHAR(65535),
        "uid" INTEGER,
        "gid" INTEGER,
        "istar" BOOL,
        "issparse" BOOL,
        PRIMARY KEY ("path", "name", "offsetheader")
    );
    CREATE TABLE "metadata" (
        "key" VARCHAR(65535) NOT NULL,
        "value" VARCHAR(65535) NOT NULL,
        PRIMARY KEY ("key")
    );
    CREATE TABLE "versions" (
        "name" VARCHAR(65535) NOT NULL,
        "version" VARCHAR(65535) NOT NULL,
        "major" INTEGER,
        "minor" INTEGER,
        "patch" INTEGER,
        PRIMARY KEY ("name")
    );
    INSERT INTO "versions" VALUES ('index', '0.5.0', 0, 5, 0);
"""
_NS_PER_S = 10**9
# A hard link has no type of its own there: that is how ratarmount knows it.
_TYPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK, Kind.HARDLINK: 0}

_Row = tuple[str | int | float | bytes, ...]


def write_index(
    path: Path, members: Iterable[IndexedMember], archive_bytes: int, frames: Iterable[tuple[int, int]] = ()
) -> None:
    """Writes the index of an archive. ratarmount finds it beside the archive as ARCHIVE.index.sqlite.

    Args:
        path: where no file is yet.
        archive_bytes: the size of the whole object: ratarmount refuses the index with a file of another size.
        frames: compressed bytes and content bytes of each frame of an archive that is compressed with zstd.

    Raises:
        sqlite3.Error: it can't be written.
    """
    # Without a time: it would have to be that of the archive's copy, which isn't known here.
    metadata = {
        "tarstats": json.dumps({"st_size": archive_bytes}),
        "backendName": "SQLiteIndexedTar",
        "isGnuIncremental": "0",
    }
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executescript(_TABLES)
        database.executemany(f'INSERT OR IGNORE INTO "files" VALUES ({",".join("?" * 13)})', _rows(members))
        database.executemany('INSERT INTO "metadata" VALUES (?,?)', metadata.items())
        places = list(_places(frames))
        if places:
            database.execute('CREATE TABLE "zstdblocks" ( blockoffset INTEGER PRIMARY KEY, dataoffset INTEGER )')
            database.executemany('INSERT INTO "zstdblocks" VALUES (?,?)', places)


def _rows(members: Iterable[IndexedMember]) -> Iterator[_Row]:
    """A row for each member, then for the directories that aren't members but hold some."""
    directories: set[str] = set()
    parents: set[str] = set()
    for member in members:
        # As ratarmount writes paths: it looks for nothing else.
        full = "/" + posixpath.normpath("/" + _text(member.name)).lstrip("/")
        if member.kind is Kind.DIRECTORY:
            directories.add(full)
        parent, name = above, _ = full.rsplit("/", 1)
        while above and above not in parents:
            parents.add(above)
            above = above.rsplit("/", 1)[0]
        yield (
            parent,
            name,
            member.header_offset_bytes,
            member.offset_bytes,
            member.size_bytes,
            member.mtime_ns / _NS_PER_S,
            stat.S_IMODE(member.mode) | _TYPES[member.kind],
            member.kind.value,
            _text(member.link),
            member.uid,
            member.gid,
            0,
            0,
        )
    # At offset 0: the row with the largest offset has to be that of the last member, behind which the archive ends.
    for full in sorted(parents - directories):
        parent, name = full.rsplit("/", 1)
        yield (parent, name, 0, 0, 0, 0, stat.S_IFDIR | 0o555, Kind.DIRECTORY.value, "", 0, 0, 0, 0)


def _places(frames: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where each frame and its content begin, and at last where both end."""
    offset_bytes = content_offset_bytes = 0
    for compressed_bytes, content_bytes in frames:
        yield offset_bytes, content_offset_bytes
        offset_bytes += compressed_bytes
        content_offset_bytes += content_bytes
    if offset_bytes:
        yield offset_bytes, content_offset_bytes


def _text(name: bytes) -> str:
    """What isn't UTF-8 as \\xff, which is how ratarmount shows it: SQLite's texts can't hold it."""
    return name.decode("utf-8", "backslashreplace")
