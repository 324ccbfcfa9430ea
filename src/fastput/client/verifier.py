"""Proves that objects are files, or what their receipts say. What proves what is proof.py; an object is
asked and read by look.py.

An object that was made of a file (put --compress), and a member of an archive (put --pack), are proven by their
content: by what the object says itself of it, or by reading it.

Calls block, and several threads may call at a time: pieces of all objects share one pool of threads, which bounds the
memory: a buffer of 1 MiB a thread, or 8 MiB of an object that is downloaded; of content that is read, 64 MiB a call.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from fastput.client.hashing import Hasher, changed
from fastput.client.look import Look, difference, downloaded
from fastput.client.proof import (
    Judgement,
    Outcome,
    judge_content,
    judge_shipped,
    needs_first_part,
    other_size,
)
from fastput.client.reading.archive import Archive, Archives, Span
from fastput.engine.retry import RetryPolicy
from fastput.errors import FastputError, IntegrityError, SourceChanged, StoreError, Unproven, UsageError
from fastput.formats.members import IndexedMember
from fastput.formats.receipt import Shipped
from fastput.formats.tail import ENCODING_METADATA
from fastput.formats.tar import Kind
from fastput.model import ObjectInfo, ObjectUri, Part
from fastput.source import Source
from fastput.store import Store
from fastput.text import printable

CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether one object is a file, or what its receipt says.

    Attributes:
        source: the file's name; of a receipt, that of the file that was sent.
        version_id: the version that was looked at, where the store has versions.
        key: of a member of an archive, as people name it: "run7.tar.zst//sub/a.fits".
        size_bytes: the object's, or the member's; None if there is none.
        proof: by what it was decided: "size", "crc64nvme", "sha256 of 3 parts", "md5 etag", "etag" (it is the
            receipt's), "download", "crc64nvme of its content". Empty if nothing decides, or there is no object.
        detail: what differs, why nothing is proven, or what is there instead of what is missing.
    """

    source: str
    bucket: str
    key: str
    version_id: str | None
    size_bytes: int | None
    outcome: Outcome
    proof: str = ""
    detail: str = ""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def is_same(self) -> bool:
        return self.outcome is Outcome.SAME

    def error(self) -> FastputError | None:
        """What it means, as an exception; None if it is the same."""
        about: dict[str, Any] = {"bucket": self.bucket, "key": self.key}
        uri, source = printable(self.uri), printable(self.source) or "what was sent"
        if self.outcome is Outcome.MISSING:
            why = self.detail or "there is no such object"
            return StoreError(f"{uri}: {why}", status=404, code="NoSuchKey", **about)
        if self.outcome is Outcome.DIFFERS:
            return IntegrityError(f"{uri}: it differs from {source}: {self.detail}", **about)
        if self.outcome is Outcome.UNPROVEN:
            return Unproven(f"{uri}: unproven: {self.detail}: give --deep to read it", **about)
        return None

    def check(self) -> None:
        """
        Raises:
            IntegrityError: it differs.
            StoreError: there is no object.
            Unproven: nothing decides.
        """
        if (error := self.error()) is not None:
            raise error

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        error = self.error()
        return {
            "outcome": self.outcome.value,
            "proof": self.proof,
            "source": self.source,
            "bucket": self.bucket,
            "key": self.key,
            "version_id": self.version_id,
            "size_bytes": self.size_bytes,
            "detail": self.detail,
            "exit_status": 0 if error is None else error.exit_status,
        }


