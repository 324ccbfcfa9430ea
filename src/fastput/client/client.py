"""Client: one engine with its connections, shared by threads and by asyncio."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fastput.client.arguments import (
    open_source,
    parse_checksum,
    parse_digests,
    rate_limit,
    rechecks_all,
    resolve_uri,
    size_bytes,
    window_bounds,
)
from fastput.client.memory import default_memory_bytes
from fastput.client.trace import Trace
from fastput.engine.engine import STALL_TIMEOUT_S, Engine, Snapshot
from fastput.engine.job import Job
from fastput.engine.small import OnDone
from fastput.errors import ForkError, UsageError
from fastput.limits import MIB
from fastput.model import (
    Credentials,
    Endpoint,
    ObjectAttributes,
    ObjectUri,
    Progress,
    Receipt,
    TlsOptions,
)
from fastput.state.directory import state_directory
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from fastput.timetable import Timetable
from fastput.transport import Transport
from fastput.tuner import Settings

if TYPE_CHECKING:
    from fastput.client.arguments import Sendable
    from fastput.client.trees import TreeEvents, TreeReport
    from fastput.client.verifier import Verification, Verifier
    from fastput.tree.roots import Root
    from fastput.tree.transfer import TransferOptions


_log = logging.getLogger("fastput")


class Client:
    """Uploads to one endpoint with one set of credentials. Threads share it; connections stay warm.

        with fastput.Client(endpoint_url=url, memory="4GiB") as client:
            futures = [client.submit(path, uri) for path, uri in work]
            for done in fastput.as_completed(futures):
                register(done.result())

    Leaving the `with` block waits for what was submitted; leaving it by an exception cancels it.

    Args:
        endpoint_url: a store other than Amazon S3; also AWS_ENDPOINT_URL or the profile's.
        region, profile: as in ~/.aws/config; also AWS_REGION, AWS_PROFILE.
        ca_bundle: a PEM file of certificate authorities; also AWS_CA_BUNDLE.
        verify: False accepts any certificate.
        concurrency: requests in flight. By default it follows the link and the store, from measurements.
        part_size: of multipart uploads, in bytes or as "16MiB". By default it follows the file's size.
        memory: the most that parts in flight may take, in bytes or as "4GiB". By default a quarter of the machine's.
        resume: keep a journal of multipart uploads of files, and go on with those that an earlier run has left.
        state_dir: where journals are kept, and what stores were found to take; by default the platform's state
            directory, e.g. ~/.local/state/fastput.
        probe: find out anew what the store takes, whatever is remembered.
        stall_timeout: seconds without anything moving after which uploads end with Stalled.
        on_stall: called with a sentence, on the engine's thread, while nothing moves.
        limit_rate: the most that all uploads together send, as "400Mbps", "50MB/s", or by the local time of day as
            "08:00-18:00=200Mbps,else=max". It counts the objects' bytes.
        trace: a file for what was measured and decided, ten JSON lines a second.

    Raises:
        UsageError: an option makes no sense.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        ca_bundle: str | None = None,
        verify: bool = True,
        concurrency: int | None = None,
        part_size: int | str | None = None,
        memory: int | str | None = None,
        resume: bool = True,
        state_dir: str | os.PathLike[str] | None = None,
        probe: bool = False,
        stall_timeout: float = STALL_TIMEOUT_S,
        on_stall: Callable[[str], None] | None = None,
        limit_rate: str | Timetable | None = None,
        trace: str | os.PathLike[str] | None = None,
    ) -> None:
        self._pid = os.getpid()
        self._is_closed = False
        self._lock = threading.Lock()  # guards _is_closed, that nothing is submitted behind it, and _verifier
        self._pending: set[Future[Receipt]] = set()
        settings = Settings(part_bytes=None if part_size is None else size_bytes(part_size))
        if concurrency is not None:
            if concurrency < 1:
                raise UsageError(f"a concurrency of {concurrency} sends nothing; give at least 1")
            settings = Settings(window=concurrency, part_bytes=settings.part_bytes)
        memory_bytes = default_memory_bytes() if memory is None else size_bytes(memory)
        if memory_bytes < MIB:
            raise UsageError(f"{memory_bytes} bytes of memory hold no part; give at least 5MiB")
        if not stall_timeout > 0:
            raise UsageError(f"a stall time-out of {stall_timeout} s ends everything at once; give at least a second")
        self._resumes = resume
        # Whatever is silent for longer is ended anyway.
        silence_s = min(stall_timeout, STALL_TIMEOUT_S)
        options = StoreOptions(endpoint_url, region, profile, ca_bundle, verify, silence_s)
        self._store = S3Store(options)
        self._verifier: Verifier | None = None
        self._stop = threading.Event()
        self._state_directory = lambda: state_directory(None if state_dir is None else os.fspath(state_dir))
        self._connector = _Connector()
        self._trace = Trace(trace) if trace is not None else None
        self._engine = Engine(
            self._store,
            self._connector,
            settings,
            memory_bytes,
            bounds=window_bounds(concurrency),
            state_directory=self._state_directory,
            probes_again=probe,
            stall_timeout_s=stall_timeout,
            on_stall=on_stall or _log.warning,
            on_tuning=self._trace,
            limit=None if limit_rate is None else rate_limit(limit_rate),
        )

    def put(self, source: Sendable, uri: str, **options: Any) -> Receipt:
        """Uploads and waits. Options and errors as submit()."""
        return self.submit(source, uri, **options).result()

    async def aput(self, source: Sendable, uri: str, **options: Any) -> Receipt:
        """Uploads without blocking the event loop. Options and errors as submit().

        Cancelling the task stops the waiting, not an upload that has begun.
        """
        import asyncio  # 50 ms that only those pay who use it

        return await asyncio.wrap_future(self.submit(source, uri, **options))

    def submit(
        self,
        source: Sendable,
        uri: str,
        *,
        checksum: str = "auto",
        content_type: str | None = None,
        storage_class: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        no_clobber: bool = False,
        verify_etag: bool = False,
        digests: Sequence[str] = (),
        verify_resume: str = "sample",
        upload_id: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> Future[Receipt]:
        """Queues an upload and returns at once.

        Args:
            source: a path; an open binary file or pipe, read from where it stands to its end; or bytes in memory
                (bytes, mmap, a C-contiguous numpy array), not copied and not to be changed before the end.
            uri: s3://bucket/key, or s3://bucket/prefix/ to put a path under its own name.
            checksum: what the store checks the bytes against: crc64nvme, crc32c, md5, none, or auto: the strongest
                that it takes.
            no_clobber: fail with ObjectExists rather than replace an object.
            verify_etag: compare the store's ETag of each part with its MD5: for stores that check nothing themselves.
            digests: of the whole object, for the receipt: crc32, md5, sha1, sha256, sha512. Taken in the same pass.
            verify_resume: how much of what an earlier run has sent is read again: "sample" or "all".
            upload_id: a multipart upload on the store to go on with, of which there is no journal here.
            on_progress: called on the engine's thread after each part; has to be quick.
            on_note: called with a sentence when something was found that people should know, e.g. that an earlier
                upload goes on; on any thread. By default it is logged.

        Returns:
            A future of the receipt, resolved when the store has confirmed the object. Its exception is a FastputError:
            SourceError, CredentialsError, StoreError, EndpointError, JournalBusy, Interrupted (see fastput.errors).

        Raises:
            UsageError: the URI or an option makes no sense.
            ForkError: in a child process of the one that made the client.
        """
        self._check_process()
        attributes = ObjectAttributes(content_type, storage_class, dict(metadata or {}), dict(tags or {}))
        attributes.check()
        job = Job(
            open_source=lambda: open_source(source),
            uri=resolve_uri(source, uri),
            attributes=attributes,
            checksum=parse_checksum(checksum),
            no_clobber=no_clobber,
            verifies_etag=verify_etag,
            digests=parse_digests(digests),
            is_resumable=self._resumes,
            rechecks_all=rechecks_all(verify_resume),
            upload_id=upload_id,
            on_progress=on_progress,
            on_note=on_note or _log.info,
        )
        return self._submit(job)

    def transfer(
        self,
        sources: str | os.PathLike[str] | Root,
        uri: str,
        options: TransferOptions | None = None,
        events: TreeEvents | None = None,
        *,
        checksum: str = "auto",
        content_type: str | None = None,
        storage_class: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        no_clobber: bool = False,
        verify_etag: bool = False,
    ) -> TreeReport:
        """Sends what lies in a directory, or the part of it that the store hasn't got; waits for all of it.

            options = fastput.TransferOptions(how=fastput.How.TIMES)
            client.transfer("run7", "s3://bucket/run7/", options).check()   # as fastput sync

        Args:
            sources: a directory: what lies in it goes right below the prefix; or any Root.
            uri: s3://bucket/prefix/; a "/" is added where there is none.
            options: what is sent, skipped, deleted; by default all files are sent.
            events: told of each file.
            checksum, content_type, storage_class, metadata, tags, no_clobber, verify_etag: as in submit().

        Returns:
            planned = sent + skipped + failed. A file that fails is no exception: see TreeReport.check().

        Raises:
            UsageError: the URI or an option makes no sense, or more would be deleted than is allowed.
            SourceError: the directory isn't there.
            JournalBusy: another process transfers the same to the same place.
            StoreError, EndpointError, CredentialsError: the store can't be asked.
        """
        from fastput.client.trees import TreeEvents, report_of, root_of  # only who sends trees pays for it
        from fastput.tree.transfer import Means, Transfer, TransferOptions

        self._check_process()
        attributes = ObjectAttributes(content_type, storage_class, dict(metadata or {}), dict(tags or {}))
        attributes.check()
        target = ObjectUri.parse(uri if uri.endswith("/") else f"{uri}/")
        told = events or TreeEvents()
        template = Job(
            open_source=lambda: open_source(b""),
            uri=target,
            attributes=attributes,
            checksum=parse_checksum(checksum),
            no_clobber=no_clobber,
            verifies_etag=verify_etag,
            is_resumable=self._resumes,
            on_note=told.note,
        )
        means = Means(
            submit=self._submit_all,
            store=self._store,
            is_same=self._is_same,
            state_directory=self._state_directory if self._resumes else None,
            template=template,
            stop=self._stop,
        )
        root = root_of(sources) if isinstance(sources, (str, os.PathLike)) else sources
        return report_of(Transfer(root, target, options or TransferOptions(), means, told).run())

    def _submit(self, job: Job) -> Future[Receipt]:
        with self._lock:
            if self._is_closed:
                raise UsageError("this client is closed")
            future = self._engine.submit(job)
            self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def _submit_all(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        with self._lock:
            if self._is_closed:
                raise UsageError("this client is closed")
            self._engine.submit_all(jobs, on_done)

    def _is_same(self, path: str, uri: ObjectUri) -> bool | None:
        """Whether an object has a file's bytes, by what the store says of it; None: it doesn't say."""
        from fastput.client.proof import Outcome

        outcome = self.verify(path, str(uri)).outcome
        return None if outcome is Outcome.UNPROVEN else outcome is Outcome.SAME

    def verify(self, source: Sendable, uri: str, deep: bool = False) -> Verification:
        """Whether an object is a file: by what the store says of it, and only if deep by downloading it. Waits.

            client.verify("obs.fits", "s3://bucket/2026/obs.fits").check()    # raises unless it is the same

        Args:
            source: a path, or bytes in memory.
            uri: as in submit().

        Raises:
            UsageError: the URI makes no sense, or the source is a stream.
            SourceError: the source can't be read, or is written to meanwhile.
            StoreError, EndpointError, CredentialsError: the store can't be asked.
            Interrupted: the client was cancelled.
        """
        from fastput.client.verifier import Verifier  # only who verifies pays for it

        self._check_process()
        target = resolve_uri(source, uri)
        with self._lock:
            if self._is_closed:
                raise UsageError("this client is closed")
            if self._verifier is None:
                self._verifier = Verifier(self._store)
        with contextlib.closing(open_source(source)) as opened:
            return self._verifier.verify(opened, target, deep)

    def snapshot(self) -> Snapshot:
        """Counters of all uploads of this client, for displays."""
        return self._engine.snapshot()

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends all uploads: their futures raise Interrupted when nothing of them is in flight or on the store."""
        self._check_process()
        self._stop.set()
        self._engine.cancel(reason)
        if self._verifier is not None:
            self._verifier.cancel()

    def close(self) -> None:
        """Waits for what was submitted, then ends threads and connections. May be called twice."""
        self._check_process()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            pending = set(self._pending)
        wait(pending)
        if self._verifier is not None:
            self._verifier.close()
        self._engine.close()
        self._connector.close()
        if self._trace is not None:
            self._trace.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return  # a forked child that leaves the block: nothing here is its own
        if kind is not None:
            self.cancel()
        self.close()

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkError(
                f"this client belongs to process {self._pid}, and this is {os.getpid()}: the runtime's threads don't "
                "survive a fork; make a client in each process, or start processes with the spawn method"
            )


def put(source: Sendable, uri: str, **options: Any) -> Receipt:
    """Uploads one source with a client of its own.

    Takes the options of Client and of Client.submit.

        receipt = fastput.put("obs.fits", "s3://bucket/2026/obs.fits", profile="observatory")
    """
    names = set(Client.__init__.__kwdefaults__ or {})
    with Client(**{name: value for name, value in options.items() if name in names}) as client:
        return client.put(source, uri, **{name: value for name, value in options.items() if name not in names})


def verify(source: Sendable, uri: str, deep: bool = False, **options: Any) -> Verification:
    """Whether an object is a file, with a client of its own. Takes the options of Client, and errors as Client.verify.

    fastput.verify("obs.fits", "s3://bucket/2026/obs.fits", profile="observatory").check()
    """
    with Client(**options) as client:
        return client.verify(source, uri, deep)


class _Connector:
    """Makes transports. The runtime is imported when the first is needed; all share its threads."""

    def __init__(self) -> None:
        self._runtime: Any = None

    def __call__(self, endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> Transport:
        if self._runtime is None:
            from fastput.transport.both import Runtime

            self._runtime = Runtime()
        transport: Transport = self._runtime.transport(endpoint, credentials, tls)
        return transport

    def close(self) -> None:
        """Lets go of the runtime's threads, even if somebody keeps the client."""
        self._runtime = None
