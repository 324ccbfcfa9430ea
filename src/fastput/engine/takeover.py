"""Takes over what an earlier run has sent. Blocks, and reads parts of the source again; for a control thread.

The pure half, what agrees with what, is resume.py.
"""

from __future__ import annotations

import base64
import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fastput.engine.completion import Finisher
from fastput.engine.control import persist
from fastput.engine.multipart import Completion
from fastput.engine.plan import Plan
from fastput.engine.resume import (
    SAMPLE_PARTS,
    gaps,
    is_md5,
    likely_part_bytes,
    likely_places,
    sample,
    still_there,
)
from fastput.engine.retry import RetryPolicy
from fastput.errors import FastputError, Interrupted, StoreError, UploadGone, UsageError
from fastput.limits import MIB
from fastput.model import Checksum, ConfirmedPart, ListedPart, ObjectUri, Part, SourceStat, encode_crc
from fastput.native.crc import crc32c
from fastput.source import Source
from fastput.state.journal import Journal
from fastput.state.rows import JournalEntry
from fastput.store import Completed, Store

_READ_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class Taken:
    """What goes on: the parts that needn't be sent, or even an object that is there already."""

    upload_id: str
    parts: tuple[ConfirmedPart, ...]
    part_bytes: int
    done: tuple[Completion, Completed] | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """
    Attributes:
        say: told in one sentence what was found and what follows.
        checks_all: read every part again, not a sample.
        verifies_etag: the same, and each part's MD5 is compared with its ETag.
        stop: ends the reading.
    """

    store: Store
    uri: ObjectUri
    source: Source
    plan: Plan
    checksum: Checksum
    checks_all: bool
    verifies_etag: bool
    policy: RetryPolicy
    stop: threading.Event
    say: Callable[[str], None]

    def from_journal(self, journal: Journal, finisher: Finisher) -> Taken | None:
        """What the journal's upload still holds; None: start anew.

        Raises:
            FastputError: the store can't be asked, or the source can't be read.
        """
        entry = journal.entry
        assert entry is not None
        stat = self.source.stat()
        assert stat is not None
        noted = entry.source_stat
        if (stat.size_bytes, stat.mtime_ns) != (noted.size_bytes, noted.mtime_ns):
            self.give_up(entry.upload_id, "the file isn't the one whose upload was begun")
            return None
        plan = replace(self.plan, is_multipart=True, part_bytes=entry.part_bytes)
        try:
            listed = self._list(entry.upload_id)
        except UploadGone:
            done = self._was_completed(journal, plan, finisher)
            if done is None:
                self.say(f"{self.uri}: the store has forgotten the upload that was begun: starting anew")
            return done
        confirmed, others = still_there(journal.parts, listed)
        if self.source.size_bytes is None:
            return self._go_on(entry, confirmed, stat)
        # A ctime that moved may be a chmod, or a file that was rewritten and had its mtime put back.
        is_untouched = noted == stat
        to_check = confirmed
        if is_untouched and not (self.checks_all or self.verifies_etag):
            to_check = sample(confirmed, [random.random() for _ in range(SAMPLE_PARTS - 2)])
        for part in list(to_check):
            found = self._read(Part(part.number, part.offset_bytes, part.length_bytes))
            if found.crc64nvme != part.crc64nvme:
                self.give_up(entry.upload_id, f"the bytes of part {part.number} aren't those that were sent")
                return None
            if self.verifies_etag and is_md5(part.etag) and part.etag.strip('"').lower() != found.md5.hex():
                confirmed.remove(part)  # it was hurt on its way: it is sent again
        taken = self._adopt(plan, confirmed, others)
        return Taken(entry.upload_id, taken, entry.part_bytes)

    def _go_on(self, entry: JournalEntry, confirmed: list[ConfirmedPart], stat: SourceStat) -> Taken | None:
        """With a source whose parts are made of it one behind the other: those from the first on without a gap."""
        behind = next((place for place, part in enumerate(confirmed) if part.number != place + 1), len(confirmed))
        kept, _ = gaps(replace(self.plan, is_multipart=True), confirmed[:behind])
        checks: Sequence[int] = range(len(kept))
        if entry.source_stat == stat and not self.checks_all:
            chosen = sample(kept, [random.random() for _ in range(SAMPLE_PARTS - 2)])
            checks = [part.number - 1 for part in chosen]
        wrong = self.source.go_on([part.note for part in kept], checks)
        if wrong is not None:
            self.give_up(entry.upload_id, f"what part {wrong + 1} was made of isn't what it was")
            return None
        return Taken(entry.upload_id, tuple(kept), entry.part_bytes)

    def from_listing(self, upload_id: str) -> Taken:
        """What a stranger's upload holds: every part is read again and compared with what the store says of it.

        Raises:
            UploadGone: there is no such upload.
            FastputError: the store can't be asked, or the source can't be read.
        """
        if self.source.size_bytes is None and self.source.stat() is not None:
            raise UsageError(f"{self.uri}: a compressed upload goes on by its journal only, and there is none here")
        listed = self._list(upload_id)
        part_bytes = max(likely_part_bytes(listed) or 0, self.plan.limits.min_part_bytes)
        if part_bytes > self.plan.max_part_bytes or part_bytes * self.plan.limits.max_parts < (
            self.plan.size_bytes or 0
        ):
            part_bytes = self.plan.part_bytes
        plan = replace(self.plan, is_multipart=True, part_bytes=part_bytes)
        _, others = still_there((), listed)
        return Taken(upload_id, self._adopt(plan, [], others), part_bytes)

    def _list(self, upload_id: str) -> list[ListedPart]:
        return persist(lambda: list(self.store.list_parts(self.uri, upload_id)), self.policy, self.stop)

    def _adopt(
        self, plan: Plan, confirmed: list[ConfirmedPart], others: list[ListedPart]
    ) -> tuple[ConfirmedPart, ...]:
        """With the parts that the store has and the journal doesn't know of, where their bytes are the source's."""
        by_number = {part.number: part for part in others}
        for place in likely_places(plan, confirmed, others):
            listed = by_number[place.number]
            if not (listed.checksums.keys() & {"crc64nvme", "crc32c"} or is_md5(listed.etag)):
                continue  # nothing to compare with: send it again
            found = self._read(place)
            if found.is_like(listed):
                checksum = found.checksum(self.checksum)
                confirmed.append(
                    ConfirmedPart(
                        place.number, place.offset_bytes, place.length_bytes, listed.etag, found.crc64nvme, checksum
                    )
                )
        kept, _ = gaps(plan, confirmed)
        return tuple(kept)

    def _read(self, part: Part) -> PartDigests:
        if self.stop.is_set():
            raise Interrupted(f"{self.uri}: interrupted")
        return digest_part(self.source, part)

    def _was_completed(self, journal: Journal, plan: Plan, finisher: Finisher) -> Taken | None:
        """The upload is gone because the run before completed it and never heard of it."""
        entry = journal.entry
        if journal.completing_crc64nvme is None or entry is None:
            return None
        size_bytes = sum(part.length_bytes for part in journal.parts)
        completion = Completion(entry.upload_id, journal.parts, size_bytes, journal.completing_crc64nvme)
        try:
            completed = finisher.look_up(completion)
        except StoreError as error:
            if error.is_temporary:
                raise
            completed = None  # who may only write can't look: it is sent again
        if completed is None:
            return None
        # The same bytes? The whole file is read once: nothing is sent, so nothing else would notice.
        if self.source.size_bytes is None:
            wrong = self.source.go_on([part.note for part in journal.parts], range(len(journal.parts)))
            done = (completion, completed)
            return None if wrong is not None else Taken(entry.upload_id, journal.parts, entry.part_bytes, done)
        crc64nvme = digest_part(self.source, Part(1, 0, completion.size_bytes), self.stop).crc64nvme
        if crc64nvme != completion.crc64nvme:
            return None
        return Taken(entry.upload_id, journal.parts, entry.part_bytes, (completion, completed))

    def give_up(self, upload_id: str, why: str) -> None:
        """The earlier upload is of no use: it is aborted."""
        self.say(f"{self.uri}: {why}: starting anew")
        try:
            self.store.abort(self.uri, upload_id)
        except FastputError:
            self.say(f"{self.uri}: multipart upload {upload_id} is left on the store: fastput uploads abort {self.uri}")