class Verifier:
    """Compares objects of one store. Threads share it.

    Args:
        concurrency: the most pieces that are read or downloaded at a time.
    """

    def __init__(self, store: Store, concurrency: int = CONCURRENCY, policy: RetryPolicy | None = None) -> None:
        self._store = store
        self._window = 2 * concurrency
        self._policy = policy or RetryPolicy()
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="fastput-verify")
        self._stop = threading.Event()
        self._archives = Archives(store, self._policy)

    def verify(
        self, source: Source, uri: ObjectUri, deep: bool = False, shipped: Shipped | None = None
    ) -> Verification:
        """Whether the object has the source's bytes, or was made of them.

        Args:
            source: open, with a size.
            deep: download it, rather than believe what the store says.
            shipped: a receipt that may know how the object was cut into parts.

        Raises:
            SourceError: it can't be read, or is written to.
            DamagedArchive: the object was made of something, and isn't what was written.
            StoreError, EndpointError, CredentialsError: the store can't be asked.
            Interrupted: cancel() was called.
        """
        if source.size_bytes is None:
            raise UsageError(f"{source.name}: a stream can't be read twice: give a file")
        look = Look(self._store, uri, None, self._pool, self._window, self._policy, self._stop)
        info = look.head()
        if info is None:
            judgement = Judgement(Outcome.MISSING, detail=look.instead())
            return _verification(source.name, uri, info, judgement)
        hasher = Hasher(source, self._pool, self._window, self._stop)
        judgement = other_size(info.size_bytes, source.size_bytes, "the file") or (
            look.compare_all(info, source, hasher) if deep else look.compare_claims(info, hasher, shipped)
        )
        if judgement.outcome is not Outcome.SAME and ENCODING_METADATA in info.metadata:
            archive = self._archives.open(uri)
            if archive.is_compressed:
                made = _compare_content(archive, archive.content(), source, hasher, deep)
                # Of a copy of the object as it is stored, what was found before says more.
                if made.outcome is Outcome.SAME or judgement.proof == "size":
                    info, judgement = archive.info, made
        _check_unchanged(source)
        return _verification(source.name, uri, info, judgement)

    def open(self, uri: ObjectUri) -> Archive:
        """An archive, for verify_member().

        Raises:
            DamagedArchive: it was one of ours, and isn't what was written.
            StoreError, EndpointError, CredentialsError: it can't be read.
        """
        return self._archives.open(uri)

    def verify_member(
        self, source: Source, archive: Archive, name: bytes, member: IndexedMember | None, deep: bool = False
    ) -> Verification:
        """Whether a file of an archive has the source's bytes. Errors as verify().

        Args:
            member: with this name, a file or a hard link; None: there is none.

        Raises:
            SourceError: also if zeros stand in the member's place.
        """
        uri = ObjectUri(archive.uri.bucket, f"{archive.uri.key}//{name.decode('utf-8', 'surrogateescape')}")
        if member is None:
            judgement = Judgement(Outcome.MISSING, detail="there is no such file in the archive")
            return _verification(source.name, uri, None, judgement)
        if member.kind is Kind.HARDLINK:
            member = archive.file(member.name)
        archive.check_ok(member)
        hasher = Hasher(source, self._pool, self._window, self._stop)
        judgement = _compare_content(archive, archive.span(member), source, hasher, deep)
        _check_unchanged(source)
        return _verification(source.name, uri, replace(archive.info, size_bytes=member.size_bytes), judgement)

    def verify_shipped(self, shipped: Shipped, deep: bool = False) -> Verification:
        """Whether the object, of the receipt's version if it has one, is what the receipt says. Errors as verify()."""
        uri = shipped.uri
        look = Look(self._store, uri, shipped.version_id, self._pool, self._window, self._policy, self._stop)
        try:
            info = look.head()
        except StoreError as error:
            # "null" is the version of what was written without versions: not every store takes its own word for it.
            if shipped.version_id != "null" or error.status not in (400, 501):
                raise
            look = replace(look, version_id=None)
            info = look.head()
        if info is None:
            judgement = Judgement(Outcome.MISSING)
        elif not deep:
            first_part_bytes = look.part_bytes(1) if needs_first_part(shipped, info) else None
            judgement = judge_shipped(shipped, info, uri, first_part_bytes)
        else:
            wrong_size = other_size(info.size_bytes, shipped.size_bytes, "the receipt")
            judgement = wrong_size or look.compare_crc(info, shipped)
        return _verification(shipped.source, uri, info, judgement)

    def cancel(self) -> None:
        """Ends what is under way with Interrupted."""
        stop, self._stop = self._stop, threading.Event()
        archives, self._archives = self._archives, Archives(self._store, self._policy)
        stop.set()
        archives.cancel()

    def close(self) -> None:
        """Ends the threads. The store stays open."""
        self._pool.shutdown()
        self._archives.close()


def _verification(source: str, uri: ObjectUri, info: ObjectInfo | None, judgement: Judgement) -> Verification:
    return Verification(
        source=source,
        bucket=uri.bucket,
        key=uri.key,
        version_id=info.version_id if info is not None else None,
        size_bytes=info.size_bytes if info is not None else None,
        outcome=judgement.outcome,
        proof=judgement.proof,
        detail=judgement.detail,
    )


def _check_unchanged(source: Source) -> None:
    try:
        source.check_unchanged()
    except SourceChanged:
        raise changed(source, "it isn't what it was when it was opened") from None


def _compare_content(archive: Archive, span: Span, source: Source, hasher: Hasher, deep: bool) -> Judgement:
    """Whether a range of what an object holds is the source."""
    if (judgement := other_size(span.length_bytes, source.size_bytes or 0, "the file", "its content")) is not None:
        return judgement
    if not deep:
        return judge_content(span.crc64nvme, int.from_bytes(hasher.whole("crc64nvme"), "big"))
    place: int | None = None
    offset_bytes = 0
    with closing(archive.stream(span)) as views:
        # To its end, also behind a difference: only there it is known to be what was written.
        for number, view in enumerate(views, start=1):
            if place is None:
                place = difference(view, Part(number, offset_bytes, len(view)), source, hasher)
            offset_bytes += len(view)
    return downloaded(place)
