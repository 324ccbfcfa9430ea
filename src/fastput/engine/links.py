"""The ways to the stores: one transport for each scheme, host, port and region, and what its store takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from fastput.engine.pace import Pace
from fastput.engine.probe import Probe
from fastput.engine.retry import RetryPolicy
from fastput.errors import JournalError
from fastput.model import Checksum, Credentials, Endpoint, ObjectUri, TlsOptions
from fastput.profile import AMAZON, StoreProfile, known_profile
from fastput.state import profiles
from fastput.store import Store
from fastput.transport import Transport

Connect = Callable[[Endpoint, Callable[[], Credentials], TlsOptions], Transport]

# A store may be upgraded; a week is long beside a transfer and short beside that.
PROFILE_KEPT_S = 7 * 24 * 3600.0


class Link:
    """A transport and what was learned of its other end."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.has_answered = False
        self.is_reached = False  # by the control plane
        self.answered_at_s = 0.0  # of the monotonic clock
        self.pace = Pace()
        self.profile: StoreProfile | None = None
        self.is_remembered = False  # the profile is from an earlier run
        self.lock = threading.Lock()  # guards profile while it is found out, so that one asks and the others wait

    @property
    def takes_if_none_match(self) -> bool:
        return self.profile is None or self.profile.takes_if_none_match


class Links:
    """Made when they are needed, kept until the end. For threads that may block: it imports, resolves, reads files.

    Args:
        directory: where profiles are remembered; None: nowhere.
        profile: of all endpoints, if it is known.
        probes_again: what is remembered isn't believed.
    """

    def __init__(
        self,
        store: Store,
        connect: Connect,
        policy: RetryPolicy,
        stop: threading.Event,
        directory: Callable[[], Path] | None = None,
        profile: StoreProfile | None = None,
        probes_again: bool = False,
    ) -> None:
        self._store = store
        self._connect = connect
        self._policy = policy
        self._stop = stop
        self._directory = directory
        self._profile = profile
        self._probes_again = probes_again
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

    def profile(
        self, uri: ObjectUri, endpoint: Endpoint, link: Link, checksum: Checksum | None, say: Callable[[str], None]
    ) -> StoreProfile:
        """What the endpoint takes: known, remembered, or found out now.

        Args:
            checksum: asked for by name: then nothing is found out for it.
            say: told if something is left on the store.

        Raises:
            FastputError: the store can't be asked.
        """
        with link.lock:
            if link.profile is None:
                link.profile = self._profile or known_profile(endpoint.host) or self._recall(endpoint, link)
            if link.profile is None and checksum is not None:
                return AMAZON  # not kept: others may ask for no checksum by name
            if link.profile is None:
                probe = Probe(self._store, endpoint, link.transport, uri, self._policy, self._stop)
                link.profile = probe.run()
                link.has_answered = True
                for upload_id in probe.left:
                    say(f"{uri}: multipart upload {upload_id}, begun to find out what it takes, is left on the store")
                self._remember(endpoint, link.profile)
            return link.profile

    def distrust(self, endpoint: Endpoint, link: Link) -> None:
        """The store refused what its remembered profile says that it takes: the next run finds out anew."""
        if link.is_remembered and self._directory is not None:
            profiles.forget(self._directory(), _name(endpoint))

    def moved_bytes(self) -> int:
        """What the other ends have acknowledged, as far as transports can tell; only differences mean something."""
        with self._lock:
            return sum(link.transport.moved_bytes() for link in self._links.values())

    def close(self) -> None:
        """Closes all transports."""
        for link in self._links.values():
            link.transport.close()

    def _recall(self, endpoint: Endpoint, link: Link) -> StoreProfile | None:
        if self._directory is None or self._probes_again:
            return None
        try:
            document = profiles.load(self._directory(), _name(endpoint), time.time(), PROFILE_KEPT_S)
            profile = StoreProfile.from_dict(document) if document is not None else None
        except (JournalError, ValueError):
            return None
        link.is_remembered = profile is not None
        return profile

    def _remember(self, endpoint: Endpoint, profile: StoreProfile) -> None:
        if self._directory is not None:
            try:
                profiles.save(self._directory(), _name(endpoint), profile.to_dict(), time.time())
            except JournalError:
                pass  # it will be asked again


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.scheme}://{endpoint.authority}"
