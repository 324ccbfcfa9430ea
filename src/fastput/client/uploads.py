"""Multipart uploads that were begun and never ended: found, measured, ended.

They take space that is paid for and that no list of objects shows. Which of them a process on this machine still sends
is told by its journal's lock; one without a journal (a stream, --no-resume) can't be known, and its age has to do.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastput.client.arguments import AUTO
from fastput.engine.control import persist
from fastput.engine.retry import RetryPolicy
from fastput.errors import FastputError, JournalBusy, JournalError, StoreError, UploadGone
from fastput.model import Checksum, ListedUpload, ObjectUri
from fastput.state.journal import Journal, JournalSummary, journals
from fastput.state.rows import JournalEntry
from fastput.store import Store

# botocore keeps ten connections.
_WORKERS = 8
_AHEAD = 2 * _WORKERS

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """One of them.

    Attributes:
        age_s: None where the store doesn't say when it was begun.
        parts, size_bytes: None where the store doesn't say; then error says why.
        source: the file that a journal on this machine says it is made of; None: no journal knows it.
        sender: the process on this machine that is sending this key now, in words, e.g. "process 17".
    """

    uri: ObjectUri
    upload_id: str
    age_s: float | None
    parts: int | None = None
    size_bytes: int | None = None
    source: str | None = None
    sender: str | None = None
    error: FastputError | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the journals on this machine say.

    Attributes:
        entries: by endpoint, bucket, key and upload ID.
        senders: by URI; who sends it is the same whatever the endpoint is called.
        nameless: locks that don't say what their owners send.
    """

    entries: Mapping[tuple[str, str, str, str], JournalEntry]
    senders: Mapping[str, str]
    nameless: tuple[Path, ...]


