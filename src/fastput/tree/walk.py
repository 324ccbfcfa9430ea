"""A directory tree as a sorted stream, in the order in which S3 lists its keys: so that both can be merged.

    walk(root) -> Found (to be sent) and Passed (why not), one after the other

Within a directory entries come in the order of the bytes of their names, a directory's with a "/" behind it. What
a few directories hold is in memory, never the tree: directories ahead are read while those before are consumed, and
the entries of one with very many are sorted on disk.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from fastput.native.scan import Batch, Directory, Entry
from fastput.tree.links import RECORD_SUFFIX, LinkPolicy
from fastput.tree.runs import Runs

# A directory with more is sorted on disk: 10,000 entries take 3 MB.
_MOST_IN_MEMORY = 10_000
_BATCH_ENTRIES = 2_048
# Lustre and NFS answer in milliseconds: so many directories are asked for at the same time.
_AHEAD = 8

_KINDS = {
    stat_module.S_IFIFO: "a pipe",
    stat_module.S_IFSOCK: "a socket",
    stat_module.S_IFCHR: "a character device",
    stat_module.S_IFBLK: "a block device",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file, a link to be recorded, or a directory where those are asked for.

    Attributes:
        path: below the root.
        key_path: the same as it is to stand in a key.
    """

    path: bytes
    key_path: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class Passed:
    """What isn't to be sent.

    Attributes:
        path: below the root; b"": the root itself.
        reason: e.g. "a socket".
        is_failure: it was meant to be sent, and can't be.
        is_directory: nothing is known of what lies below.
    """

    path: bytes
    reason: str
    is_failure: bool = False
    is_directory: bool = False


def walk(
    root: str | os.PathLike[str],
    links: LinkPolicy = LinkPolicy.SKIP,
    enters: Callable[[bytes], bool] = lambda directory: True,
    tells_directories: bool = False,
) -> Iterator[Found | Passed]:
    """Everything below a directory, sorted by key_path.

    Args:
        root: a directory, or a link to one.
        enters: whether a directory, named by its path below the root, is looked into.
        tells_directories: those that are looked into are found too, before what lies in them.
    """
    pool = ThreadPoolExecutor(_AHEAD, "fastput-walk")
    try:
        yield from _Walk(os.fsencode(root), links, enters, pool, tells_directories).run()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def as_entry(name: bytes, status: os.stat_result) -> Entry:
    """What stat has said of a name."""
    return Entry(
        name, status.st_mode, status.st_size, status.st_blocks * 512, status.st_mtime_ns, status.st_ctime_ns,
        status.st_ino, status.st_dev, status.st_nlink, status.st_uid, status.st_gid,
    )  # fmt: skip


def look(path: bytes, entry: Entry, links: LinkPolicy) -> Found | Passed:
    """What becomes of an entry that isn't a directory that is walked."""
    if entry.error:
        if entry.is_link and entry.error == errno.ENOENT:
            return Passed(path, "a link to nothing", is_failure=True)
        return Passed(path, f"can't be looked at: {os.strerror(entry.error)}", is_failure=True)
    if entry.is_file:
        return Found(path, path, entry)
    if entry.is_directory:
        return Passed(path, "a directory, where a file was named", is_failure=True)
    if entry.is_link:
        if links is LinkPolicy.RECORD:
            return Found(path, path + RECORD_SUFFIX, entry)
        return Passed(path, "a symbolic link")
    return Passed(path, _KINDS.get(stat_module.S_IFMT(entry.mode), "a special file"))


