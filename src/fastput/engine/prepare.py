"""Everything before the first byte: where to, what the store takes, what an earlier run has left. Blocks.

For a control thread; what comes out are values for the loop's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fastput.engine.buffered import copies_in_memory
from fastput.engine.completion import Finisher
from fastput.engine.control import persist
from fastput.engine.job import Job, attributes_of
from fastput.engine.keeper import close_quietly
from fastput.engine.links import Link, Links
from fastput.engine.plan import Plan, make_plan
from fastput.engine.retry import RetryPolicy
from fastput.engine.takeover import Taken, Takeover
from fastput.errors import FastputError, JournalBusy, JournalError, ObjectExists
from fastput.limits import StoreLimits
from fastput.model import Checksum, Endpoint, ObjectAttributes, ObjectUri
from fastput.profile import GUESS, Carriage, Protection, StoreProfile
from fastput.source import Source
from fastput.state.journal import Journal
from fastput.state.rows import JournalEntry
from fastput.store import Store
from fastput.tuner import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an upload starts with.

    Attributes:
        journal: None where there is nothing to resume, or nowhere to keep it.
        taken: what an earlier run has left.
        is_guess: the store is being asked what it takes: not to be completed before it has answered.
    """

    endpoint: Endpoint
    link: Link
    plan: Plan
    protection: Protection
    finisher: Finisher
    journal: Journal | None
    taken: Taken | None
    is_guess: bool

    def told(self, profile: StoreProfile) -> Prepared | None:
        """The same, now that it is known what the store takes; None: it has to begin anew."""
        right, guessed = profile.strongest, self.protection
        is_same_way = (right.checksum, right.carriage) == (guessed.checksum, guessed.carriage)
        if not is_same_way or profile.limits != GUESS.limits:
            return None
        finisher = replace(self.finisher, protection=right, profile=profile)
        return replace(self, protection=right, finisher=finisher, is_guess=False)


@dataclass(frozen=True, slots=True)
class Created:
    """Where the parts go.

    Attributes:
        upload_id: None for one PutObject.
        journal_error: why the upload goes on without a journal.
    """

    endpoint: Endpoint
    link: Link
    upload_id: str | None
    journal_error: JournalError | None