class Uploads:
    """What one store has of them. Calls block.

    Args:
        state_directory: where this machine's journals are; None: nowhere.
        say: told in a sentence if something can't be known.
    """

    def __init__(
        self,
        store: Store,
        state_directory: Path | None,
        say: Callable[[str], None],
        policy: RetryPolicy | None = None,
    ) -> None:
        self._store = store
        self._directory = state_directory
        self._say = say
        self._policy = policy or RetryPolicy()
        self._stop = threading.Event()
        self._has_answered = False
        self._known_: _Known | None = None

    def listed(self, uri: ObjectUri, is_prefix: bool, min_age_s: float | None = None) -> Iterator[ListedUpload]:
        """Uploads under a prefix, or of exactly one key, in the order of Store.list_uploads().

        Args:
            min_age_s: only those that are so old. Of one whose age nobody knows only 0 is true.

        Raises:
            FastputError: the store can't be asked, or doesn't list them.
        """
        now = time.time()
        # Before the list is: an upload that is begun after it isn't in it, one that was resumed by then is known.
        self._known(uri)
        for upload in self._persistent(uri, self._store.list_uploads(uri)):
            if not is_prefix and upload.uri.key != uri.key:
                continue
            age_s = _age_s(upload, now)
            if not min_age_s or (age_s is not None and age_s >= min_age_s):
                yield upload

    def measured(self, uploads: Iterable[ListedUpload]) -> Iterator[OpenUpload]:
        """What each of them holds, several asked for at a time, in order, without those that have ended meanwhile."""
        return (found for found in _in_parallel(uploads, self._measure) if found is not None)

    def ended(
        self, uploads: Iterable[ListedUpload], is_dry: bool = False
    ) -> Iterator[tuple[OpenUpload, FastputError | None]]:
        """Aborts each and removes its journal, several at a time, in order: (what it held, why it is there still).

        The error is a JournalBusy where a process on this machine is sending it: it is left alone.

        Args:
            is_dry: abort nothing; the error is the one that can be foreseen.
        """
        return (ended for ended in _in_parallel(uploads, lambda each: self._end(each, is_dry)) if ended is not None)

    def newest(self, uri: ObjectUri) -> ListedUpload:
        """The upload of this key that was begun last.

        Raises:
            UploadGone: there is none.
            JournalBusy: a process on this machine is sending this key now.
            FastputError: the store can't be asked, or doesn't list them.
        """
        if (sender := self._sender(uri)) is not None:
            raise self._busy(uri, sender)
        # Of one time, to the second, that which is listed last.
        found = sorted(self.listed(uri, is_prefix=False), key=lambda upload: upload.begun_at)
        if not found:
            raise UploadGone(
                f"{uri}: the store has no multipart upload of this key to go on with: send it with fastput put",
                bucket=uri.bucket,
                key=uri.key,
            )
        return found[-1]

    def close(self) -> None:
        """Ends what waits for another try, and closes connections."""
        self._stop.set()
        self._store.close()

    # ---- one upload

    def _measure(self, upload: ListedUpload) -> OpenUpload | None:
        entry, age_s = self._entry(upload), _age_s(upload, time.time())
        source, sender = entry.source if entry is not None else None, self._sender(upload.uri)
        parts: dict[int, int] | None = None
        error: FastputError | None = None
        try:
            parts = self._persist(lambda: self._part_sizes(upload))
        except UploadGone:
            if "\ufffd" not in upload.uri.key:
                return None
            error = StoreError(
                f"{upload.uri}: the store's list doesn't carry this key as it is: who knows it can give it, with "
                f"--upload-id {upload.upload_id}",
                bucket=upload.uri.bucket, key=upload.uri.key,
            )  # fmt: skip
        except FastputError as failure:
            error = failure
        count, size_bytes = (None, None) if parts is None else (len(parts), sum(parts.values()))
        return OpenUpload(upload.uri, upload.upload_id, age_s, count, size_bytes, source, sender, error)

    def _part_sizes(self, upload: ListedUpload) -> dict[int, int]:
        # Some list a part that was sent twice two times: what counts is the one that came last.
        return {part.number: part.size_bytes for part in self._store.list_parts(upload.uri, upload.upload_id)}

    def _end(self, upload: ListedUpload, is_dry: bool) -> tuple[OpenUpload, FastputError | None] | None:
        found = self._measure(upload)
        if found is None:
            return None
        if isinstance(found.error, StoreError) and "\ufffd" in upload.uri.key:
            return found, found.error
        if found.sender is not None:
            return found, self._busy(upload.uri, found.sender)
        if is_dry:
            return found, None
        try:
            journal = self._take_journal(upload)
        except JournalError as error:
            return found, error
        try:
            self._persist(lambda: self._store.abort(upload.uri, upload.upload_id))
        except FastputError as error:
            if journal is not None:
                journal.close()
            return found, error
        if journal is not None:
            try:
                journal.remove()
            except JournalError as error:
                self._say(f"{upload.uri}: aborted, but {error.message}")
        return found, None

    # ---- journals

    def _take_journal(self, upload: ListedUpload) -> Journal | None:
        """The journal that knows this upload: while we have it nobody goes on with the upload."""
        entry = self._entry(upload)
        if entry is None or self._directory is None:
            return None
        journal = Journal.open(self._directory, entry.endpoint, upload.uri, entry.source)
        if journal.entry is not None and journal.entry.upload_id == upload.upload_id:
            return journal
        # Its upload has ended since, or the journal is another's now.
        if journal.entry is None:
            journal.remove()
        else:
            journal.close()
        return None

    def _entry(self, upload: ListedUpload) -> JournalEntry | None:
        uri, known = upload.uri, self._known(upload.uri)
        if not known.entries:
            return None
        endpoint = self._store.endpoint(uri)
        return known.entries.get((endpoint.url, uri.bucket, uri.key, upload.upload_id))

    def _sender(self, uri: ObjectUri) -> str | None:
        known = self._known(uri)
        if str(uri) in known.senders:
            return known.senders[str(uri)]
        # We can't rule out that it is this one.
        return f"somebody who holds {known.nameless[0]}" if known.nameless else None

    def _busy(self, uri: ObjectUri, sender: str) -> JournalBusy:
        return JournalBusy(f"{uri}: {sender} is sending it now: left alone", bucket=uri.bucket, key=uri.key)

    def _known(self, uri: ObjectUri) -> _Known:
        if self._known_ is None:
            found = list(self._read_journals())
            entries = [summary.entry for summary in found if summary.entry is not None]
            owners = [summary.owner for summary in found if summary.owner is not None]
            self._known_ = _Known(
                {(entry.endpoint, entry.bucket, entry.key, entry.upload_id): entry
                 for entry in entries if entry.bucket == uri.bucket},
                {owner.uri: str(owner) for owner in owners},
                tuple(summary.path for summary in found if summary.is_in_use and summary.owner is None),
            )  # fmt: skip
            unreadable = [summary for summary in found if summary.finding is not None]
            if unreadable:
                more = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
                self._say(f"a journal can't be read: {unreadable[0].path}: {unreadable[0].finding}{more}")
        return self._known_

    def _read_journals(self) -> Iterator[JournalSummary]:
        if self._directory is None:
            return
        try:
            yield from journals(self._directory)
        except JournalError as error:
            self._say(f"which uploads this machine knows of can't be told: {error.message}")

    # ---- trying again

    def _persist(self, work: Callable[[], _T]) -> _T:
        done = persist(work, self._policy, self._stop, self._has_answered)
        self._has_answered = True
        return done

    def _persistent(self, uri: ObjectUri, pages: Iterator[ListedUpload]) -> Iterator[ListedUpload]:
        """A listing that asks again after a temporary error, and says what it means that a store has none."""
        while True:
            try:
                upload = self._persist(lambda: next(pages, None))
            except StoreError as error:
                if error.status in (405, 501) or error.code in ("NotImplemented", "MethodNotAllowed"):
                    raise StoreError(
                        f"{uri}: this store doesn't list multipart uploads ({error.code or error.status}): with the ID "
                        "of one, fastput uploads abort --upload-id and resume --upload-id do without",
                        bucket=uri.bucket, status=error.status, code=error.code, request_id=error.request_id,
                    ) from None  # fmt: skip
                raise
            if upload is None:
                return
            yield upload


