"""A directory as archives: Client.pack(). What lies in it is looked at first; then one archive after another is sent.

    walk -> members -> TarSource (> EncodedSource) -> an upload like any other -> the index beside it
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastput.engine.encoded import parse_note
from fastput.engine.job import COMPRESSED_SUFFIX, Job
from fastput.errors import FastputError, SourceError
from fastput.formats.members import csv_lines, sidecar_line
from fastput.formats.ratarmount import write_index
from fastput.formats.tar import Kind
from fastput.model import ObjectAttributes, ObjectUri, Receipt
from fastput.source import FileSource, Source
from fastput.source.tar import PackedFile, TarSource
from fastput.text import printable
from fastput.tree.links import LinkPolicy
from fastput.tree.pack import archives
from fastput.tree.roots import Root
from fastput.tree.select import Selection
from fastput.tree.walk import Found, Passed

TAR = ".tar"
# Behind the archive's key.
SQLITE, CSV, JSON_LINES = ".index.sqlite", ".csv", ".jsonl"


@dataclass(frozen=True, slots=True)
class PackOptions:
    """
    Attributes:
        most_bytes: of an archive, before it is compressed; None: all goes into one.
        links: SKIP leaves symbolic links out; FOLLOW packs what they point to; RECORD packs them as links.
        is_dry: nothing is sent, only told of.
    """

    most_bytes: int | None = None
    links: LinkPolicy = LinkPolicy.RECORD
    selection: Selection = field(default_factory=Selection)
    is_dry: bool = False


@dataclass(frozen=True, slots=True)
class PackReport:
    """What became of the members: planned = packed + skipped + failed.

    Attributes:
        archives: a receipt each.
        skipped: how many, by reason.
        first_error: of those that failed, or of an archive.
    """

    planned: int
    packed: int
    packed_bytes: int
    skipped: dict[str, int]
    failed: int
    archives: tuple[Receipt, ...]
    first_error: FastputError | None

    def check(self) -> None:
        """
        Raises:
            FastputError: the first of those that failed.
        """
        if self.first_error is not None:
            raise self.first_error


class PackEvents:
    """Told on the thread that called. All of it does nothing; to be overridden."""

    def planned(self, uri: str, members: int, size_bytes: int) -> None:
        """A dry run: this archive would be sent."""

    def sent(self, receipt: Receipt) -> None:
        """An archive, or an index of one, is there."""

    def skipped(self, path: bytes, reason: str) -> None: ...

    def failed(self, path: bytes, error: FastputError) -> None:
        """It was to be packed; if it is in an archive, zeros stand there."""

    def note(self, text: str) -> None: ...


class Packing:
    """One tree to archives. run() may be called once.

    Args:
        template: what all uploads have in common; its URI is that of the archive, or of the prefix it goes under.
        submit: the engine's.
    """

    def __init__(
        self,
        root: Root,
        template: Job,
        options: PackOptions,
        events: PackEvents,
        submit: Callable[[Job], Future[Receipt]],
    ) -> None:
        self._root = root
        self._template = template
        self._options = options
        self._events = events
        self._submit = submit
        self._planned = self._packed = self._packed_bytes = self._failed = 0
        self._skipped: dict[str, int] = {}
        self._receipts: list[Receipt] = []
        self._first_error: FastputError | None = None

    def run(self) -> PackReport:
        """
        Raises:
            SourceError: there is nothing to pack, or what there is can't be looked at.
        """
        options = self._options
        try:
            whole = list(archives(self._found(), self._root.path, options.most_bytes))
        except OSError as error:
            raise SourceError(f"{self._root.name}: {error.filename}: {error.strerror}") from None
        if not whole and self._first_error is None:
            raise SourceError(f"{printable(self._root.name)}: there is nothing to pack")
        for number, packed in enumerate(whole, 1):
            self._pack(packed, self._uri(number if options.most_bytes is not None else None))
        return PackReport(
            self._planned, self._packed, self._packed_bytes, self._skipped, self._failed, tuple(self._receipts),
            self._first_error,
        )  # fmt: skip

    def _found(self) -> Iterator[Found]:
        """What is to be packed; what isn't is counted. A directory comes along if it, or anything in it, is taken."""
        selection, now_ns = self._options.selection, time.time_ns()
        enters = lambda path: selection.enters(os.fsdecode(path))  # noqa: E731
        above: list[Found] = []  # directories that weren't taken yet
        for item in self._root.walk(self._options.links, enters, tells_directories=True):
            path = item.path
            above = [each for each in above if path.startswith(each.key_path)]
            if isinstance(item, Found) and item.entry.is_directory:
                above.append(item)
                if selection.takes(os.fsdecode(item.key_path)):
                    yield from above
                    above = []
            elif not selection.takes(os.fsdecode(path)):
                pass
            elif isinstance(item, Passed):
                self._pass(item)
            else:
                self._planned += 1
                if (why := selection.why_not(item.entry, now_ns)) is not None:
                    self._skip(path, why)
                else:
                    yield from above
                    above = []
                    yield item

    def _pass(self, passed: Passed) -> None:
        self._planned += 1
        if passed.is_failure:
            self._fail(passed.path, SourceError(f"{printable(os.fsdecode(passed.path))}: {passed.reason}"))
        else:
            self._skip(passed.path, passed.reason)

    def _skip(self, path: bytes, reason: str) -> None:
        self._skipped[reason] = self._skipped.get(reason, 0) + 1
        self._events.skipped(path, reason)

    def _fail(self, path: bytes, error: FastputError) -> None:
        self._failed += 1
        self._first_error = self._first_error or error
        self._events.failed(path, error)

    def _uri(self, number: int | None) -> ObjectUri:
        """KEY.tar, or KEY-0001.tar where there may be several; with the codec's suffix."""
        uri = self._template.uri
        key = uri.key
        if not key or key.endswith("/"):
            key += os.path.basename(self._root.name) or "root"
        suffix = COMPRESSED_SUFFIX if self._template.compression is not None else ""
        stem = key.removesuffix(suffix).removesuffix(TAR)
        place = "" if number is None else f"-{number:04d}"
        return uri.with_key(f"{stem}{place}{TAR}{suffix}")

    def _pack(self, packed: Sequence[PackedFile], uri: ObjectUri) -> None:
        content_bytes = sum(each.member.size_bytes for each in packed)
        count = sum(each.member.kind is not Kind.DIRECTORY for each in packed)
        if self._options.is_dry:
            self._events.planned(str(uri), count, content_bytes)
            self._packed += count
            self._packed_bytes += content_bytes
            return
        template = self._template
        source = TarSource(self._root.name, packed, has_tail=template.compression is None)
        try:
            receipt = self._submit(replace(template, open_source=lambda: source, uri=uri)).result()
            self._receipts.append(receipt)
            self._events.sent(receipt)
            self._index(source, receipt, uri)
        except FastputError as error:
            self._failed += count
            self._first_error = self._first_error or error
            self._events.failed(os.fsencode(str(uri)), error)
            return
        failures = source.failures()
        for place, why in failures.items():
            name = packed[place].member.name
            self._fail(name, SourceError(f"{printable(os.fsdecode(name))}: {why}: zeros stand for it in {uri}"))
        self._packed += count - len(failures)
        self._packed_bytes += content_bytes - sum(packed[place].member.size_bytes for place in failures)

    def _index(self, source: TarSource, receipt: Receipt, uri: ObjectUri) -> None:
        """The index for others, beside the archive."""
        indexed = list(source.indexed())
        frames = [frame for part in receipt.parts if part.note for frame in parse_note(part.note)[0]]
        with tempfile.TemporaryDirectory(prefix="fastput-") as directory:
            paths = {suffix: Path(directory, f"index{suffix}") for suffix in (SQLITE, CSV, JSON_LINES)}
            sizes = [(frame.compressed_bytes, frame.content_bytes) for frame in frames]
            write_index(paths[SQLITE], indexed, receipt.size_bytes, sizes)
            _write(paths[CSV], csv_lines(indexed))
            # Without failures it is what the archive holds itself.
            _write(paths[JSON_LINES], map(sidecar_line, indexed) if source.failures() else [source.index_payload()])
            jobs = [self._sidecar(path, uri.with_key(uri.key + suffix)) for suffix, path in paths.items()]
            futures = list(map(self._submit, jobs))
            for future in futures:
                self._events.sent(future.result())

    def _sidecar(self, path: Path, uri: ObjectUri) -> Job:
        def open_source() -> Source:
            return FileSource(path)

        attributes = ObjectAttributes(storage_class=self._template.attributes.storage_class)
        return replace(
            self._template, open_source=open_source, uri=uri, attributes=attributes, compression=None, digests=(),
            is_resumable=False,
        )  # fmt: skip


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(lines)
