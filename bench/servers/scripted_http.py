"""Connections of the scripted server: HTTP/1.1 with keep-alive, on threads, with every step open to faults."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.servers.scripted_api import Answer, Request, error_answer, handle
from bench.servers.scripted_store import MemoryS3

HOST = "127.0.0.1"
HEAD_LIMIT_BYTES = 64 << 10
BACKLOG = 1024
READ_BYTES = 1 << 20
TICK_S = 0.05
# The peer has closed, or half closed: seen without reading what lies before it.
_GONE = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


class Over(Exception):
    """The connection has ended, or is to end now."""


@dataclass(slots=True)
class Seen:
    """A request that came in. status is 0, and ended_s None, while there is no answer. Times are since the epoch."""

    operation: str
    bucket: str
    key: str
    part: int | None
    access_key: str | None
    session_token: str | None
    started_s: float
    body_bytes: int = 0
    status: int = 0
    ended_s: float | None = None
    fault: str | None = None
    connection: int = 0


class Connection:
    """A client's socket. Raises Over when it is gone."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.number = number
        self._socket = sock
        self._pending = bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read_request(self) -> Request:
        """The next request's head."""
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            if len(self._pending) > HEAD_LIMIT_BYTES:
                raise Over
            if not (got := self._socket.recv(1 << 16)):
                raise Over
            self._pending += got
        lines = self._pending[:end].decode("latin-1").split("\r\n")
        del self._pending[: end + 4]
        method, target, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:])
        return Request(method, target, {name.lower(): value.strip() for name, _, value in pairs})

    def read_into(self, view: memoryview) -> int:
        """Some bytes of a body."""
        if self._pending:
            length = min(len(self._pending), len(view))
            view[:length] = self._pending[:length]
            del self._pending[:length]
            return length
        if not (length := self._socket.recv_into(view)):
            raise Over
        return length

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def narrow(self) -> None:
        """Keeps the kernel from taking much that nobody reads."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)

    def half_close(self) -> None:
        """Sends FIN and can still be written to."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends it with RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        raise Over

    def drain(self) -> None:
        """Reads to the end: closing with bytes unread would reset the connection, and the answer with it."""
        while self._socket.recv(READ_BYTES):
            pass

    def hold(self) -> None:
        """Does nothing until the client has gone."""
        poll = select.poll()
        poll.register(self._socket, _GONE)
        poll.poll()
        raise Over


class Exchange:
    """One request and its answer."""

    def __init__(self, server: Server, connection: Connection, request: Request, seen: Seen) -> None:
        self.server = server
        self.connection = connection
        self.request = request
        self.seen = seen
        self.body = bytearray(request.body_bytes)
        if request.headers.get("expect", "").lower() == "100-continue":
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def read(self, until_bytes: int | None = None, bytes_per_s: float | None = None) -> None:
        """Reads the body, or up to one of its bytes."""
        until_bytes = min(len(self.body), len(self.body) if until_bytes is None else until_bytes)
        with memoryview(self.body) as view:
            while (at := self.seen.body_bytes) < until_bytes:
                most_bytes = READ_BYTES if bytes_per_s is None else max(1, int(bytes_per_s * TICK_S))
                got_bytes = self.connection.read_into(view[at : min(until_bytes, at + most_bytes)])
                self.seen.body_bytes += got_bytes
                if bytes_per_s is not None:
                    self.server.pause(got_bytes / bytes_per_s)

    def work(self) -> Answer:
        """Reads the rest of the body and does what is asked."""
        self.read()
        return handle(self.server.store, self.request, self.body)

    def send(self, answer: Answer, is_last: bool = False) -> None:
        """Sends an answer; is_last: and says that the connection ends with it."""
        head, body = self.encode(answer, is_last)
        self.note(answer.status)
        self.connection.send(head + body)

    def note(self, status: int) -> None:
        """Writes the answer's status into the record."""
        self.seen.status, self.seen.ended_s = status, time.time()

    def encode(self, answer: Answer, is_last: bool = False) -> tuple[bytes, bytes]:
        """Head and body as they go out."""
        has_body = self.request.method != "HEAD" and answer.status not in (204, 304)
        names = {name.lower() for name, _ in answer.headers}
        lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status < 300 else 'No'}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        lines += [f"x-amz-request-id: {self.server.next_request_id()}"]
        if "content-length" not in names and answer.status != 204:
            lines.append(f"Content-Length: {len(answer.body)}")
        if is_last:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), answer.body if has_body else b""


Control = Callable[[Request, bytearray], Answer]
Fault = Callable[[Exchange], None]


class Server:
    """Accepts on a thread, serves each connection on one of its own.

    Args:
        find_fault: called with each request's record; what it returns is done instead of the ordinary work.
        control: answers requests to /_control/.
    """

    def __init__(self, find_fault: Callable[[Request, Seen], Fault | None], control: Control, port: int = 0) -> None:
        self.store = MemoryS3()
        self._find_fault = find_fault
        self._control = control
        self._seen: list[Seen] = []
        self._lock = threading.Lock()  # guards _seen
        self._numbers = itertools.count(1)
        self._is_stopping = threading.Event()
        self._listener = socket.create_server((HOST, port), backlog=BACKLOG)
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Serves until the process ends."""
        for number in itertools.count(1):
            sock, _ = self._listener.accept()
            connection = Connection(sock, number)
            threading.Thread(target=self._serve, args=(sock, connection), daemon=True).start()

    def pause(self, seconds: float) -> None:
        """The pace of a slow reader or writer."""
        self._is_stopping.wait(seconds)

    def next_request_id(self) -> str:
        return f"request-{next(self._numbers)}"

    def seen(self) -> list[Seen]:
        """All requests since the last forget(), in the order in which they came."""
        with self._lock:
            return list(self._seen)

    def forget(self, key: str | None = None) -> None:
        """Drops the records, of one key or all."""
        with self._lock:
            self._seen = [seen for seen in self._seen if key is not None and seen.key != key]

    def _serve(self, sock: socket.socket, connection: Connection) -> None:
        with contextlib.suppress(OSError, Over), sock:
            for request in _requests(connection):
                self._exchange(connection, request)

    def _exchange(self, connection: Connection, request: Request) -> None:
        seen = _record(request, connection)
        exchange = Exchange(self, connection, request, seen)
        if request.bucket == "_control":
            exchange.read()
            exchange.send(self._control(request, exchange.body))
            return
        with self._lock:
            self._seen.append(seen)
        fault = self._find_fault(request, seen)
        if fault is None:
            try:
                answer = exchange.work()
            except (ValueError, KeyError) as error:
                answer = error_answer(400, "InvalidArgument", f"{type(error).__name__}: {error}")
            exchange.send(answer)
        else:
            fault(exchange)


def _requests(connection: Connection) -> Iterator[Request]:
    while True:
        yield connection.read_request()


def _record(request: Request, connection: Connection) -> Seen:
    return Seen(
        operation=request.operation,
        bucket=request.bucket,
        key=request.key,
        part=request.part,
        access_key=request.access_key,
        session_token=request.headers.get("x-amz-security-token"),
        started_s=time.time(),
        connection=connection.number,
    )