def resumable_checksum(upload: ListedUpload, asked: str) -> str:
    """The checksum for the parts that are missing of an upload that somebody began: crc64nvme, md5, auto...

    Args:
        asked: by name, or auto. Amazon and few others say with which an upload was begun; auto where it isn't said.

    Raises:
        StoreError: it was begun with one that fastput doesn't send.
    """
    if not upload.checksum or asked != AUTO:
        return asked
    known = {("CRC64NVME", "FULL_OBJECT"): Checksum.CRC64NVME, ("CRC32C", "FULL_OBJECT"): Checksum.CRC32C}
    found = known.get((upload.checksum.upper(), upload.checksum_type.upper() or "FULL_OBJECT"))
    if found is None:
        kind = f"{upload.checksum} {upload.checksum_type}".strip()
        raise StoreError(
            f"{upload.uri}: the upload {upload.upload_id} was begun with checksums that fastput doesn't send ({kind}): "
            "abort it and send the file with fastput put",
            bucket=upload.uri.bucket, key=upload.uri.key,
        )  # fmt: skip
    return found.value


def _age_s(upload: ListedUpload, now: float) -> float | None:
    # A store whose clock is ahead of ours: not younger than now.
    return max(0.0, now - upload.begun_at) if upload.begun_at else None


def _in_parallel(items: Iterable[_T], work: Callable[[_T], _U]) -> Iterator[_U]:
    """work(item) for each, in order, with a bounded number of them under way."""
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="fastput-uploads")
    under_way: deque[Future[_U]] = deque()
    left = iter(items)
    failure: FastputError | None = None
    try:
        while failure is None:
            try:
                under_way.append(pool.submit(work, next(left)))
            except StopIteration:
                break
            except FastputError as error:
                failure = error  # what was begun before it is told first
            if len(under_way) >= _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
        if failure is not None:
            raise failure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
