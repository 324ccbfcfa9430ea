"""Servers that misbehave, on loopback: for answers, and silences, that a real store can't be asked for."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CONNECT_WITHIN_S = 30.0


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Listener:
    """is_reached is set when the first byte of a request came in."""

    url: str
    is_reached: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        assert self.is_reached.wait(CONNECT_WITHIN_S), "nobody came"


@contextlib.contextmanager
def serve_silence() -> Iterator[Listener]:
    """Takes connections and bytes, and never answers."""

    def handle(connection: socket.socket, server: Listener) -> None:
        while connection.recv(1 << 20):
            server.is_reached.set()

    with _serve(handle) as server:
        yield server


@contextlib.contextmanager
def serve_answer(status: int, body: str, headers: str = "") -> Iterator[Listener]:
    """Gives the same answer to every request, and closes the connection."""
    answer = f"HTTP/1.1 {status} No\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{headers}\r\n{body}"

    def handle(connection: socket.socket, server: Listener) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            if not (got := connection.recv(1 << 16)):
                return
            request += got
        server.is_reached.set()
        connection.sendall(answer.encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass  # closing with bytes unread would reset the connection, and the answer with it

    with _serve(handle) as server:
        yield server


@contextlib.contextmanager
def serve_tls(target: tuple[str, int], certificate: str) -> Iterator[Listener]:
    """Ends TLS and hands the bytes on to a plain server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def handle(connection: socket.socket, server: Listener) -> None:
        with context.wrap_socket(connection, server_side=True) as secure, socket.create_connection(target) as plain:
            server.is_reached.set()
            back = threading.Thread(target=_copy, args=(plain, secure), daemon=True)
            back.start()
            _copy(secure, plain)
            back.join()

    with _serve(handle) as server:
        server.url = server.url.replace("http:", "https:")
        yield server


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while got := source.recv(1 << 18):
            target.sendall(got)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _serve(handle: object) -> Iterator[Listener]:
    connections: list[socket.socket] = []
    with socket.create_server((HOST, 0), backlog=128) as listener:
        server = Listener(f"http://{HOST}:{listener.getsockname()[1]}")

        def run(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                handle(connection, server)  # type: ignore[operator]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    threading.Thread(target=run, args=(connection,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            accepting.join()
