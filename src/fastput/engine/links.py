"""The ways to the stores: one transport for each scheme, host, port and region, and what its store takes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fastput.engine.meter import together
from fastput.engine.pace import Pace
from fastput.engine.probe import Probe
from fastput.engine.retry import RetryPolicy
from fastput.errors import JournalError
from fastput.model import Checksum, Credentials, Endpoint, ObjectUri, TlsOptions
from fastput.profile import AMAZON, StoreProfile, known_profile
from fastput.state import profiles
from fastput.store import Store
from fastput.transport import Traffic, Transport
from fastput.tuner import Settled

_T = TypeVar("_T")
Connect = Callable[[Endpoint, Callable[[], Credentials], TlsOptions], Transport]

# A store may be upgraded; a week is long beside a transfer and short beside that.
PROFILE_KEPT_S = 7 * 24 * 3600.0
# A store that doesn't answer an Abort mustn't keep the process.
_CLEANED_WITHIN_S = 3.0


class Link:
    """A transport and what was learned of its other end."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.has_answered = False
        self.is_reached = False  # by the control plane
        self.answered_at_s = 0.0  # of the monotonic clock
        self.active_connections = self.open_connections = 0  # at the last look
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
        self._first: Endpoint | None = None
        self._settled: Settled | None = None
        self._cleaning: list[tuple[threading.Thread, Callable[[], None]]] = []  # and what says what is left
        self._connecting = threading.Lock()  # held while a transport is made, so that one makes it and the others wait
        self._lock = threading.Lock()  # guards _links and _cleaning; never for long: the loop's thread needs it

    def to(self, uri: ObjectUri) -> tuple[Endpoint, Link]:
        """Where requests for this bucket go, and what carries them."""
        endpoint = self._store.endpoint(uri)
        identity = (endpoint.scheme, endpoint.host, endpoint.port, endpoint.region)
        with self._connecting:
            if identity not in self._links:
                link = Link(self._connect(endpoint, self._store.credentials, self._store.tls()))
                if not self._links:
                    self._settled = self._load(window_name(endpoint), Settled.from_dict)
                    self._first = endpoint
                with self._lock:
                    self._links[identity] = link
            return endpoint, self._links[identity]

    def known_profile(self, endpoint: Endpoint, link: Link, checksum: Checksum | None) -> StoreProfile | None:
        """What the endpoint takes, if that needn't be found out. Asks nobody and waits for nobody."""
        if link.profile is None:
            found = self._profile or known_profile(endpoint.host) or self._recall(endpoint, link)
            if found is None:
                # Not kept: others may ask for no checksum by name.
                return AMAZON if checksum is not None else None
            link.profile = found
        return link.profile

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
            if (known := self.known_profile(endpoint, link, checksum)) is not None:
                return known
            probe = Probe(self._store, endpoint, link.transport, uri, self._policy, self._stop)
            try:
                link.profile = probe.run()
            finally:
                self._clean_up(probe, uri, say)
            link.has_answered = True
            self._save(endpoint.url, link.profile.to_dict())
            return link.profile

    def _clean_up(self, probe: Probe, uri: ObjectUri, say: Callable[[str], None]) -> None:
        """While the transfer goes on: a round trip less to wait for."""

        def say_what_is_left() -> None:
            for upload_id in sorted(probe.left):
                say(f"{uri}: multipart upload {upload_id}, begun to find out what it takes, may be left on the store")

        def work() -> None:
            probe.clean_up()
            say_what_is_left()

        thread = threading.Thread(target=work, name="fastput-clean-up", daemon=True)
        thread.start()
        with self._lock:
            self._cleaning.append((thread, say_what_is_left))

    @property
    def is_clean(self) -> bool:
        """Whether wait_until_clean() has nothing to wait for."""
        with self._lock:
            return not self._cleaning

    def wait_until_clean(self) -> None:
        """Until nothing of the questions is left on a store: for whoever says that an upload has ended."""
        ends_at_s = time.monotonic() + _CLEANED_WITHIN_S
        while True:
            with self._lock:
                if not self._cleaning:
                    return
                cleaning = self._cleaning[-1]
            thread, say_what_is_left = cleaning
            thread.join(max(0.0, ends_at_s - time.monotonic()))
            with self._lock:
                is_first = cleaning in self._cleaning  # several uploads may wait for it
                if is_first:
                    self._cleaning.remove(cleaning)
            if is_first and thread.is_alive():
                say_what_is_left()

    def distrust(self, endpoint: Endpoint, link: Link) -> None:
        """The store refused what its remembered profile says that it takes: the next run finds out anew."""
        if link.is_remembered and self._directory is not None:
            profiles.forget(self._directory(), endpoint.url)

    def traffic(self) -> Traffic | None:
        """Of all connections; None where that can't be told."""
        seen = []
        for link in self._all():
            if (found := link.transport.traffic()) is not None:
                link.active_connections = found.active_connections
                link.open_connections = found.open_connections
                seen.append(found)
        return together(seen)

    def _all(self) -> list[Link]:
        with self._lock:
            return list(self._links.values())

    def catch(self, connections: int, within_s: float) -> None:
        """Waits a moment for so many to be open and paced, wherever they go."""
        links = self._all()
        missing = connections - sum(link.open_connections for link in links)
        for link in links:
            link.transport.catch(link.open_connections + missing, within_s / len(links))

    def pace(self, bytes_per_s: float | None) -> None:
        """The most that all connections together may send; None: no limit."""
        links = self._all()
        if bytes_per_s is None or len(links) == 1:
            for link in links:
                link.transport.pace(bytes_per_s)
            return
        # One more than are active: one that begins needs something too.
        shares = [link.active_connections + 1 for link in links]
        for link, share in zip(links, shares, strict=True):
            link.transport.pace(bytes_per_s * share / sum(shares))

    def take_settled(self) -> Settled | None:
        """What earlier transfers to the first endpoint settled on: once, as soon as it is known which that is."""
        settled, self._settled = self._settled, None
        return settled

    def remember_settled(self, settled: Settled) -> None:
        """For the next transfer, if this one had one endpoint only."""
        if len(self._links) == 1 and self._first is not None:
            self._save(window_name(self._first), settled.to_dict())

    def close(self) -> None:
        """Closes all transports."""
        self.wait_until_clean()
        for link in self._links.values():
            link.transport.close()

    def _recall(self, endpoint: Endpoint, link: Link) -> StoreProfile | None:
        profile = None if self._probes_again else self._load(endpoint.url, StoreProfile.from_dict)
        link.is_remembered = profile is not None
        return profile

    def _load(self, name: str, parse: Callable[[dict[str, Any]], _T]) -> _T | None:
        """What an earlier run has kept under this name; None: nothing that makes sense."""
        if self._directory is None:
            return None
        try:
            document = profiles.load(self._directory(), name, time.time(), PROFILE_KEPT_S)
            return parse(document) if document is not None else None
        except (JournalError, ValueError):
            return None

    def _save(self, name: str, document: dict[str, Any]) -> None:
        if self._directory is not None:
            with contextlib.suppress(JournalError):  # it will be found anew
                profiles.save(self._directory(), name, document, time.time())


def window_name(endpoint: Endpoint) -> str:
    """Under which what transfers to an endpoint settled on is remembered."""
    return f"{endpoint.url} window"
