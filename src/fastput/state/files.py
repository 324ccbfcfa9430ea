"""Opening files that nobody else may have put there, and the one way to say that they can't be used."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from fastput.errors import JournalError

OWNER_ONLY = 0o600


def unusable(path: Path, why: object) -> JournalError:
    """The error for a file or directory that can't be used, with what to do about it."""
    reason = why.strerror or str(why) if isinstance(why, OSError) else str(why)
    return JournalError(
        f"the journal can't be kept: {path}: {reason}; give another directory with --journal DIR, or go without "
        "one with --no-resume"
    )


def open_own(path: Path, flags: int) -> int:
    """A descriptor of this user's own regular file. If it is opened for writing, its mode is 0600 from then on.

    Raises:
        FileNotFoundError: it isn't there, and flags don't hold O_CREAT.
        JournalError: a symlink, a directory, a device, somebody else's, or not to be opened.
    """
    try:
        # O_NONBLOCK: a FIFO in its place would hold us until somebody writes to it.
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, OWNER_ONLY)
    except FileNotFoundError:
        if flags & os.O_CREAT:
            raise unusable(path.parent, "there is no such directory") from None
        raise
    except OSError as error:
        is_link = error.errno in (errno.ELOOP, errno.EMLINK)  # EMLINK on FreeBSD
        raise unusable(path, "it is a symbolic link" if is_link else error) from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise unusable(path, "it is not a regular file")
        if status.st_uid != os.geteuid():
            raise unusable(path, "it belongs to another user")
        if flags & os.O_RDWR and stat.S_IMODE(status.st_mode) != OWNER_ONLY:
            os.fchmod(fd, OWNER_ONLY)
    except OSError as error:
        os.close(fd)
        raise unusable(path, error) from None
    except JournalError:
        os.close(fd)
        raise
    return fd


def read_own(path: Path, max_bytes: int) -> bytes | None:
    """The content of this user's own regular file; None if it is longer.

    Raises:
        FileNotFoundError: it isn't there.
        JournalError: it can't be read.
    """
    fd = open_own(path, os.O_RDONLY)
    try:
        with open(fd, "rb", buffering=0) as file:
            content = bytearray()
            while len(content) <= max_bytes and (got := file.read(max_bytes + 1 - len(content))):
                content += got
    except OSError as error:
        raise unusable(path, error) from None
    return bytes(content) if len(content) <= max_bytes else None
