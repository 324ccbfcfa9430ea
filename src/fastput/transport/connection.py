"""One connection of our own to an endpoint: made when it is needed, made anew when the other end has closed it."""

from __future__ import annotations

import select
import socket
import ssl
import struct
from typing import Any

from fastput.model import Endpoint, TlsOptions

_CONNECT_TIMEOUT_S = 5.0


class Connection:
    """Belongs to a thread.

    Args:
        context: None: without TLS.
        silence_s: nothing moved for so long: what is called on the socket fails.
        watch: an epoll that is to know of it.
    """

    def __init__(
        self, endpoint: Endpoint, context: ssl.SSLContext | None, silence_s: int, watch: Any = None
    ) -> None:
        self._endpoint = endpoint
        self._context = context
        self._silence_s = silence_s
        self._watch = watch
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def opened(self) -> socket.socket:
        """
        Raises:
            OSError: there is no way to it, or its certificate isn't trusted.
        """
        if self._socket is not None and _has_ended(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connect()
        return self._socket

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._endpoint.host, self._endpoint.port), _CONNECT_TIMEOUT_S)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._watch is not None:
                self._watch.register(plain.fileno(), 0)
            connection = plain
            if self._context is not None:
                connection = self._context.wrap_socket(plain, server_hostname=self._endpoint.host)
            connection.settimeout(None)
            # In the kernel: Python's own time-outs would ask before each call whether it may be made.
            silence = struct.pack("@ll", self._silence_s, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, silence)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, silence)
        except BaseException:
            plain.close()
            raise
        return connection


def _has_ended(connection: socket.socket) -> bool:
    """Whether there is something to be read where nothing was asked: the end, in general."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_bundle if tls.verify else None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
