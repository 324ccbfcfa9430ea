"""An archive's members become files, links and directories; which of them, and where, says unpacking.py.

Files come first, several groups at a time, then hard links and symbolic ones, then the modes of directories: nothing
is ever written through what the archive has made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastput.client.hashing import in_order
from fastput.client.reading.archive import Archive, check
from fastput.client.reading.got import Got, OnProgress, tried
from fastput.client.reading.landing_place import LandingPlace, refused
from fastput.client.reading.pour import pour, write_file
from fastput.client.reading.unpacking import Placed, groups, place
from fastput.errors import DamagedArchive
from fastput.formats.members import IndexedMember
from fastput.formats.tar import Kind
from fastput.model import Checksum, encode_crc
from fastput.native.crc import crc64nvme
from fastput.text import printable

_AT_ONCE = 4
# Threads that make small files side by side are slower than one, unless the disk is what they wait for.
_TURN_S = 1.0


class Unpacker:
    """
    Args:
        check_stop: called now and then; raises if nothing is wanted any more.
        on_progress: told of files that are read each by itself.
    """

    def __init__(
        self, archive: Archive, landing: LandingPlace, check_stop: Callable[[], None], on_progress: OnProgress
    ) -> None:
        self._archive = archive
        self._landing = landing
        self._check_stop = check_stop
        self._on_progress = on_progress
        self._turn = threading.Lock()  # of who makes small files
        self._originals: set[bytes] = set()  # the members that others are hard links to
        self._written: dict[bytes, Path] = {}  # those of them that are there

    def unpack(self, directory: bytes) -> Iterator[Got]:
        """What becomes of each file and link below a directory of the archive, b"" for all; and what is refused.

        Raises:
            DamagedArchive: the index isn't what was written.
            StoreError, EndpointError, CredentialsError: the index can't be read.
            Interrupted: nothing is wanted any more.
        """
        links = list(self._archive.links())
        self._originals = {link.link for link in links if link.kind is Kind.HARDLINK}
        placed_links: list[Placed] = []
        others = _without_links(place(self._archive.members(directory), directory, links), placed_links)
        with ThreadPoolExecutor(_AT_ONCE, "fastput-unpack") as pool:
            for results in in_order(pool, self._group, groups(others, self._archive.frame_at), 2 * _AT_ONCE):
                yield from results
        for kind in (Kind.HARDLINK, Kind.SYMLINK):
            yield from (self._tried(each, self._one) for each in placed_links if each.member.kind is kind)
        self._landing.finish()

    def member(self, member: IndexedMember, path: bytes) -> Got:
        """One file or link. Errors as unpack(), or in what is returned."""
        return self._tried(Placed(member, path), self._one)

    def _group(self, group: list[Placed]) -> list[Got]:
        if len(group) == 1 and group[0].member.kind is Kind.FILE:
            return [self._tried(group[0], self._one)]
        begin_bytes = group[0].member.offset_bytes
        last = group[-1].member
        length_bytes = last.offset_bytes + last.size_bytes - begin_bytes
        try:
            content = memoryview(b"" if self._landing.is_dry else self._archive.read(begin_bytes, length_bytes))
        except DamagedArchive:
            # One by one: some of them may be good.
            return self._each(group, self._one)

        def cut_out(placed: Placed, target: Path) -> None:
            member = placed.member
            at_bytes = member.offset_bytes - begin_bytes
            view = content[at_bytes : at_bytes + member.size_bytes]
            check(self._archive.span(member), crc64nvme(view))
            write_file(target, view, member.mode, member.mtime_ns)

        has_turn = self._turn.acquire(timeout=_TURN_S)
        try:
            return self._each(group, lambda placed: self._file(placed, placed.member, cut_out))
        finally:
            if has_turn:
                self._turn.release()

    def _each(self, group: list[Placed], make_file: Callable[[Placed], Got]) -> list[Got]:
        results: list[Got] = []
        for placed in group:
            is_directory = placed.member.kind is Kind.DIRECTORY
            got = self._tried(placed, self._directory if is_directory else make_file)
            if got.error is not None or not is_directory:
                results.append(got)
        return results

    def _tried(self, placed: Placed, work: Callable[[Placed], Got]) -> Got:
        self._check_stop()
        member = placed.member
        source = printable(self._archive.span(member).name)
        if placed.why:
            return Got(source, "", error=refused(member.name, placed.why))
        return tried(source, self._landing.path(placed.path), lambda: work(placed))

    def _directory(self, placed: Placed) -> Got:
        self._landing.directory(placed.path, placed.member.mode, placed.member.mtime_ns)
        return self._got(placed)

    def _one(self, placed: Placed) -> Got:
        """A file with requests of its own, or a link."""
        member = placed.member
        if member.kind is Kind.SYMLINK:
            self._landing.symlink(placed.path, member.link, member.mtime_ns)
            return self._got(placed)
        if member.kind is Kind.HARDLINK:
            if (original := self._written.get(member.link)) is not None:
                self._landing.hardlink(placed.path, original)
                return self._got(placed)
            member = self._archive.file(member.name)

        def read(placed: Placed, target: Path) -> None:
            span, source = self._archive.span(member), printable(self._archive.span(placed.member).name)
            pour(
                self._archive, span, target, member.mode, member.mtime_ns, self._check_stop,
                lambda arrived_bytes: self._on_progress(source, arrived_bytes, span.length_bytes),
            )  # fmt: skip

        return self._file(placed, member, read)

    def _file(self, placed: Placed, member: IndexedMember, write: Callable[[Placed, Path], None]) -> Got:
        """
        Args:
            member: which has the content.
        """
        self._archive.check_ok(member)
        if (target := self._landing.claim(placed.path)) is None:
            return self._got(placed, size_bytes=member.size_bytes)
        write(placed, target)
        if placed.member.name in self._originals:
            self._written[placed.member.name] = target
        crc = encode_crc(member.crc64nvme, Checksum.CRC64NVME)
        return self._got(placed, size_bytes=member.size_bytes, crc64nvme=crc, proof="crc64nvme")

    def _got(self, placed: Placed, **more: Any) -> Got:
        return Got(printable(self._archive.span(placed.member).name), str(self._landing.path(placed.path)), **more)


def _without_links(members: Iterator[Placed], links: list[Placed]) -> Iterator[Placed]:
    """What is left of them; the links are put aside."""
    for placed in members:
        if placed.member.kind in (Kind.SYMLINK, Kind.HARDLINK):
            links.append(placed)
        else:
            yield placed