@dataclass(frozen=True, slots=True)
class PartDigests:
    """What the source's bytes of one part come to."""

    crc64nvme: int
    crc32c: int
    md5: bytes

    def is_like(self, listed: ListedPart) -> bool:
        """Whether the store's part has these bytes: by its checksum, or by an ETag that is an MD5."""
        if "crc64nvme" in listed.checksums:
            return listed.checksums["crc64nvme"] == encode_crc(self.crc64nvme, Checksum.CRC64NVME)
        if "crc32c" in listed.checksums:
            return listed.checksums["crc32c"] == encode_crc(self.crc32c, Checksum.CRC32C)
        return listed.etag.strip('"').lower() == self.md5.hex()

    def checksum(self, checksum: Checksum) -> str | None:
        """As it would have stood in the part's request."""
        if checksum is Checksum.CRC64NVME:
            return encode_crc(self.crc64nvme, checksum)
        if checksum is Checksum.CRC32C:
            return encode_crc(self.crc32c, checksum)
        return base64.b64encode(self.md5).decode() if checksum is Checksum.MD5 else None


def digest_part(source: Source, part: Part, stop: threading.Event | None = None) -> PartDigests:
    """Reads bytes of the source again.

    Raises:
        SourceError: they can't be read, or the file isn't what it was.
        Interrupted: stop was set.
    """
    body = source.body(part, None)
    buffer = bytearray(min(_READ_BYTES, max(part.length_bytes, 1)))
    view = memoryview(buffer)
    md5, sum32c = hashlib.md5(usedforsecurity=False), 0
    while (count := body.readinto(view)) > 0:
        if stop is not None and stop.is_set():
            raise Interrupted("interrupted")
        md5.update(view[:count])
        sum32c = crc32c(view[:count], sum32c)
    if (error := source.failure_of(body)) is not None:
        raise error
    return PartDigests(body.crc64nvme, sum32c, md5.digest())

