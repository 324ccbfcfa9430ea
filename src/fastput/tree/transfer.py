"""A directory to a prefix: `put DIR` and `sync`.

    walk, listing, ledger -> join -> decide -> ship -> delete

All of it streams: what is in memory doesn't grow with the number of files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from fastput.engine.control import persist
from fastput.engine.job import COMPRESSED_SUFFIX, Job, KnownFile
from fastput.engine.retry import RetryPolicy
from fastput.engine.small import OnDone, Outcome
from fastput.errors import FastputError, Interrupted, JournalBusy, JournalError, UsageError
from fastput.model import ObjectPage, ObjectUri, decode_crc
from fastput.source import BufferSource, FileSource, Source
from fastput.state.ledger import Ledger
from fastput.store import Store
from fastput.tree.compare import How, Verdict, is_as_known, judge_time
from fastput.tree.content import hash_file
from fastput.tree.decide import Ask, Decision, Policy, Send, Skip, decide
from fastput.tree.join import Row, Unordered, join
from fastput.tree.keys import PATH_METADATA, Keys
from fastput.tree.links import LinkPolicy
from fastput.tree.listing import listing
from fastput.tree.roots import Root
from fastput.tree.select import Selection
from fastput.tree.ship import Account, Events, OnSent, Shipment, ShipOptions
from fastput.tree.times import Preserve, is_time, metadata

_T = TypeVar("_T")
_DELETED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Deletion:
    """Of objects that have no file.

    Attributes:
        most: refuse to delete more.
        is_forced: even if there is no file at all.
    """

    most: int | None = None
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """
    Attributes:
        how: what has to agree for a file not to be sent; None: all are sent.
        is_exact: an object without a time of its own isn't taken for the file.
        preserve: what of a file goes into its object's metadata.
        deletes: None: nothing is deleted.
        is_dry: nothing is sent or deleted, only told of.
    """

    links: LinkPolicy = LinkPolicy.SKIP
    selection: Selection = field(default_factory=Selection)
    how: How | None = None
    is_exact: bool = False
    preserve: Preserve = Preserve.MTIME
    hash_digits: int = 0
    deletes: Deletion | None = None
    is_dry: bool = False
    ship: ShipOptions = field(default_factory=ShipOptions)


class TransferEvents(Events, Protocol):
    """Told of every file and object, once, on the thread that runs the transfer."""

    def deleted(self, key: str, is_planned: bool) -> None: ...

    def not_deleted(self, key: str, error: FastputError) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a transfer works with.

    Attributes:
        submit: the engine's.
        is_same: whether an object has a file's bytes, by its checksum; None: that can't be told. May raise
            FastputError; any thread.
        state_directory: None: nothing is noted.
        template: what all jobs have in common.
        stop: ends it.
    """

    submit: Callable[[Sequence[Job], OnDone], None]
    store: Store
    is_same: Callable[[str, ObjectUri], bool | None]
    state_directory: Callable[[], Path] | None
    template: Job
    stop: threading.Event
    retry: RetryPolicy = field(default_factory=RetryPolicy)


