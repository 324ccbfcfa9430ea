"""A proxy that understands as much HTTP as it takes to stop an upload at a chosen moment, and to count its bytes.

    proxy.trap(lambda moment: moment.is_answer("UploadPart", 7))
    ... start an upload ...
    while not trap.wait(): ...
    # The store has answered the seventh part, and the client doesn't know it yet.
    ... kill -9 ...
    proxy.cut()       # every connection is closed; what was held is lost, as on a network

Bytes pass unchanged, the Host header too, so that signatures stay right.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
READ_BYTES = 256 << 10
CONNECT_WITHIN_S = 10.0
POLL_S = 0.05
# Requests by which fastput finds out what a store takes have smaller bodies.
MIN_PART_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Moment:
    """Something is about to pass.

    Attributes:
        stage: "request" (its head), "body" (a piece of it) or "answer" (its beginning).
        number: how many of this stage and operation there were, from 1; with "body", how many requests.
        body_bytes: of this request's body, before this piece.
        status: of the answer.
    """

    stage: str
    operation: str
    number: int
    body_bytes: int = 0
    status: int = 0

    def is_request(self, operation: str, number: int = 1) -> bool:
        return (self.stage, self.operation, self.number) == ("request", operation, number)

    def is_answer(self, operation: str, number: int = 1) -> bool:
        return (self.stage, self.operation, self.number) == ("answer", operation, number)

    def is_inside(self, operation: str, number: int, body_bytes: int) -> bool:
        """In the middle of a body, so many bytes of which have passed."""
        is_same = (self.stage, self.operation, self.number) == ("body", operation, number)
        return is_same and self.body_bytes >= body_bytes


When = Callable[[Moment], bool]


@dataclass
class Trap:
    """Springs once. holds_all: from then on nothing passes; otherwise nothing on this connection."""

    when: When
    holds_all: bool
    _is_sprung: threading.Event = field(default_factory=threading.Event)

    @property
    def is_sprung(self) -> bool:
        return self._is_sprung.is_set()

    def spring(self) -> None:
        self._is_sprung.set()

    def wait(self) -> bool:
        """Whether it has sprung, after a moment at most."""
        return self._is_sprung.wait(POLL_S)


class _Cut(Exception):
    """The connection is to be closed."""


@dataclass(eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket
    operation: str = ""
    waits_for_answer: bool = False
    is_held: bool = False
    is_cut: bool = False


class Proxy:
    """
    Attributes:
        bytes_per_s: of part bodies, all connections together; None: as fast as it goes.
        part_bytes: data of parts that clients have sent in all, framing not counted, whatever became of it.
        passed: Counter of (stage, operation) since the last cut().
    """

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.bytes_per_s: float | None = None
        self.part_bytes = 0
        self.passed: Counter[tuple[str, str]] = Counter()
        self._listener = listener
        self._target = target
        self._connections: set[_Connection] = set()
        self._traps: list[Trap] = []
        self._is_frozen = False
        self._free_at_s = 0.0
        self._changed = threading.Condition()  # guards all of the above

    def trap(self, when: When, holds_all: bool = True) -> Trap:
        """Stops everything, or one connection, at a moment."""
        trap = Trap(when, holds_all)
        with self._changed:
            self._traps.append(trap)
        return trap

    def release(self) -> None:
        """What is held passes, and nothing more is stopped."""
        with self._changed:
            self._thaw()

    def cut(self) -> None:
        """Closes all connections; new ones are fine."""
        with self._changed:
            for connection in self._connections:
                connection.is_cut = True
                for end in (connection.client, connection.server):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            self.passed.clear()
            self._thaw()

    def _thaw(self) -> None:
        self._is_frozen = False
        self._traps.clear()
        for connection in self._connections:
            connection.is_held = False
        self._changed.notify_all()

    def run(self) -> None:
        """Until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(client)
            stack.enter_context(contextlib.suppress(OSError, _Cut))
            server = stack.enter_context(socket.create_connection(self._target, CONNECT_WITHIN_S))
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(client, server)
            with self._changed:
                self._connections.add(connection)
            down = threading.Thread(target=self._down, args=(connection,), daemon=True)
            down.start()
            try:
                self._up(connection)
            finally:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                down.join()
                with self._changed:
                    self._connections.discard(connection)

    def _up(self, connection: _Connection) -> None:
        rest = b""
        while True:
            head, rest = _read_head(connection.client, rest)
            request = _Request(head)
            connection.operation = request.operation
            number = self._pass(connection, "request")
            connection.waits_for_answer = True
            connection.server.sendall(head)
            body_bytes = 0
            while body_bytes < request.body_bytes:
                piece = rest or connection.client.recv(min(READ_BYTES, request.body_bytes - body_bytes))
                rest = b""
                if not piece:
                    return
                if len(piece) > request.body_bytes - body_bytes:
                    raise AssertionError("requests one behind the other")
                if request.operation == "UploadPart":
                    self._count(connection, request, body_bytes, len(piece))
                self._pass(connection, "body", number, body_bytes)
                connection.server.sendall(piece)
                body_bytes += len(piece)

    def _down(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError, _Cut):
            while piece := connection.server.recv(READ_BYTES):
                is_interim = piece.startswith(b"HTTP/1.1 100")
                if connection.waits_for_answer and not is_interim:
                    connection.waits_for_answer = False
                    self._pass(connection, "answer", status=int(piece.split(None, 2)[1]))
                else:
                    self._pass(connection, "more")
                connection.client.sendall(piece)
        with contextlib.suppress(OSError):
            connection.client.shutdown(socket.SHUT_RDWR)

    def _count(self, connection: _Connection, request: _Request, body_bytes: int, piece_bytes: int) -> None:
        with self._changed:
            before = min(body_bytes, request.data_bytes)
            self.part_bytes += min(body_bytes + piece_bytes, request.data_bytes) - before
            if self.bytes_per_s is None:
                return
            now_s = time.monotonic()
            self._free_at_s = max(self._free_at_s, now_s) + piece_bytes / self.bytes_per_s
            until_s = self._free_at_s
            while (left_s := until_s - time.monotonic()) > 0 and not connection.is_cut:
                self._changed.wait(left_s)

    def _pass(self, connection: _Connection, stage: str, number: int = 0, body_bytes: int = 0, status: int = 0) -> int:
        """Waits while it is held. Returns the moment's number."""
        with self._changed:
            if stage in ("request", "answer"):
                self.passed[stage, connection.operation] += 1
                number = self.passed[stage, connection.operation]
            moment = Moment(stage, connection.operation, number, body_bytes, status)
            for trap in self._traps:
                if not trap.is_sprung and trap.when(moment):
                    self._is_frozen = self._is_frozen or trap.holds_all
                    connection.is_held = True
                    trap.spring()
            while (self._is_frozen or connection.is_held) and not connection.is_cut:
                self._changed.wait()
            if connection.is_cut:
                raise _Cut
            return number