@dataclass
class _Level:
    """A directory on the way from the root to where the walk is.

    Attributes:
        prefix: its path below the root with a "/" behind it, or b"".
        identity: (device, inode), by which a loop is known.
        ahead: directories in it that are being read, in order, and those that will be.
    """

    prefix: bytes
    identity: tuple[int, int]
    entries: Iterator[Entry]
    ahead: deque[Future[_Listing]] = field(default_factory=deque)
    waiting: deque[bytes] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a directory holds, in order; in_memory: None where it is on disk."""

    entries: Iterator[Entry]
    in_memory: list[Entry] | None


class _Walk:
    def __init__(
        self,
        root: bytes,
        links: LinkPolicy,
        enters: Callable[[bytes], bool],
        pool: ThreadPoolExecutor,
        tells_directories: bool,
    ) -> None:
        self._root = root
        self._links = links
        self._enters = enters
        self._pool = pool
        self._tells_directories = tells_directories
        self._stack: list[_Level] = []

    def run(self) -> Iterator[Found | Passed]:
        try:
            status = os.stat(self._root)
            self._push(b"", (status.st_dev, status.st_ino), self._scan(b""))
        except OSError as error:
            yield _unreadable(b"", error)
        while self._stack:
            level = self._stack[-1]
            entry = next(level.entries, None)
            if entry is None:
                self._stack.pop()
            elif entry.is_directory:
                yield from self._descend(level, entry)
            else:
                yield look(level.prefix + entry.name, entry, self._links)

    def _descend(self, level: _Level, entry: Entry) -> Iterator[Found | Passed]:
        path = level.prefix + entry.name
        if not self._enters(path):
            return
        listing = level.ahead.popleft() if level.ahead else None
        self._read_ahead(level)
        identity = (entry.device, entry.inode)
        if any(above.identity == identity for above in self._stack):
            yield Passed(path, "a link back to a directory that it lies in", is_directory=True)
            return
        try:
            self._push(path + b"/", identity, listing.result() if listing is not None else self._scan(path))
        except OSError as error:
            yield _unreadable(path, error)
            return
        if self._tells_directories:
            yield Found(path, path + b"/", entry)

    def _push(self, prefix: bytes, identity: tuple[int, int], listing: _Listing) -> None:
        level = _Level(prefix, identity, listing.entries)
        if listing.in_memory is not None:
            paths = (prefix + entry.name for entry in listing.in_memory if entry.is_directory)
            level.waiting.extend(path for path in paths if self._enters(path))
        self._read_ahead(level)
        self._stack.append(level)

    def _read_ahead(self, level: _Level) -> None:
        while level.waiting and len(level.ahead) < _AHEAD:
            level.ahead.append(self._pool.submit(self._scan, level.waiting.popleft()))

    def _scan(self, path: bytes) -> _Listing:
        """Reads a directory. Any thread.

        Raises:
            OSError: it can't be read, or not to its end.
        """
        may_be_link = not path or self._links is LinkPolicy.FOLLOW
        directory = Directory(os.path.join(self._root, path), may_be_link)
        batch = Batch(_BATCH_ENTRIES)
        entries: list[Entry] = []
        runs: Runs | None = None
        has_more = True
        while has_more:
            batch.clear()
            has_more = directory.read(batch)
            entries += self._resolve(path, batch.entries())
            if len(entries) >= _MOST_IN_MEMORY or (runs is not None and not has_more):
                runs = runs or Runs(lambda row: row[0])
                runs.add([(self._order(entry), *entry.values()) for entry in entries])
                entries = []
        if runs is not None:
            return _Listing((Entry(*row[1:]) for row in runs.merged()), None)
        entries.sort(key=self._order)
        return _Listing(iter(entries), entries)

    def _resolve(self, path: bytes, entries: list[Entry]) -> list[Entry]:
        """Links replaced by what they point to, if they are to be followed."""
        if self._links is not LinkPolicy.FOLLOW:
            return entries
        return [self._follow(path, entry) if entry.is_link else entry for entry in entries]

    def _follow(self, path: bytes, entry: Entry) -> Entry:
        try:
            status = os.stat(os.path.join(self._root, path, entry.name))
        except OSError as error:
            return Entry(*entry.values()[:-1], error.errno or errno.EIO)
        return as_entry(entry.name, status)

    def _order(self, entry: Entry) -> bytes:
        if entry.is_directory:
            return entry.name + b"/"
        is_recorded = entry.is_link and self._links is LinkPolicy.RECORD
        return entry.name + RECORD_SUFFIX if is_recorded else entry.name


def _unreadable(path: bytes, error: OSError) -> Passed:
    return Passed(path, f"can't be read: {error.strerror or error}", is_failure=True, is_directory=True)
