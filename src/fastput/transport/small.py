"""Small files over connections of our own: a thread and a connection for some tens of them, one after another.

The runtime takes 230 to 400 microseconds of CPU for each request, most of it to get it going, and each hand-over from
thread to thread costs as much again (docs/decisions/0013-small-objects.md). Here a file costs its system calls: all
between open() and the answer is one native call for the whole batch; with TLS it is the same step by step.

The kernel tells of these connections as of the runtime's: they are registered with an event loop of their own, which
nobody waits for, so that Connections finds them there.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

from fastput.model import Credentials, Endpoint, TlsOptions
from fastput.native import put
from fastput.native.put import Putter, Sent
from fastput.transport.base import (
    MOST_SMALL_BYTES,
    MOST_SMALL_FILES,
    SmallAnswer,
    SmallFile,
    Ticket,
    chunked_headers,
)
from fastput.transport.connection import Connection, tls_context
from fastput.transport.credentials import LastKnown
from fastput.transport.sigv4 import UNSIGNED_TRAILER, Signer

# Nothing moved for so long: the file is handed back, and goes the way with more patience and a second try beside it.
_SILENCE_S = 10
_RECEIVE_BYTES = 16 << 10
_JOIN_S = 5.0


class SmallSender:
    """Batches of small files to one endpoint, each on a thread of its own. Counting and pacing is its owner's."""

    def __init__(self, endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> None:
        self._endpoint = endpoint
        self._credentials = LastKnown(credentials)
        self._signer = Signer(endpoint.region)
        self._context = tls_context(tls) if endpoint.is_tls else None
        self._watch = select.epoll() if hasattr(select, "epoll") else None
        self._waiting: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._under_way: set[_Batch] = set()

    @property
    def epoll(self) -> int | None:
        """The descriptor by which the kernel's counters of its connections are found; None: not on Linux."""
        return self._watch.fileno() if self._watch is not None else None

    def send(self, files: Sequence[SmallFile], on_done: Callable[[SmallAnswer], None]) -> Ticket:
        """At most MOST_SMALL_FILES, each of at most MOST_SMALL_BYTES."""
        batch = _Batch(files, on_done)
        self._under_way.add(batch)
        self._waiting.put(batch)
        if not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._work, name=f"fastput-small-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return batch

    def close(self) -> None:
        """Cancels what is under way and ends the threads."""
        for batch in list(self._under_way):
            batch.cancel()
        for _ in self._threads:
            self._waiting.put(None)
        ends_at_s = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, ends_at_s - time.monotonic()))
        if self._watch is not None:
            self._watch.close()

    def _work(self) -> None:
        connection = Connection(self._endpoint, self._context, _SILENCE_S, self._watch)
        putter = Putter(MOST_SMALL_BYTES, MOST_SMALL_FILES)
        while (batch := self._waiting.get()) is not None:
            before_ns, before_cpu_ns = putter.read_ns, putter.read_cpu_ns
            sent, is_lost = self._carry(batch, connection, putter)
            self._under_way.discard(batch)
            self._idle.release()
            read_ns, read_cpu_ns = putter.read_ns - before_ns, putter.read_cpu_ns - before_cpu_ns
            batch.on_done(SmallAnswer(sent, is_lost, read_ns, read_cpu_ns))
            del batch
        connection.close()

    def _carry(self, batch: _Batch, connection: Connection, putter: Putter) -> tuple[list[Sent], bool]:
        """What became of the files, and whether the connection failed."""
        now_s, credentials = time.time(), self._credentials()
        files = [
            (os.fsencode(file.path), self._head(file, credentials, now_s), file.size_bytes, file.mtime_ns)
            for file in batch.files
        ]
        sent: list[Sent] = []
        while len(sent) < len(files):
            was_open = connection.is_open
            try:
                opened = connection.opened()
                batch.uses(opened)
                more, can_go_on, is_lost = _send(opened, putter, files[len(sent) :])
                if not can_go_on:
                    connection.close()
            except OSError:
                connection.close()
                return sent, True
            finally:
                batch.uses(None)
            sent += more
            if is_lost and (more or not was_open):
                return sent, True
            # Else the store may have closed it while it was idle: now there is a new one.
            if more and more[-1].outcome in (put.REFUSED, put.STRANGE):
                break
        return sent, False

    def _head(self, file: SmallFile, credentials: Credentials, now_s: float) -> bytes:
        headers = [
            ("host", self._endpoint.authority),
            ("content-length", str(put.body_bytes(file.size_bytes))),
            *file.headers,
            *chunked_headers(file.size_bytes, "crc64nvme", file.names_encoding),
        ]
        signed = self._signer.sign("PUT", file.object_path, headers, UNSIGNED_TRAILER, credentials, now_s)
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed)
        return f"PUT {file.object_path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class _Batch:
    """Files under way."""

    def __init__(self, files: Sequence[SmallFile], on_done: Callable[[SmallAnswer], None]) -> None:
        self.files = files
        self.on_done = on_done
        self._is_cancelled = False
        self._lock = threading.Lock()  # guards _socket: it may be another batch's a moment later
        self._socket: socket.socket | None = None

    def cancel(self) -> None:
        with self._lock:
            self._is_cancelled = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def uses(self, connection: socket.socket | None) -> None:
        """What has to be shut down to end it.

        Raises:
            OSError: it was cancelled before.
        """
        with self._lock:
            self._socket = connection
            if self._is_cancelled and connection is not None:
                raise ConnectionAbortedError


def _send(connection: socket.socket, putter: Putter, files: list[put.File]) -> tuple[list[Sent], bool, bool]:
    """Until one isn't taken. Returns those, whether the connection can take another, and whether it failed."""
    if isinstance(connection, ssl.SSLSocket):
        return _send_tls(connection, putter, files)
    sent, can_go_on = putter.send(connection.fileno(), files)
    if is_lost := sent[-1].outcome == put.LOST:
        sent.pop()
    return sent, can_go_on, is_lost


def _send_tls(connection: ssl.SSLSocket, putter: Putter, files: list[put.File]) -> tuple[list[Sent], bool, bool]:
    """As putter.send(), step by step. The last: whether the connection failed."""
    done: list[Sent] = []
    for file in files:
        sent, message = putter.prepare(file)
        can_go_on = True
        if message is not None:
            try:
                connection.sendall(message)
                sent, can_go_on = _receive_tls(connection, putter)
            except OSError:
                return done, False, True
        done.append(sent)
        if sent.outcome in (put.REFUSED, put.STRANGE) or not can_go_on:
            return done, can_go_on, False
    return done, True, False


def _receive_tls(connection: ssl.SSLSocket, putter: Putter) -> tuple[Sent, bool]:
    received = b""
    while (answered := putter.answered(received)) is None:
        more = connection.recv(_RECEIVE_BYTES)
        if not more:
            raise ConnectionResetError
        received += more
    sent, left_bytes, can_go_on = answered
    while left_bytes > 0 and can_go_on:
        more = connection.recv(min(left_bytes, _RECEIVE_BYTES))
        left_bytes -= len(more)
        can_go_on = bool(more)
    return sent, can_go_on