class Transfer:
    """One tree to one prefix. run() may be called once.

    Args:
        destination: its key is what all keys begin with; "" or, in general, with a "/" at the end.
    """

    def __init__(
        self, root: Root, destination: ObjectUri, options: TransferOptions, means: Means, events: TransferEvents
    ) -> None:
        self._root = root
        self._destination = destination
        self._options = options
        self._means = means
        self._events = events
        self._keys = Keys(destination.key, options.hash_digits)
        self._ledger: Ledger | None = None
        self._is_wanted: Callable[[], bool] | None = None
        self._has_answered = False

    def run(self) -> Account:
        """
        Raises:
            UsageError: more would be deleted than is allowed.
            JournalBusy: another process transfers the same directory to the same place.
            FastputError: the store can't be asked.
        """
        self._ledger = self._open_ledger()
        try:
            send = None if self._options.is_dry else self._send
            shipment = Shipment(send, self._ask, self._events, self._options.ship, self._ledger, self._means.stop)
            self._is_wanted = lambda: shipment.is_wanted
            with contextlib.closing(shipment.deletions):
                account = shipment.run(self._decisions(shipment))
                if self._options.deletes is not None:
                    self._delete(shipment, self._options.deletes)
            is_whole = not account.failed and not self._means.stop.is_set() and not self._options.is_dry
            if self._ledger is not None and is_whole:
                self._ledger.finish()
            return account
        finally:
            if self._ledger is not None:
                self._ledger.close()

    def _open_ledger(self) -> Ledger | None:
        if self._means.state_directory is None:
            return None
        try:
            endpoint = self._means.store.endpoint(self._destination)
            form = f"{self._options.hash_digits} {self._options.links}"
            directory = self._means.state_directory()
            ledger = Ledger.open(directory, endpoint.url, self._destination, self._root.name, form)
        except JournalBusy:
            raise
        except JournalError as error:
            self._events.note(f"{error}: going on without one")
            return None
        if ledger.finding is not None:
            self._events.note(ledger.finding)
        return ledger

    def _decisions(self, shipment: Shipment) -> Iterator[Decision]:
        options, ledger = self._options, self._ledger
        policy = Policy(
            keys=self._keys,
            selection=options.selection,
            how=options.how,
            continues=options.how is None and ledger is not None and ledger.is_continued,
            now_ns=time.time_ns(),
        )
        decisions = self._decided(policy, shipment)
        return itertools.takewhile(lambda decision: not self._means.stop.is_set(), decisions)

    def _decided(self, policy: Policy, shipment: Shipment) -> Iterator[Decision]:
        told_until: bytes | None = None

        def rows() -> Iterator[Row]:
            nonlocal told_until
            for row in self._joined(is_sorted=True):
                told_until = row.path
                yield row

        try:
            yield from decide(rows(), policy)
        except Unordered:
            # Until here a file was taken for new if its object had not been met: sent once more, it does no harm.
            # What has no file shows only now.
            self._events.note(f"{self._destination}: this store lists in an order of its own: its listing is sorted")
            shipment.deletions.clear()
            yield from decide(self._joined(is_sorted=False), policy, told_until)

    def _joined(self, is_sorted: bool) -> Iterator[Row]:
        options, ledger = self._options, self._ledger
        is_put = options.how is None
        found = self._root.walk(options.links, lambda path: options.selection.enters(os.fsdecode(path)))
        listed = iter(()) if is_put else listing(self._get_page, self._keys, self._means.stop, is_sorted)
        known = ledger.files(of_this_run=is_put) if ledger is not None else iter(())
        return join(found, listed, known)

    def _persist(self, ask: Callable[[], _T]) -> _T:
        """Asks the store, with more patience where it has answered before. Any thread."""
        answer = persist(ask, self._means.retry, self._means.stop, self._has_answered)
        self._has_answered = True
        return answer

    def _get_page(self, prefix: str, token: str | None, names_only: bool) -> ObjectPage:
        uri = ObjectUri(self._destination.bucket, prefix)
        return self._persist(lambda: self._means.store.list_objects(uri, token, names_only))

    def _send(self, sends: Sequence[Send], on_sent: OnSent) -> None:
        jobs: list[Job] = []
        sends_of: dict[int, Send] = {}  # by the job's identity
        for send in sends:
            try:
                job = self._job(send)
            except FastputError as error:
                on_sent([(send, error)])
            else:
                jobs.append(job)
                sends_of[id(job)] = send

        def done(results: Sequence[tuple[Job, Outcome]]) -> None:
            on_sent([(sends_of[id(job)], outcome) for job, outcome in results])

        self._means.submit(jobs, done)

    def _job(self, send: Send) -> Job:
        """
        Raises:
            UsageError: its metadata is more than an object can carry.
        """
        template, entry = self._means.template, send.found.entry
        kept = dict(template.attributes.metadata) | metadata(entry, self._options.preserve)
        if self._options.hash_digits:
            kept[PATH_METADATA] = quote(send.found.key_path, safe="/")
        attributes = replace(template.attributes, metadata=kept)
        attributes.check()
        uri = self._destination.with_key(send.key + (COMPRESSED_SUFFIX if template.compression is not None else ""))
        path = self._root.path(send.found.path)
        known = None if entry.is_link else KnownFile(path, entry.size_bytes, entry.mtime_ns)
        return replace(
            template,
            open_source=lambda: FileSource(path) if known is not None else _link(path),
            uri=uri,
            attributes=attributes,
            file=known,
            is_wanted=self._is_wanted,
            is_reached=self._has_answered,
        )

    def _ask(self, ask: Ask) -> Send | Skip:
        """Whether a file whose object has the same size has to be sent."""
        uri, entry, means = self._destination.with_key(ask.key), ask.found.entry, self._means
        known = ask.known
        read_crc64nvme = 0  # of the file, if it is known
        if known is not None and known.crc64nvme and known.stat.mtime_ns == entry.mtime_ns:
            read_crc64nvme = known.crc64nvme
            if not is_as_known(entry, known):
                # By a chmod, say; or it was written, and its time set back: that, nothing on the store tells.
                if hash_file(self._root.path(ask.found.path), entry.size_bytes) != read_crc64nvme:
                    return Send(ask.found, ask.key, "other bytes than were sent")
                if known.etag == ask.listed.etag:
                    return Skip(ask.found.path, "the same bytes as were sent", entry.size_bytes, read_crc64nvme)
        if self._options.how is How.CHECKSUMS:
            is_same = means.is_same(self._root.path(ask.found.path), uri)
            if is_same:
                return Skip(ask.found.path, "the same checksum", entry.size_bytes, read_crc64nvme)
            reason = "another checksum" if is_same is not None else "no checksum is kept that could be compared"
            return Send(ask.found, ask.key, reason)
        info = self._persist(lambda: means.store.head(uri))
        if info is None:
            return Send(ask.found, ask.key, "new")
        if info.size_bytes != entry.size_bytes:
            return Send(ask.found, ask.key, "another size")
        is_kept_time = is_time(entry.mtime_ns, info.metadata)
        is_exact = self._options.is_exact or (known is not None and self._options.preserve is not Preserve.NONE)
        judged = judge_time(entry, is_kept_time, ask.listed, is_exact)
        if judged.verdict is Verdict.SAME:
            kept = info.checksums.get("crc64nvme") if info.is_full_object else None
            crc64nvme = decode_crc(kept) if kept else read_crc64nvme
            return Skip(ask.found.path, judged.reason, entry.size_bytes, crc64nvme)
        return Send(ask.found, ask.key, judged.reason)

    def _delete(self, shipment: Shipment, deletion: Deletion) -> None:
        count, account = shipment.deletions.row_count, shipment.account
        if not count or self._means.stop.is_set():
            return
        if account.failed and not self._options.is_dry:
            self._events.note(f"nothing is deleted, because {account.failed:,} files failed: run it again")
            return
        if not account.planned and not deletion.is_forced:
            raise UsageError(
                f"{self._root.name} has no files, and {count:,} objects under {self._destination} would be deleted: "
                "is it mounted? --force deletes them"
            )
        if deletion.most is not None and count > deletion.most:
            raise UsageError(
                f"{count:,} objects under {self._destination} would be deleted, and --max-delete is {deletion.most:,}: "
                "none was"
            )
        keys = (row[0] for row in shipment.deletions.merged())
        while batch := list(itertools.islice(keys, _DELETED_AT_ONCE)):
            if self._means.stop.is_set():
                raise Interrupted(f"{self._destination}: interrupted while objects were deleted")
            self._delete_batch(batch, account)

    def _delete_batch(self, keys: list[str], account: Account) -> None:
        bucket = self._destination.bucket
        delete = lambda: self._means.store.delete_objects(bucket, keys)  # noqa: E731
        refused = {} if self._options.is_dry else self._persist(delete)
        for key in keys:
            if key in refused:
                account.failed_deletions += 1
                self._events.not_deleted(key, refused[key])
            else:
                account.deleted += 1
                self._events.deleted(key, is_planned=self._options.is_dry)


def _link(path: str) -> Source:
    """Where a symbolic link points to, as an object of its own."""
    return BufferSource(os.fsencode(os.readlink(path)), path)

