"""The ways to the stores: one transport for each scheme, host, port and region."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastput.model import Credentials, Endpoint, ObjectUri, TlsOptions
from fastput.store import Store
from fastput.transport import Transport

Connect = Callable[[Endpoint, Callable[[], Credentials], TlsOptions], Transport]


class Link:
    """A transport and whether anything was ever heard through it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.has_answered = False


class Links:
    """Made when they are needed, kept until the end. For threads that may block: it imports, resolves, reads files."""

    def __init__(self, store: Store, connect: Connect) -> None:
        self._store = store
        self._connect = connect
        self._links: dict[tuple[str, str, int, str], Link] = {}
        self._lock = threading.Lock()  # guards _links

    def to(self, uri: ObjectUri) -> tuple[Endpoint, Link]:
        """Where requests for this bucket go, and what carries them."""
        endpoint = self._store.endpoint(uri)
        identity = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.region)
        with self._lock:
            if identity not in self._links:
                transport = self._connect(endpoint, self._store.credentials, self._store.tls())
                self._links[identity] = Link(transport)
            return endpoint, self._links[identity]

    def close(self) -> None:
        """Closes all transports."""
        for link in self._links.values():
            link.transport.close()
