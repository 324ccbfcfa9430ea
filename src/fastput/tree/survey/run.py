"""Surveys trees: directories in parallel, in constant memory.

Each thread takes a directory, reads a batch of it, leaves the rest for later and puts what lies below on top of that:
so little is waiting at any time, however wide or deep a tree is.
"""

from __future__ import annotations

import os
import stat as stat_module
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastput.errors import Interrupted, SourceNotFound, SourceUnreadable
from fastput.native.scan import ROW, Batch, Directory
from fastput.tree.select import Selection
from fastput.tree.survey.duplicates import Finder
from fastput.tree.survey.facts import Share, Survey
from fastput.tree.survey.sample import Sample
from fastput.tree.survey.tally import Groups, Tally

# Metadata of Lustre and NFS takes milliseconds a call; on a local disk more than the CPUs don't help, nor hurt.
THREADS = 16
_BATCH_ENTRIES = 4_096
_SHOWN_NAMES = 20
_SHOWN_UNREADABLE = 100
_ROW = np.dtype(ROW)
_TYPE = 0o170000


@dataclass(frozen=True, slots=True)
class SurveyOptions:
    """
    Attributes:
        sample_mib: how much is read to see how well it compresses; 0: nothing.
        finds_duplicates: reads all files that have the same size as another.
        selection: of files that count; None: all.
        on_sizes: told the sizes of files, some thousands at a time, all of them in the end.
    """

    sample_mib: int = 64
    finds_duplicates: bool = False
    selection: Selection | None = None
    on_sizes: Callable[[NDArray[np.int64]], None] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a survey has come, for displays."""

    doing: str
    files: int
    size_bytes: int
    directories: int
    read_bytes: int = 0


@dataclass(slots=True)
class _Work:
    """A directory to be read, or to be read on.

    Attributes:
        root: which it was found under.
        top: the root's own directory that it lies in; b"": the root itself.
    """

    path: bytes
    root: bytes
    top: bytes
    directory: Directory | None = None


class _Surveyor:
    def __init__(self, roots: Sequence[bytes], options: SurveyOptions, stop: threading.Event) -> None:
        self._stop = stop
        self._several = len(roots) > 1
        self._selection = options.selection
        self._on_sizes = options.on_sizes
        self._now_ns = time.time_ns()
        self.tally = Tally(self._now_ns)
        self.extensions, self.tops = Groups(), Groups()
        self.sample = Sample(options.sample_mib)
        self.duplicates = Finder(stop) if options.finds_duplicates else None
        self.unreadable: list[tuple[bytes, str]] = []
        self.unreadable_count = 0
        self._waiting = [_Work(root, root, root if self._several else b"") for root in reversed(roots)]
        self._roots = set(roots)
        self._busy = 0
        self._changed = threading.Condition()  # guards all of the above but options
        self._error: BaseException | None = None

    def run(self) -> None:
        threads = [threading.Thread(target=self._guarded, name=f"fastput-survey-{i}") for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._stop.set()
                self._changed.notify_all()

    def _work(self) -> None:
        batch = Batch(_BATCH_ENTRIES)
        rows = np.frombuffer(memoryview(batch), dtype=_ROW)
        places: list[tuple[int, _Work]] = []  # from which row on which directory
        while (work := self._take()) is not None or places:
            has_more, failure, first = False, None, len(batch)
            if work is not None:
                places.append((first, work))
                try:
                    if work.directory is None:
                        work.directory = Directory(work.path, work.path in self._roots)
                    has_more = work.directory.read(batch)
                except OSError as error:
                    failure = error.strerror or str(error)
            below = [] if work is None else self._below(work, batch, rows, first)
            with self._changed:
                if work is not None:
                    if failure is not None:
                        self._cannot(work.path, failure)
                    self._waiting += [work, *below] if has_more else below
                    self._busy -= 1
                # Counting costs as much for one row as for thousands.
                if work is None or has_more or len(batch) >= _BATCH_ENTRIES // 2:
                    self._count(batch, rows[: len(batch)], places)
                    batch.clear()
                    places = []
                self._changed.notify_all()

    def _take(self) -> _Work | None:
        """The next directory; None: there is nothing more to do."""
        with self._changed:
            while not self._waiting and self._busy and not self._stop.is_set():
                self._changed.wait()
            if self._stop.is_set() or not self._waiting:
                return None
            self._busy += 1
            return self._waiting.pop()

    def _below(self, work: _Work, batch: Batch, rows: NDArray[Any], first: int) -> list[_Work]:
        kinds = rows["mode"][first : len(batch)] & _TYPE
        found = []
        for i in np.flatnonzero(kinds == stat_module.S_IFDIR):
            name = batch.name(first + int(i))
            top = work.top or name
            found.append(_Work(os.path.join(work.path, name), work.root, top))
        return found

    def _count(self, batch: Batch, rows: NDArray[Any], places: list[tuple[int, _Work]]) -> None:
        starts = [first for first, _ in places]

        def work_of(i: int) -> _Work:
            return places[int(np.searchsorted(starts, i, side="right")) - 1][1]

        def path_of(i: int) -> bytes:
            return os.path.join(work_of(i).path, batch.name(i))

        takes = None
        if self._selection is not None:
            entries, selection = batch.entries(), self._selection

            def takes(i: int) -> bool:
                path = self._rule_path(work_of(i).root, path_of(i))
                return selection.takes(path) and selection.why_not(entries[i], self._now_ns) is None

        files = self.tally.add(rows, lambda i: os.fsdecode(path_of(i)), takes)
        sizes = rows["size_bytes"]
        if self._on_sizes is not None:
            self._on_sizes(sizes[files])
        self.sample.add(sizes[files], lambda i: path_of(int(files[i])))
        extensions, sizes_list = batch.extensions(0), sizes.tolist()
        for i in files.tolist():
            self.extensions.add(extensions[i], 1, sizes_list[i])
            if self.duplicates is not None:
                self.duplicates.add(sizes_list[i], path_of(i))
        for (first, work), end in zip(places, [*starts[1:], len(rows)], strict=True):
            low, high = np.searchsorted(files, (first, end))
            if high > low:
                self.tops.add(work.top, int(high - low), int(sizes[files[low:high]].sum()))
        for i in np.flatnonzero(rows["mode"] == 0):
            self._cannot(path_of(int(i)), os.strerror(int(rows["error"][i])))

    def _rule_path(self, root: bytes, path: bytes) -> str:
        """What rules match: below the root, and behind its name where there are several, as their keys are."""
        below = os.path.relpath(path, root)
        return os.fsdecode(os.path.join(os.path.basename(os.path.abspath(root)), below) if self._several else below)

    def _cannot(self, path: bytes, why: str) -> None:
        self.unreadable_count += 1
        if len(self.unreadable) < _SHOWN_UNREADABLE:
            self.unreadable.append((path, why))


def survey(
    roots: Sequence[str | os.PathLike[str]],
    options: SurveyOptions = SurveyOptions(),
    stop: threading.Event | None = None,
    on_seen: Callable[[Seen], None] | None = None,
    every_s: float = 0.2,
) -> Survey:
    """Looks at trees without sending anything. Links aren't followed, but a root may be one.

    Args:
        stop: ends it.
        on_seen: told how far it has come, on a thread of its own.

    Raises:
        SourceNotFound, SourceUnreadable: a root isn't a directory that can be read.
        Interrupted: stop was set.
    """
    begun_s = time.monotonic()
    stop = stop or threading.Event()
    paths = [_check(os.fspath(root)) for root in roots]
    surveyor = _Surveyor(paths, options, stop)
    tally = surveyor.tally
    doing, read_bytes = "looking", 0
    ended = threading.Event()

    def tell() -> None:
        assert on_seen is not None
        is_last = False
        while not is_last:
            is_last = ended.wait(every_s)
            on_seen(Seen(doing, tally.files, tally.size_bytes, tally.directories, read_bytes))

    teller = threading.Thread(target=tell, name="fastput-survey-display", daemon=True) if on_seen else None
    if teller is not None:
        teller.start()
    try:
        surveyor.run()
        compression = duplicates = None
        if options.sample_mib and not stop.is_set():
            doing = "compressing a sample"
            compression = surveyor.sample.compress()
        if surveyor.duplicates is not None and not stop.is_set():
            doing = "comparing files of the same size"

            def count(more_bytes: int) -> None:
                nonlocal read_bytes
                read_bytes += more_bytes

            duplicates = surveyor.duplicates.find(count)
    finally:
        ended.set()
        if teller is not None:
            teller.join()
    if stop.is_set():
        raise Interrupted("the survey was interrupted")
    return Survey(
        roots=tuple(os.fspath(root) for root in roots),
        total=Share(tally.files, tally.size_bytes),
        disk_bytes=tally.disk_bytes,
        directory_count=tally.directories,
        link_count=tally.links,
        special_count=tally.special,
        hard_links=tally.hard_links,
        unreadable_count=surveyor.unreadable_count,
        unreadable=tuple((os.fsdecode(path), why) for path, why in surveyor.unreadable),
        sizes=tally.sizes(),
        extensions=surveyor.extensions.largest(_SHOWN_NAMES),
        directories=surveyor.tops.largest(_SHOWN_NAMES),
        ages=tally.ages(),
        took_s=time.monotonic() - begun_s,
        compression=compression,
        duplicates=duplicates,
    )


def _check(root: str) -> bytes:
    path = os.fsencode(root)
    try:
        Directory(path, True).close()
    except FileNotFoundError:
        raise SourceNotFound(f"{root}: no such directory") from None
    except NotADirectoryError:
        raise SourceUnreadable(f"{root}: not a directory") from None
    except OSError as error:
        raise SourceUnreadable(f"{root}: can't be read: {error.strerror}") from None
    return path
