"""What all uploads of an engine have in common."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fastput.engine.budget import Budget
from fastput.engine.links import Links
from fastput.engine.loop import Loop
from fastput.engine.meter import Counted
from fastput.engine.rate import RateLimit
from fastput.engine.retry import RetryPolicy
from fastput.engine.throttle import Throttle
from fastput.limits import StoreLimits
from fastput.store import Store
from fastput.tuner import Settings
from fastput.tuner.compression import LinkRate

# Requests that were under way when the credentials expired all say so: one renewal for them.
_RENEWAL_INTERVAL_S = 2.0


@dataclass
class Shared:
    """Belongs to the loop's thread, but for store, links and stop, which control threads use.

    Attributes:
        pump: sends whatever there is room for; to be called when room was made or work was found.
        stop: set when the engine ends: what waits on control threads gives up.
        state_directory: makes and returns where journals are kept; None: nowhere.
        in_flight: requests, and reads into memory, that count in the window.
        link_rate: what the link takes, as far as is known; other threads read it.
        counted: what the tuner is told of.
        activity: grows with everything that happens; the watchdog looks at it.
    """

    loop: Loop
    store: Store
    links: Links
    limits: StoreLimits
    settings: Settings
    retry: RetryPolicy
    budget: Budget
    pump: Callable[[], None]
    stop: threading.Event
    state_directory: Callable[[], Path] | None = None
    throttle: Throttle = field(default_factory=Throttle)
    rate: RateLimit = field(default_factory=RateLimit)
    counted: Counted = field(default_factory=Counted)
    link_rate: LinkRate = field(default_factory=LinkRate)
    in_flight: int = 0
    sent_bytes: int = 0
    resent_bytes: int = 0
    activity: int = 0
    _renewed_at_s: float = -_RENEWAL_INTERVAL_S

    @property
    def window(self) -> int:
        """The most requests in flight now."""
        return self.throttle.window(self.settings.window)

    def renew_credentials(self) -> None:
        """Has the store look for new credentials, on a thread that may block."""
        now_s = time.monotonic()
        if now_s - self._renewed_at_s >= _RENEWAL_INTERVAL_S:
            self._renewed_at_s = now_s
            self.loop.control(self.store.renew_credentials, lambda done: None)
