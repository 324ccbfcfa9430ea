"""A download's file until it is whole: beside its target, with a journal of what has arrived.

The journal is JSON, written at most once a second and never synced: what it says is read and hashed again before it is
believed, so a crash of the machine costs time and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fastput.errors import FastputError, JournalBusy, UsageError
from fastput.limits import MIB
from fastput.model import Checksum, Part, decode_crc, encode_crc
from fastput.native.slicer import FileBody
from fastput.text import printable
from fastput.units import format_size

_VERSION = 1
_MOST_NAME_BYTES = 255
_MOST_JOURNAL_BYTES = 256 * MIB
_WRITE_INTERVAL_S = 1.0
_HASH_THREADS = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """What is downloaded, and how it is cut: what a later run has to agree with."""

    uri: str
    etag: str
    size_bytes: int
    range_bytes: int


def unwritable(path: Path, error: OSError) -> FastputError:
    """The error for a file that can't be written."""
    return FastputError(f"{printable(str(path))}: can't be written: {error.strerror or error}")


class PartFile:
    """Open and locked from the moment it is made until finish() or leave(). Belongs to one thread."""

    def __init__(self, target: Path) -> None:
        """
        Raises:
            UsageError: the directory isn't there, or something else is in the file's place.
            JournalBusy: another process downloads to the same file.
        """
        self._target = target
        self.path, self._journal = beside(target)
        self.fd = _open(self.path, target)
        self._identity: Identity | None = None
        self._crcs: dict[int, int] = {}  # of ranges, by number
        self._written_at_s = 0.0

    def begin(self, identity: Identity, parts: Iterator[Part], is_wanted: Callable[[], None]) -> dict[int, int]:
        """Makes room.

        Args:
            parts: all ranges; not looked at before there is room for them.
            is_wanted: called now and then; raises if it isn't any more.

        Returns:
            The CRC64NVME of the ranges that an earlier run has left and that are still there, by number.

        Raises:
            UsageError: there isn't so much room.
        """
        self._identity = identity
        try:
            kept = self._load(identity)
            if not kept:
                os.ftruncate(self.fd, 0)
            self._check_room(identity.size_bytes)
            os.ftruncate(self.fd, identity.size_bytes)
            self._crcs = self._still_there(kept, parts, is_wanted)
        except OSError as error:
            raise unwritable(self.path, error) from error
        return dict(self._crcs)

    def note(self, part: Part, crc64nvme: int) -> None:
        """A range is there."""
        self._crcs[part.number] = crc64nvme
        if time.monotonic() - self._written_at_s >= _WRITE_INTERVAL_S:
            self._save()

    def finish(self, mtime_ns: int | None) -> None:
        """It is whole and becomes the target.

        Raises:
            FastputError: it can't be renamed.
        """
        try:
            if mtime_ns is not None:
                os.utime(self.fd, ns=(time.time_ns(), mtime_ns))
            os.replace(self.path, self._target)
        except OSError as error:
            raise unwritable(self._target, error) from error
        self._journal.unlink(missing_ok=True)
        os.close(self.fd)

    def leave(self, is_of_use: bool = True) -> None:
        """It isn't whole: a later run goes on with what is there, if it is of use."""
        if is_of_use and self._crcs:
            self._save()
        else:
            for path in (self._journal, self.path):
                with suppress(OSError):
                    path.unlink()
        os.close(self.fd)

    def _save(self) -> None:
        assert self._identity is not None
        self._written_at_s = time.monotonic()
        identity = self._identity
        document = {
            "version": _VERSION,
            "uri": identity.uri,
            "etag": identity.etag,
            "size_bytes": identity.size_bytes,
            "range_bytes": identity.range_bytes,
            "ranges": {str(number): encode_crc(crc, Checksum.CRC64NVME) for number, crc in self._crcs.items()},
        }
        fresh = self._journal.with_name(self._journal.name + "~")
        with suppress(OSError):  # then a later run begins anew
            fresh.unlink(missing_ok=True)
            fresh.write_text(json.dumps(document))
            fresh.replace(self._journal)

    def _load(self, identity: Identity) -> Mapping[int, int]:
        """What the journal says of this very object; nothing if anything of it makes no sense."""
        try:
            if os.fstat(self.fd).st_size != identity.size_bytes or self._journal.is_symlink():
                return {}
            if self._journal.stat().st_size > _MOST_JOURNAL_BYTES:
                return {}
            document = json.loads(self._journal.read_text())
            said = Identity(*(document[name] for name in ("uri", "etag", "size_bytes", "range_bytes")))
            if document["version"] != _VERSION or said != identity:
                return {}
            return {int(number): decode_crc(crc) for number, crc in document["ranges"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _still_there(
        self, kept: Mapping[int, int], parts: Iterator[Part], is_wanted: Callable[[], None]
    ) -> dict[int, int]:
        status = os.fstat(self.fd)

        def crc_of(part: Part) -> int:
            is_wanted()
            body = FileBody(self.fd, part.offset_bytes, part.length_bytes, status.st_size, status.st_mtime_ns)
            buffer = memoryview(bytearray(min(MIB, part.length_bytes)))
            while body.readinto(buffer):
                pass
            return body.crc64nvme

        known = [part for part in parts if part.number in kept]
        with ThreadPoolExecutor(_HASH_THREADS, thread_name_prefix="fastput-rehash") as pool:
            found = zip(known, pool.map(crc_of, known), strict=True)
            return {part.number: crc for part, crc in found if crc == kept[part.number]}

    def _check_room(self, size_bytes: int) -> None:
        disk = os.fstatvfs(self.fd)
        needed_bytes = size_bytes - os.fstat(self.fd).st_blocks * 512
        free_bytes = disk.f_bavail * disk.f_frsize
        if needed_bytes > free_bytes:
            raise UsageError(
                f"{printable(str(self._target))}: {format_size(needed_bytes)} are needed and "
                f"{format_size(free_bytes)} are free: make room, or give another directory"
            )


def beside(target: Path) -> tuple[Path, Path]:
    """The part file of a target and its journal."""
    name = target.name
    if len(os.fsencode(f".{name}.fastput-journal~")) > _MOST_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    return target.with_name(f".{name}.fastput-part"), target.with_name(f".{name}.fastput-journal")


def _open(path: Path, target: Path) -> int:
    try:
        while True:
            # O_NONBLOCK: a FIFO in its place would hold us.
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    raise UsageError(f"{printable(str(path))}: is in the way: remove it")
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have finished meanwhile: then this is its file, and no part any more.
                with suppress(FileNotFoundError):
                    if os.stat(path, follow_symlinks=False).st_ino == status.st_ino:
                        return fd
                os.close(fd)
            except BlockingIOError:
                os.close(fd)
                raise JournalBusy(f"{printable(str(target))}: another process downloads to it") from None
            except BaseException:
                with suppress(OSError):
                    os.close(fd)
                raise
    except OSError as error:
        why = "there is no such directory" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise UsageError(f"{printable(str(target))}: can't be written: {why}") from error
