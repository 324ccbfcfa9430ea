"""A server on loopback that gives whatever bytes it was told to, and closes the connection."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

HOST = "127.0.0.1"


class Answering:
    """
    Attributes:
        answer: what every request gets.
        then: what every further one gets, if it isn't None.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"http://{HOST}:{listener.getsockname()[1]}"
        self.answer = b""
        self.then: bytes | None = None
        self._listener = listener

    def set(self, answer: bytes, then: bytes | None = None) -> None:
        self.answer, self.then = answer, then

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(10)
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        while not (end := request.find(b"\r\n\r\n") + 4) > 3:
            if not (got := connection.recv(1 << 16)):
                return
            request += got
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", request[:end])
        left = int(length[1]) - (len(request) - end) if length else 0
        while left > 0 and (got := connection.recv(1 << 16)):
            left -= len(got)
        answer = self.answer
        if self.then is not None:
            self.answer = self.then
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        # Closing with bytes unread would reset the connection, and the answer with it.
        while connection.recv(1 << 16):
            pass


@contextlib.contextmanager
def serve() -> Iterator[Answering]:
    with socket.create_server((HOST, 0), backlog=128) as listener:
        server = Answering(listener)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(status: int, body: bytes, headers: bytes = b"", *, with_length: bool = True) -> bytes:
    """An answer as it is on the wire."""
    length = b"content-length: %d\r\n" % len(body) if with_length else b""
    return b"HTTP/1.1 %d X\r\nconnection: close\r\n%s%s\r\n%s" % (status, length, headers, body)
