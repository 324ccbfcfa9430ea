"""Objects, what lies under a prefix, and members of archives become files.

An object is opened by its end. What says itself what it holds (formats/tail.py) is read that way, decompressed, and
compared with what it says; other objects are downloaded as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from fastput.client.hashing import in_order
from fastput.client.reading.archive import Archive, Archives
from fastput.client.reading.download import Downloads
from fastput.client.reading.got import Got, OnProgress, tried
from fastput.client.reading.landing_place import LandingPlace, path_of
from fastput.client.reading.listing import objects
from fastput.client.reading.pour import pour
from fastput.client.reading.unpack import Unpacker
from fastput.client.reading.uris import Location
from fastput.errors import FastputError, Interrupted, UsageError
from fastput.formats.tar import Kind
from fastput.model import Checksum, ListedObject, ObjectUri, Progress, encode_crc
from fastput.store import Store
from fastput.text import printable
from fastput.tree.times import kept_mtime_ns

_AT_ONCE = 8
_SUFFIX = b".zst"


class Getter:
    """Of one store. Calls block.

    Args:
        raw: objects as they are stored, also compressed ones.
        no_clobber: files that are there already are left alone.
        dry_run: nothing is written.
        on_progress: told of what is too large to come with one request.
    """

    def __init__(
        self,
        store: Store,
        archives: Archives,
        downloads: Downloads,
        *,
        raw: bool = False,
        no_clobber: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress = lambda source, arrived_bytes, size_bytes: None,
    ) -> None:
        self._store = store
        self._archives = archives
        self._downloads = downloads
        self._raw = raw
        self._no_clobber = no_clobber
        self._is_dry = dry_run
        self._on_progress = on_progress

    def get(self, sources: Sequence[str], destination: str) -> Iterator[Got]:
        """What becomes of each, in their order.

        What lies under a prefix or in a directory goes right below the destination; of several sources each goes there
        under its own name.

        Raises:
            UsageError: they can't go there.
            Interrupted: it was cancelled.
        """
        locations = [Location.parse(source) for source in sources]
        is_one = len(locations) == 1
        is_directory = destination.endswith("/") or os.path.isdir(destination)
        if not is_one and not is_directory:
            raise UsageError(f"{len(locations)} objects need a directory: end {destination} with a /")
        for location in locations:
            name = location.last_name.encode("utf-8", "surrogateescape")
            try:
                below = destination if is_one or not name else os.path.join(destination, os.fsdecode(path_of(name)))
                if location.member is not None:
                    yield from self._members(location, destination, below, is_directory)
                elif location.is_prefix:
                    yield from self._prefix(location.uri, self._landing(below))
                else:
                    landing, path = self._file(destination, is_directory, name)
                    yield self._object(location.uri, landing, path, takes_suffix=is_directory)
            except Interrupted:
                raise
            except FastputError as error:
                yield Got(str(location), destination, error=error)

    def _landing(self, root: str) -> LandingPlace:
        return LandingPlace(root, self._no_clobber, self._is_dry)

    def _file(self, destination: str, is_directory: bool, name: bytes) -> tuple[LandingPlace, bytes]:
        """Where a single file goes."""
        if is_directory:
            return self._landing(destination), path_of(name)
        parent, last = os.path.split(destination)
        return self._landing(parent or "."), os.fsencode(last)

    def _members(self, location: Location, destination: str, below: str, is_directory: bool) -> Iterator[Got]:
        archive = self._archives.open(location.uri)
        name = location.name
        member = archive.find(name) if name else None
        # A directory may have no member of its own.
        has_more = member is None or member.kind is Kind.DIRECTORY
        if not name or (has_more and next(archive.members(name), member) is not None):
            yield from self._unpacker(archive, self._landing(below)).unpack(name)
            return
        landing, path = self._file(destination, is_directory, name.rpartition(b"/")[2])
        member = member or archive.file(name)
        yield self._unpacker(archive, landing).member(member, path)

    def _unpacker(self, archive: Archive, landing: LandingPlace) -> Unpacker:
        return Unpacker(archive, landing, self._archives.check_stop, self._on_progress)

    def _prefix(self, prefix: ObjectUri, landing: LandingPlace) -> Iterator[Got]:
        def get(key: str) -> Got:
            name = key[len(prefix.key) :].encode("utf-8", "surrogateescape")
            uri = ObjectUri(prefix.bucket, key)

            def work() -> Got:
                return self._object(uri, landing, path_of(name), takes_suffix=True)

            return tried(str(uri), landing.path(name.replace(b"\0", b"")), work)

        # What others have put there for a directory is none to us.
        found = (each.key for each in objects(self._store, prefix) if isinstance(each, ListedObject))
        keys = (key for key in found if not key.endswith("/"))
        with ThreadPoolExecutor(_AT_ONCE, "fastput-object") as pool:
            yield from in_order(pool, get, keys, 2 * _AT_ONCE)

    def _object(self, uri: ObjectUri, landing: LandingPlace, path: bytes, takes_suffix: bool) -> Got:
        def tell(progress: Progress) -> None:
            self._on_progress(progress.uri, progress.sent_bytes, progress.size_bytes or 0)

        def work() -> Got:
            self._archives.check_stop()
            archive = self._archives.open(uri, self._raw)
            name = path.removesuffix(_SUFFIX) if archive.is_compressed and takes_suffix else path
            span = archive.content()
            got = Got(str(uri), str(landing.path(name)), span.length_bytes)
            if (target := landing.claim(name)) is None:
                return got
            if archive.is_ours or (archive.is_here and span.crc64nvme is not None):
                crc = pour(
                    archive, span, target, None, kept_mtime_ns(archive.info.metadata), self._archives.check_stop,
                    lambda arrived_bytes: self._on_progress(str(uri), arrived_bytes, span.length_bytes),
                )  # fmt: skip
                return replace(got, crc64nvme=encode_crc(crc, Checksum.CRC64NVME), proof="crc64nvme")
            if target.is_dir():
                raise UsageError(f"{printable(str(target))}: is a link to a directory: remove it, or give another name")
            receipt = self._downloads.get(uri, target, on_progress=tell)
            return replace(got, size_bytes=receipt.size_bytes, crc64nvme=receipt.crc64nvme, proof=receipt.proof)

        return tried(str(uri), landing.path(path), work)
