"""One process, and in it one journal, at a time.

flock on a file beside the journal, not SQLite's own lock: POSIX locks, which SQLite uses, don't see a second use in the
same process and are lost when any descriptor of the file is closed. The kernel releases it when the process ends,
however it ends. The file says who holds it, for people.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from fastput.errors import JournalBusy
from fastput.state.files import open_own, read_own, unusable

# fastput listing journals holds a lock for as long as it takes to copy a small file.
PATIENCE_S = 0.05
POLL_S = 0.005
MAX_ATTEMPTS = 1000
MAX_NOTE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a journal, and for which upload."""

    pid: int
    host: str
    uri: str
    source: str

    def __str__(self) -> str:
        if self.host != os.uname().nodename:
            return f"process {self.pid} on {self.host}"
        return "this process" if self.pid == os.getpid() else f"process {self.pid}"


class Lock:
    """Held from the moment it is made to release(), or to the end of the process."""

    def __init__(self, path: Path, uri: str, source: str) -> None:
        """Takes the lock, or finds it taken within PATIENCE_S.

        Raises:
            JournalBusy: somebody else has it.
            JournalError: the file system has no locks, or the file can't be made.
        """
        self._path = path
        self._fd = _acquire(path, uri, source)
        note = json.dumps(asdict(Owner(os.getpid(), os.uname().nodename, uri, source))).encode()
        with suppress(OSError):  # a full disk: whoever finds it locked isn't told by whom
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, note, 0)
        _held.add(self)

    def release(self) -> None:
        """Removes the file and lets go of it."""
        if self._fd < 0:
            return
        with suppress(OSError):
            if _is_at(self._fd, self._path):
                # While it is held: who has opened it and waits sees then that the path is another file, or none.
                self._path.unlink()
        self.forget()

    def forget(self) -> None:
        """Closes the file, and no more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_all() -> None:
    # A child shares its parent's flock: it would keep it, unknowing, when the parent has been killed.
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_all)


def _acquire(path: Path, uri: str, source: str) -> int:
    deadline_s = time.monotonic() + PATIENCE_S
    for _ in range(MAX_ATTEMPTS):
        fd = open_own(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise unusable(path, f"it can't be locked: {error.strerror}") from None
            if time.monotonic() >= deadline_s:
                raise JournalBusy(f"{uri}: {_holder(path)} is sending {source} there: let it end, or stop it") from None
            time.sleep(POLL_S)
            continue
        if _is_at(fd, path):
            return fd
        os.close(fd)  # its owner has removed it since we opened it
    raise unusable(path, "it is replaced all the time")


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except OSError:
        return False


def _holder(path: Path) -> str:
    return str(read_owner(path) or "another process")


def read_owner(path: Path) -> Owner | None:
    """Who wrote the lock's file. None if that can't be told."""
    try:
        document = json.loads(read_own(path, MAX_NOTE_BYTES) or b"")
        owner = Owner(document["pid"], document["host"], document["uri"], document["source"])
    except Exception:  # whatever may be wrong with it
        return None
    texts = (owner.host, owner.uri, owner.source)
    return owner if type(owner.pid) is int and all(isinstance(text, str) for text in texts) else None


def share(path: Path) -> int | None:
    """A descriptor that keeps owners out until it is closed, or None while there is one.

    Raises:
        FileNotFoundError: no lock, so no owner.
        JournalError: the file can't be opened, or not be locked.
    """
    fd = open_own(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise unusable(path, f"it can't be locked: {error.strerror}") from None
    return fd