@dataclass(frozen=True, slots=True)
class Preparation:
    """Prepares one upload."""

    job: Job
    source: Source
    store: Store
    links: Links
    settings: Settings
    limits: StoreLimits
    memory_bytes: int
    policy: RetryPolicy
    stop: threading.Event
    state_directory: Callable[[], Path] | None

    def run(self) -> Prepared:
        """
        Raises:
            UsageError: above the store's limits.
            JournalBusy: another process sends the same source to the same object.
            ObjectExists: no_clobber, and there is one.
            FastputError: the store can't be asked.
        """
        job = self.job
        endpoint, link = self.links.to(job.uri)
        link.is_reached |= job.is_reached
        known = self.links.known_profile(endpoint, link, job.checksum)
        profile = known or GUESS
        protection = profile.protection(job.checksum)
        plan = self._plan(profile, protection)
        # Before the store is asked anything: who has the journal open says so even while the store doesn't answer.
        journal = self._open_journal(endpoint, plan)
        try:
            is_guess = known is None and self._may_guess(plan, journal)
            if known is None and not is_guess:
                was_multipart = plan.is_multipart
                profile = self.ask(endpoint, link)
                protection = profile.protection(job.checksum)
                plan = self._plan(profile, protection)
                if plan.is_multipart and not was_multipart:  # little memory, and parts that take twice theirs
                    journal = journal or self._open_journal(endpoint, plan)
            finisher = Finisher(self.store, job.uri, protection, profile, job.no_clobber, self.policy, self.stop)
            taken = None
            if job.upload_id is not None:
                taken = self._takeover(plan, protection).from_listing(job.upload_id)
            elif journal is not None and journal.entry is not None:
                protection, taken = self._take_over(journal, plan, profile, protection, finisher)
                plan = self._plan(profile, protection)
                finisher = replace(finisher, protection=protection)
            if journal is not None and taken is None and not plan.is_multipart:
                close_quietly(journal, removes=True)  # its upload was given up, and one request needs none
                journal = None
            if taken is not None:
                plan = replace(plan, is_multipart=True, part_bytes=min(taken.part_bytes, plan.max_part_bytes))
            if job.no_clobber and (taken is None or taken.done is None):
                self._check_absent()
        except BaseException as error:
            if journal is not None:
                is_useless = isinstance(error, ObjectExists)
                if is_useless and journal.entry is not None:
                    with contextlib.suppress(FastputError):
                        self.store.abort(job.uri, journal.entry.upload_id)
                close_quietly(journal, removes=is_useless or journal.entry is None)
            raise
        return Prepared(endpoint, link, plan, protection, finisher, journal, taken, is_guess)

    def create(self, prepared: Prepared) -> Created:
        """Begins the multipart upload, or goes on with what was taken over, and its journal.

        Raises:
            FastputError: the store refuses, or can't be reached.
        """
        job, taken = self.job, prepared.taken
        if taken is not None:
            # A journal anew: parts were found that it doesn't know of, others were given up.
            journal_error = self._begin_journal(prepared, taken.upload_id)
            return Created(prepared.endpoint, prepared.link, taken.upload_id, journal_error)
        checksum = prepared.protection.checksum
        attributes = attributes_of(job, self.source)
        upload_id = persist(
            lambda: self.store.create(job.uri, attributes, checksum), self.policy, self.stop,
            prepared.link.has_answered,
        )  # fmt: skip
        try:
            # After Create, which follows redirects to the bucket's own region.
            endpoint, link = self.links.to(job.uri)
            journal_error = self._begin_journal(prepared, upload_id)
        except FastputError:
            self.store.abort(job.uri, upload_id)  # nobody else knows of it yet
            raise
        return Created(endpoint, link, upload_id, journal_error)

    def _begin_journal(self, prepared: Prepared, upload_id: str) -> JournalError | None:
        """Returns why it can't be kept."""
        journal, taken = prepared.journal, prepared.taken
        if journal is None:
            return None
        stat, protection = self.source.stat(), prepared.protection
        assert stat is not None
        endpoint, uri, source = self._identity(prepared.endpoint)
        entry = JournalEntry(
            endpoint=endpoint,
            bucket=uri.bucket,
            key=uri.key,
            source=source,
            source_stat=stat,
            upload_id=upload_id,
            part_bytes=prepared.plan.part_bytes,
            checksum=protection.checksum.value,
            carriage=protection.carriage.value if protection.carriage else "",
            attributes=_attributes_digest(attributes_of(self.job, self.source)),
            created_at=time.time(),
        )
        try:
            before = journal.entry
            journal.begin(entry, taken.parts if taken is not None else ())
            if before is not None and before.upload_id == upload_id and journal.completing_crc64nvme is not None:
                journal.completing(journal.completing_crc64nvme)  # a Complete of then may still take effect
        except JournalError as error:
            return error
        return None

    def ask(self, endpoint: Endpoint, link: Link) -> StoreProfile:
        """What the store takes, if need be by finding it out.

        Raises:
            FastputError: the store can't be asked.
        """
        return self.links.profile(self.job.uri, endpoint, link, self.job.checksum, self.job.note)

    def _may_guess(self, plan: Plan, journal: Journal | None) -> bool:
        """A wrong guess costs what was sent until it shows, and no more: it can all be sent again, and no object was
        made of it. Finding out first took 2.1 s on a link of 300 ms."""
        job = self.job
        wants_more = job.upload_id is not None or job.no_clobber or job.verifies_etag
        is_begun = journal is not None and journal.entry is not None
        can_begin_again = plan.size_bytes is not None or self.source.stat() is not None
        return plan.is_multipart and can_begin_again and not wants_more and not is_begun

    def _plan(self, profile: StoreProfile, protection: Protection) -> Plan:
        limits = replace(
            self.limits,
            max_parts=min(self.limits.max_parts, profile.max_parts),
            max_object_bytes=min(self.limits.max_object_bytes, profile.max_object_bytes),
        )
        copies = copies_in_memory(self.source, protection, self.job)
        return make_plan(self.source.size_bytes, self.settings, self.memory_bytes, copies, limits)

    @property
    def _journals(self) -> Callable[[], Path] | None:
        """Where this upload's journal is kept; None: what can't be read again can't be resumed, or mustn't."""
        # Digests of what a codec has made can't be taken from a second reading.
        is_once = self.source.size_bytes is None and bool(self.job.digests)
        is_kept = self.job.is_resumable and self.source.stat() is not None and not is_once
        return self.state_directory if is_kept else None

    def _open_journal(self, endpoint: Endpoint, plan: Plan) -> Journal | None:
        if self._journals is None:
            return None
        identity = self._identity(endpoint)
        try:
            directory = self._journals()
            # One request needs no journal; but with other options an earlier run may have begun with parts.
            if not plan.is_multipart and not Journal.exists(directory, *identity):
                return None
            journal = Journal.open(directory, *identity)
        except JournalBusy:
            raise
        except JournalError as error:
            self.job.note(f"{error}: going on without a journal")
            return None
        if journal.finding is not None:
            self.job.note(journal.finding)
        return journal

    def _identity(self, endpoint: Endpoint) -> tuple[str, ObjectUri, str]:
        return endpoint.url, self.job.uri, os.path.abspath(self.source.name)

    def _take_over(
        self, journal: Journal, plan: Plan, profile: StoreProfile, protection: Protection, finisher: Finisher
    ) -> tuple[Protection, Taken | None]:
        entry = journal.entry
        assert entry is not None
        carriage = Carriage(entry.carriage) if entry.carriage else None
        begun_with = Protection(Checksum(entry.checksum), carriage, is_checked=True)
        if begun_with not in profile.protections:
            begun_with = replace(begun_with, is_checked=False)
        why = None
        if self.job.checksum not in (None, begun_with.checksum):
            why = "another checksum"
        elif entry.attributes != _attributes_digest(attributes_of(self.job, self.source)):
            why = "other metadata, tags, content type or storage class"
        elif begun_with == GUESS.strongest and begun_with not in profile.protections:
            why = "a guess that was wrong: a checksum that this store doesn't take"
        if why is not None:
            self._takeover(plan, protection).give_up(entry.upload_id, f"the upload was begun with {why}")
            return protection, None
        takeover = self._takeover(plan, begun_with)
        taken = takeover.from_journal(journal, replace(finisher, protection=begun_with))
        return (begun_with, taken) if taken is not None else (protection, None)

    def _takeover(self, plan: Plan, protection: Protection) -> Takeover:
        job = self.job
        return Takeover(
            self.store, job.uri, self.source, plan, protection.checksum, job.rechecks_all, job.verifies_etag,
            self.policy, self.stop, job.note,
        )  # fmt: skip

    def _check_absent(self) -> None:
        uri = self.job.uri
        if persist(lambda: self.store.head(uri), self.policy, self.stop) is not None:
            text = f"{uri}: an object is there already, and --no-clobber was given"
            raise ObjectExists(text, bucket=uri.bucket, key=uri.key)


def _attributes_digest(attributes: ObjectAttributes) -> str:
    """Stands for what the object is to carry."""
    return hashlib.sha256(json.dumps(asdict(attributes), sort_keys=True).encode()).hexdigest()
