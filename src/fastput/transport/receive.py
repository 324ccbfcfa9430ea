"""Ranges of objects over connections of our own: a thread and a connection for each that is under way.

The runtime hands a body over when all of it is there, as bytes of Python's, copied while the interpreter stands still.
Here the bytes go from the socket through the checksum to their place, and a request takes 256 KiB however long its
range is. Python reads the head of the answer; one native call receives the rest. With TLS Python receives a stride at a
time.
"""

from __future__ import annotations

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from fastput.model import Credentials, Endpoint, TlsOptions
from fastput.native.landing import Landing
from fastput.transport.base import Failure, Fetch, Response, Ticket
from fastput.transport.connection import Connection, tls_context
from fastput.transport.credentials import LastKnown
from fastput.transport.sigv4 import UNSIGNED, Signer

_STRIDE_BYTES = 256 << 10
# S3's own documents have less than 1 KiB.
_MOST_ERROR_BYTES = 64 << 10
_JOIN_S = 5.0
# Nothing came for so long: what is left is asked for again. Disks that spin up, and stores under load, take seconds.
_SILENCE_S = 30


class RangeReceiver:
    """Ranges from one endpoint."""

    def __init__(self, endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> None:
        self._endpoint = endpoint
        self._credentials = LastKnown(credentials)
        self._signer = Signer(endpoint.region)
        self._tls = tls
        self._waiting: queue.SimpleQueue[_Exchange | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._under_way: set[_Exchange] = set()

    def fetch(self, request: Fetch, landing: Landing, on_done: Callable[[Response], None]) -> Ticket:
        exchange = _Exchange(request, landing, on_done)
        self._under_way.add(exchange)
        self._waiting.put(exchange)
        if not self._idle.acquire(blocking=False):
            thread = threading.Thread(target=self._work, name=f"fastput-receive-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return exchange

    def close(self) -> None:
        for exchange in list(self._under_way):
            exchange.cancel()
        for _ in self._threads:
            self._waiting.put(None)
        ends_at_s = time.monotonic() + _JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, ends_at_s - time.monotonic()))

    @functools.cached_property
    def _context(self) -> ssl.SSLContext | None:
        return tls_context(self._tls) if self._endpoint.is_tls else None

    def _work(self) -> None:
        connection: Connection | None = None
        while (exchange := self._waiting.get()) is not None:
            try:
                connection = connection or Connection(self._endpoint, self._context, _SILENCE_S)
                response = self._carry(exchange, connection)
            except Exception as error:  # a mistake of ours mustn't leave anybody waiting
                response = Response(failure=Failure.OTHER, reason=repr(error))
            self._under_way.discard(exchange)
            self._idle.release()
            exchange.on_done(response)
            del exchange
        if connection is not None:
            connection.close()

    def _carry(self, exchange: _Exchange, connection: Connection) -> Response:
        while True:
            was_open, before_bytes = connection.is_open, exchange.landing.received_bytes
            try:
                used = connection.opened()
                exchange.uses(used)
                response, goes_on = self._ask(exchange, used)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                # A store may close a connection while it is idle: then a new one is made, once.
                was_idle = was_open and exchange.landing.received_bytes == before_bytes
                if was_idle and isinstance(error, ConnectionError) and not exchange.is_cancelled:
                    continue
                return _lost(exchange, error)
            finally:
                exchange.uses(None)
            if not goes_on:
                connection.close()
            return response

    def _ask(self, exchange: _Exchange, connection: socket.socket) -> tuple[Response, bool]:
        """The answer, and whether the connection can take another request."""
        wanted, landing = exchange.request, exchange.landing
        asked = f"bytes={wanted.first_byte}-{wanted.first_byte + landing.left_bytes - 1}"
        connection.sendall(self._head(wanted, asked))
        answer = http.client.HTTPResponse(_Reading(connection), method="GET")  # type: ignore[arg-type]
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if answer.status not in (200, 206):
            body = answer.read(_MOST_ERROR_BYTES)
            return Response(answer.status, headers, body), answer.isclosed() and not answer.will_close
        # Looked at before the body is: a store that doesn't know ranges would send all of the object.
        got = headers.get("content-range", "").partition("/")[0].replace(" ", "=")
        if answer.length != landing.left_bytes or got not in ("", asked) or (not got and wanted.first_byte > 0):
            said = f"the store sends {answer.length} bytes ({got or 'no range'}) where {asked} was asked for"
            return Response(answer.status, headers, reason=said), False
        _land(connection, answer, landing)
        return Response(answer.status, headers), not answer.will_close

    def _head(self, wanted: Fetch, asked: str) -> bytes:
        headers = [("host", self._endpoint.authority), ("range", asked), *wanted.headers]
        signed = self._signer.sign("GET", wanted.path, headers, UNSIGNED, self._credentials(), time.time())
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed)
        return f"GET {wanted.path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


class _Exchange:
    """A range under way."""

    def __init__(self, request: Fetch, landing: Landing, on_done: Callable[[Response], None]) -> None:
        self.request = request
        self.landing = landing
        self.on_done = on_done
        self.is_cancelled = False
        self._lock = threading.Lock()  # guards _socket: it may be another exchange's a moment later
        self._socket: socket.socket | None = None

    def cancel(self) -> None:
        with self._lock:
            self.is_cancelled = True
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has failed by itself

    def uses(self, connection: socket.socket | None) -> None:
        """What has to be shut down to end it.

        Raises:
            OSError: it was cancelled before.
        """
        with self._lock:
            self._socket = connection
            if self.is_cancelled and connection is not None:
                raise ConnectionAbortedError


class _Reading:
    """A socket as http.client reads it; its own file takes a time-out for the end of the answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self._connection))


class _Raw(io.RawIOBase):
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)


def _land(connection: socket.socket, answer: http.client.HTTPResponse, landing: Landing) -> None:
    """All of the body: what was read with the head, and the rest past http.client."""
    reader: io.BufferedReader = answer.fp
    landing.put(reader.read1(min(landing.left_bytes, len(reader.peek()))))
    if not isinstance(connection, ssl.SSLSocket):
        landing.receive(connection.fileno())
        return
    stride = memoryview(bytearray(min(_STRIDE_BYTES, landing.left_bytes)))
    while landing.left_bytes > 0:
        got_bytes, room_bytes = 0, min(len(stride), landing.left_bytes)
        try:
            while got_bytes < room_bytes:
                if not (more_bytes := connection.recv_into(stride[got_bytes:room_bytes])):
                    raise ConnectionResetError("the connection was closed before the end")
                got_bytes += more_bytes
        finally:
            landing.put(stride[:got_bytes])


def _lost(exchange: _Exchange, error: Exception) -> Response:
    reason = str(error) or type(error).__name__
    if exchange.is_cancelled:
        return Response(failure=Failure.CANCELLED, reason="cancelled")
    if exchange.landing.failure is not None:
        return Response(failure=Failure.BODY, reason=reason)
    found = next((kind for kinds, kind in _FAILURES if isinstance(error, kinds)), Failure.OTHER)
    return Response(failure=found, reason=reason)


# In this order: some are kinds of others.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
    ((socket.gaierror,), Failure.NAME),
    ((TimeoutError, BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError), Failure.TIMEOUT),
    ((ConnectionRefusedError,), Failure.CONNECT),
    ((ConnectionError, http.client.HTTPException, ssl.SSLEOFError, ssl.SSLZeroReturnError), Failure.CLOSED),
    ((ssl.SSLError,), Failure.TLS),
    ((OSError,), Failure.CONNECT),
)
