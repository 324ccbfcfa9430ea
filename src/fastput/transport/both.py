"""Small files over connections of our own, everything else over the Common Runtime; counted and paced as one.

Measured: docs/decisions/0013-small-objects.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastput.model import Credentials, Endpoint, TlsOptions
from fastput.native.connections import Connections
from fastput.transport.base import Request, Response, SmallAnswer, SmallFile, Ticket, Traffic
from fastput.transport.crt import CrtRuntime, CrtTransport
from fastput.transport.small import SmallSender


class Runtime:
    """What all transports of one client share. threads: of the Common Runtime; None: as many as help."""

    def __init__(self, threads: int | None = None) -> None:
        self._crt = CrtRuntime(threads)

    def transport(self, endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> BothTransport:
        """A transport to one host and port.

        Raises:
            FastputError: there are no credentials.
        """
        small = SmallSender(endpoint, credentials, tls)
        large = self._crt.transport(endpoint, credentials, tls)
        return BothTransport(small, large, self._crt.epolls, endpoint.port)


class BothTransport:
    """
    Args:
        epolls: the event loops of the large one's connections.
        port: of the store.
    """

    def __init__(self, small: SmallSender, large: CrtTransport, epolls: Sequence[int], port: int) -> None:
        self._small = small
        self._large = large
        own = [small.epoll] if small.epoll is not None else []
        self._connections = Connections([*epolls, *own], port)

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        return self._large.send(request, on_done)

    def send_small(self, files: Sequence[SmallFile], on_done: Callable[[SmallAnswer], None]) -> Ticket:
        return self._small.send(files, on_done)

    def traffic(self) -> Traffic | None:
        totals = self._connections.look()
        return None if totals is None else Traffic(*totals)

    def catch(self, connections: int, within_s: float) -> None:
        self._connections.catch(connections, within_s)

    def pace(self, bytes_per_s: float | None) -> None:
        self._connections.pace(bytes_per_s)

    def close(self) -> None:
        self._small.close()
        self._large.close()
