"""What a client is made of, and how it ends: one engine with its connections, shared by threads."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fastput.client.arguments import (
    open_source,
    parse_checksum,
    rate_limit,
    size_bytes,
    window_bounds,
)
from fastput.client.memory import default_memory_bytes
from fastput.client.trace import Trace
from fastput.engine.engine import STALL_TIMEOUT_S, Engine, Snapshot
from fastput.engine.job import Compression, Job
from fastput.engine.small import OnDone
from fastput.errors import ForkError, UsageError
from fastput.limits import MIB
from fastput.model import (
    Credentials,
    Endpoint,
    ObjectAttributes,
    ObjectUri,
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
    from fastput.client.reading.archive import Archives
    from fastput.client.reading.download import Downloads
    from fastput.client.verifier import Verification, Verifier


_log = logging.getLogger("fastput")


class Core:
    """The engine, the store, and what else was asked for, begun and ended. Client says what the arguments are."""

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
        self._lock = threading.Lock()  # guards _is_closed, that nothing is submitted behind it, _verifier, _downloads
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
        self._downloads: Downloads | None = None
        self._archives: Archives | None = None
        self._concurrency = concurrency
        self._stall_timeout_s = stall_timeout
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

    def _template(
        self,
        uri: ObjectUri,
        attributes: ObjectAttributes,
        checksum: str,
        no_clobber: bool,
        verify_etag: bool,
        compression: Compression | None,
        on_note: Callable[[str], None],
    ) -> Job:
        """What the uploads of a tree have in common."""
        self._check_process()
        attributes.check()
        return Job(
            open_source=lambda: open_source(b""),
            uri=uri,
            attributes=attributes,
            checksum=parse_checksum(checksum),
            no_clobber=no_clobber,
            verifies_etag=verify_etag,
            is_resumable=self._resumes,
            on_note=on_note,
            compression=compression,
        )

    def _submit(self, job: Job) -> Future[Receipt]:
        with self._lock:
            self._check_open()
            future = self._engine.submit(job)
            self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return future

    def _submit_all(self, jobs: Sequence[Job], on_done: OnDone) -> None:
        with self._lock:
            self._check_open()
            self._engine.submit_all(jobs, on_done)

    def _verify(self, source: Sendable, uri: ObjectUri, deep: bool = False) -> Verification:
        from fastput.client.verifier import Verifier  # only who verifies pays for it

        self._check_process()
        with self._lock:
            self._check_open()
            if self._verifier is None:
                self._verifier = Verifier(self._store)
        with contextlib.closing(open_source(source)) as opened:
            return self._verifier.verify(opened, uri, deep)

    def _all_archives(self) -> Archives:
        from fastput.client.reading.archive import Archives  # only who reads pays for it

        self._check_process()
        with self._lock:
            self._check_open()
            if self._archives is None:
                self._archives = Archives(self._store, window=self._concurrency)
            return self._archives

    def _all_downloads(self) -> Downloads:
        from fastput.client.reading.download import Downloads  # only who downloads pays for it

        with self._lock:
            self._check_open()
            if self._downloads is None:
                self._downloads = Downloads(
                    self._store,
                    prove=self._verify,
                    window=self._concurrency,
                    stall_timeout_s=self._stall_timeout_s,
                )
            return self._downloads

    def snapshot(self) -> Snapshot:
        """Counters of all uploads of this client, for displays."""
        return self._engine.snapshot()

    def cancel(self, reason: str = "cancelled") -> None:
        """Ends all uploads: their futures raise Interrupted when nothing of them is in flight or on the store."""
        self._check_process()
        self._stop.set()
        self._engine.cancel(reason)
        for reader in (self._verifier, self._downloads, self._archives):
            if reader is not None:
                reader.cancel()

    def close(self) -> None:
        """Waits for what was submitted, then ends threads and connections. May be called twice."""
        self._check_process()
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            pending = set(self._pending)
        wait(pending)
        for reader in (self._verifier, self._downloads, self._archives):
            if reader is not None:
                reader.close()
        self._engine.close()
        self._connector.close()
        if self._trace is not None:
            self._trace.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:
            return  # a forked child that leaves the block: nothing here is its own
        if kind is not None:
            self.cancel()
        self.close()

    def _check_open(self) -> None:
        """With the lock held."""
        if self._is_closed:
            raise UsageError("this client is closed")

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise ForkError(
                f"this client belongs to process {self._pid}, and this is {os.getpid()}: the runtime's threads don't "
                "survive a fork; make a client in each process, or start processes with the spawn method"
            )


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