class _Request:
    """What the head of a request says."""

    def __init__(self, head: bytes) -> None:
        line, _, fields = head.decode("latin-1").partition("\r\n")
        method, target, _ = line.split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (row.partition(":") for row in fields.split("\r\n"))
        }
        assert "transfer-encoding" not in headers, "nobody here sends bodies of unknown length"
        query = parse_qs(urlsplit(target).query, keep_blank_values=True)
        self.body_bytes = int(headers.get("content-length", 0))
        self.data_bytes = int(headers.get("x-amz-decoded-content-length", self.body_bytes))
        self.operation = self._operation(method, query)

    def _operation(self, method: str, query: dict[str, list[str]]) -> str:
        if method == "PUT" and "partNumber" in query:
            return "UploadPart" if self.data_bytes >= MIN_PART_BYTES else "Probe"
        if "uploads" in query:
            return {"POST": "Create"}.get(method, "ListUploads")
        if "uploadId" in query:
            return {"POST": "Complete", "DELETE": "Abort"}.get(method, "ListParts")
        return method


def _read_head(client: socket.socket, rest: bytes) -> tuple[bytes, bytes]:
    """(head, what followed it)"""
    while not (end := re.search(rb"\r\n\r\n", rest)):
        if not (got := client.recv(READ_BYTES)):
            raise _Cut
        rest += got
    return rest[: end.end()], rest[end.end() :]


@contextlib.contextmanager
def serve(endpoint_url: str) -> Iterator[Proxy]:
    """A proxy on a free port, for as long as the block lasts."""
    target = urlsplit(endpoint_url)
    assert target.hostname is not None
    assert target.port is not None
    with socket.create_server((HOST, 0), backlog=128) as listener:
        proxy = Proxy(listener, (target.hostname, target.port))
        accepting = threading.Thread(target=proxy.run, daemon=True)
        accepting.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            proxy.cut()
