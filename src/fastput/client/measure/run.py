"""A survey from its first question to its last: one multipart upload that is never completed, and aborted."""

from __future__ import annotations

import secrets
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TypeVar

from fastput.client.measure.facts import PART_SIZES_BYTES, Machine, Plan, Report, Setup
from fastput.client.measure.judge import fits, knee_of, verdict
from fastput.client.measure.machine import measure_machine
from fastput.client.measure.pump import Pump
from fastput.client.measure.setup import measure_setup
from fastput.client.measure.sweep import Sweep
from fastput.client.measure.target import Uploads
from fastput.engine.control import persist
from fastput.engine.retry import RetryPolicy
from fastput.errors import EndpointError, FastputError, Interrupted, UsageError
from fastput.limits import DEFAULT_PART_BYTES
from fastput.model import Checksum, Endpoint, ObjectAttributes, ObjectUri, TlsOptions

_T = TypeVar("_T")

_SMALL_REQUESTS = 3
# Of the time, for the machine's ceilings, of which there are eight; no more than half a second each.
_MACHINE_SHARE = 0.1
_MOST_EACH_S = 0.5
# An answer that doesn't come isn't waited for when somebody has pressed Ctrl-C.
_INTERRUPTED_S = 3.0
# A part that was on its way while the upload was aborted may arrive behind that: S3 wants it said again then.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
_ABORTS = 3
_ABORT_WITHIN_S = 20.0
_POLL_S = 0.1


class Survey:
    """One survey. run() is for the main thread, stop() for a signal handler."""

    def __init__(self, uploads: Uploads, target: str, uri: ObjectUri, plan: Plan, say: Callable[[str], None]) -> None:
        """
        Args:
            uri: of the bucket and the prefix under which the upload is begun.
            say: takes what was found, as it is found.

        Raises:
            UsageError: too little of time, bytes or memory to measure anything.
        """
        if (lack := fits(1, DEFAULT_PART_BYTES, plan.memory_bytes, plan.budget_bytes)) is not None:
            least = "--budget 16MiB" if lack == "budget" else "more memory"
            raise UsageError(f"that is too little to measure anything: give {least} at least")
        if plan.time_s < 1:
            raise UsageError(f"{plan.time_s} s are too short to measure anything: give --time 1s at least")
        prefix = uri.key if uri.key.endswith("/") or not uri.key else f"{uri.key}/"
        self._uri = uri.with_key(f"{prefix}fastput-bench-{secrets.token_hex(4)}")
        self._uploads = uploads
        self._target = target
        self._plan = plan
        self._say = say
        self._pump: Pump | None = None
        self._stop = threading.Event()
        self._upload_id: str | None = None

    @property
    def left(self) -> str | None:
        """What is on the store at this moment, for who doesn't wait for run()."""
        return f"multipart upload {self._upload_id} of {self._uri}" if self._upload_id else None

    def stop(self) -> None:
        """Ends it soon: run() raises Interrupted when nothing is left on the store, or says what is."""
        self._stop.set()
        if self._pump is not None:
            self._pump.is_stopped = True

    def run(self) -> Report:
        """
        Raises:
            FastputError: nothing could be measured; its upload_id is of what is left on the store.
        """
        began_s = time.monotonic()
        endpoint = self._ask(lambda: self._uploads.endpoint(self._uri))
        tls = self._uploads.tls()
        setup = self._ask(lambda: measure_setup(endpoint, tls, self._stop.is_set))
        each_s = min(_MOST_EACH_S, _MACHINE_SHARE * self._plan.time_s / 8)
        self._say("this machine")
        machine = self._ask(lambda: measure_machine(self._plan.file, each_s, self._stop.is_set))
        # Not tried again, which might leave one that we don't know of. No checksum: not every store takes one.
        self._upload_id = upload_id = self._ask(
            lambda: self._uploads.create(self._uri, ObjectAttributes(), Checksum.NONE), "; an upload may be left on it"
        )
        try:
            report = self._send(endpoint, tls, upload_id, began_s, setup, machine)
        except BaseException as error:
            if not self._abort(upload_id) and isinstance(error, FastputError):
                error.upload_id = upload_id
            raise
        return report if self._abort(upload_id) else replace(report, left_upload_id=upload_id)

    def _send(
        self, endpoint: Endpoint, tls: TlsOptions, upload_id: str, began_s: float, setup: Setup, machine: Machine
    ) -> Report:
        from fastput.transport.both import Runtime  # 0.1 s that only those pay who get so far

        plan = self._plan
        transport = self._ask(lambda: Runtime().transport(endpoint, self._uploads.credentials, tls))
        sizes_bytes = (DEFAULT_PART_BYTES, *PART_SIZES_BYTES)
        largest_bytes = max(size for size in sizes_bytes if fits(1, size, plan.memory_bytes, 1 << 62) is None)
        self._pump = pump = Pump(transport, endpoint, self._uri, upload_id, plan.budget_bytes, largest_bytes)
        pump.is_stopped = self._stop.is_set()
        try:
            # The first of them makes the connection.
            small_s = [pump.small_request_s() for _ in range(1 + _SMALL_REQUESTS)][1:]
            sweep = Sweep(pump, plan.memory_bytes, began_s + plan.time_s, self._say)
            windows, ended_by = sweep.windows()
            if not windows:
                raise EndpointError(
                    f"{self._uri}: nothing that could be measured was taken in {plan.time_s:.0f} s: give more --time"
                )
            knee = knee_of(windows)
            part_sizes = sweep.part_sizes(knee)
        finally:
            pump.cancel()
            transport.close()
        return Report(
            target=self._target,
            endpoint=endpoint.url,
            setup=replace(setup, small_request_s=statistics.median(small_s)),
            windows=tuple(windows),
            part_sizes=tuple(part_sizes),
            machine=machine,
            knee=knee,
            verdict=verdict(windows, part_sizes, machine, ended_by),
            plan=plan,
            sent_bytes=pump.sent_bytes,
            seconds=time.monotonic() - began_s,
            ended_by=ended_by,
        )

    def _abort(self, upload_id: str) -> bool:
        """Whether the store has forgotten the upload."""

        def end() -> bool:
            for _ in range(_ABORTS):
                persist(lambda: self._uploads.abort(self._uri, upload_id), RetryPolicy(), threading.Event(), True)
                try:
                    if not list(self._uploads.list_parts(self._uri, upload_id)):
                        return True
                except FastputError:
                    return True  # UploadGone, as it should be; who may only write can't look
            return False

        done = _in_background(end)
        wait([done], _ABORT_WITHIN_S)
        is_gone = done.done() and done.exception() is None and done.result()
        self._upload_id = None if is_gone else upload_id
        return is_gone

    def _ask(self, work: Callable[[], _T], or_else: str = "") -> _T:
        """What may block, in another thread: a signal is heard meanwhile.

        Args:
            or_else: what it means when there is no answer.

        Raises:
            Interrupted: before, or there was no answer soon enough.
        """
        if self._stop.is_set():
            raise Interrupted(f"{self._uri}: interrupted")
        done = _in_background(work)
        left_s = _INTERRUPTED_S
        while not wait([done], _POLL_S).done:
            if self._stop.is_set():
                left_s -= _POLL_S
            if left_s < 0:
                raise Interrupted(f"{self._uri}: interrupted; the store doesn't answer{or_else}")
        return done.result()


def _in_background(work: Callable[[], _T]) -> Future[_T]:
    """In a thread that nobody has to wait for."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="fastput-survey").start()
    return future
