"""A regular file, read by position."""

from __future__ import annotations

import os
import stat as stat_module

from fastput.errors import SourceChanged, SourceError, SourceNotFound, SourceReadError, SourceUnreadable
from fastput.model import Part, SourceStat
from fastput.native.slicer import FileBody, PartBody, is_cached, will_need, wont_need
from fastput.source.base import SourceBase

_KINDS = {
    stat_module.S_IFDIR: "a directory",
    stat_module.S_IFIFO: "a pipe: send it with - as the source, e.g. fastput put - s3://bucket/key < pipe",
    stat_module.S_IFSOCK: "a socket",
    stat_module.S_IFCHR: "a character device",
    stat_module.S_IFBLK: "a block device: send it with - as the source",
}
# Of st_blocks, whatever the file system's are.
_BLOCK_BYTES = 512


class FileSource(SourceBase):
    """An open regular file.

    Parts that weren't in the page cache when they were planned are read ahead, and dropped from the cache when the
    store has them: an upload of 5 TB evicts nothing that somebody else uses. What was cached before stays.
    Holes of sparse files aren't read.

    Raises:
        SourceNotFound, SourceUnreadable: from the constructor.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._shown = ascii(self.name) if not self.name.isprintable() else self.name
        try:
            # O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. No effect on regular files.
            self._fd = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise SourceNotFound(f"{self._shown}: no such file") from None
        except PermissionError:
            raise SourceUnreadable(f"{self._shown}: no permission to read it") from None
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise SourceUnreadable(f"{self._shown}: can't be opened: {reason}") from None
        status = os.fstat(self._fd)
        if not stat_module.S_ISREG(status.st_mode):
            os.close(self._fd)
            kind = _KINDS.get(stat_module.S_IFMT(status.st_mode), "a special file")
            raise SourceUnreadable(f"{self._shown}: not a regular file but {kind}")
        if status.st_size == 0 and os.pread(self._fd, 1, 0):
            os.close(self._fd)
            raise SourceUnreadable(f"{self._shown}: says that it is empty and isn't: send it with - as the source")
        self._stat = _identity(status)
        self.size_bytes: int | None = status.st_size
        self._is_sparse = status.st_blocks * _BLOCK_BYTES < status.st_size
        self._cold_parts: set[int] = set()

    def stat(self) -> SourceStat:
        return self._stat

    def check_unchanged(self) -> None:
        now = _identity(os.fstat(self._fd))
        # Not the ctime: a chmod or a new link isn't a change of what was read.
        if (now.size_bytes, now.mtime_ns) != (self._stat.size_bytes, self._stat.mtime_ns):
            raise self._changed(f"it had {self._stat.size_bytes:,} bytes and has {now.size_bytes:,}"
                                if now.size_bytes != self._stat.size_bytes else "it was written to")  # fmt: skip
        try:
            in_place = os.stat(self.name)
        except OSError:
            raise self._changed("it was removed") from None
        if (in_place.st_dev, in_place.st_ino) != (now.device, now.inode):
            raise self._changed("another file stands in its place")

    def body(self, part: Part, trailer: str | None) -> PartBody:
        stat = self._stat
        return FileBody(
            self._fd, part.offset_bytes, part.length_bytes, stat.size_bytes, stat.mtime_ns, trailer, self._is_sparse
        )

    def failure_of(self, body: PartBody) -> SourceError | None:
        failure = body.failure
        if failure is None:
            return None
        if isinstance(failure, OSError):
            return SourceReadError(f"{self._shown}: reading failed: {failure.strerror}: check the disk")
        return self._changed(str(failure))

    def will_send(self, part: Part) -> None:
        # The middle and the end: the kernel's own readahead of the part before may have fetched the beginning.
        middle_bytes = part.offset_bytes + part.length_bytes // 2
        end_bytes = part.offset_bytes + max(part.length_bytes - 1, 0)
        if is_cached(self._fd, middle_bytes) is False or is_cached(self._fd, end_bytes) is False:
            self._cold_parts.add(part.number)
            will_need(self._fd, part.offset_bytes, part.length_bytes)

    def was_sent(self, part: Part) -> None:
        if part.number in self._cold_parts:
            self._cold_parts.discard(part.number)
            wont_need(self._fd, part.offset_bytes, part.length_bytes)

    def close(self) -> None:
        os.close(self._fd)

    def _changed(self, how: str) -> SourceChanged:
        return SourceChanged(f"{self._shown}: the file changed during the upload ({how}): send it when it is finished")


def _identity(status: os.stat_result) -> SourceStat:
    return SourceStat(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
