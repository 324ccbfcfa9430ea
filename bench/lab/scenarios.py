"""The links and stores that an upload has to cope with, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.lab.link import Link
from bench.servers.sink import UNLIMITED, Store

# Data in a packet of 1500 bytes: IP and TCP have 20 bytes each, and TCP's time stamps 12.
DATA_SHARE = 1448 / 1500
# The queue of a cheap router, as a share of what is on its way.
SMALL_QUEUE = 0.2


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way to a store, and the store. Without a link it is loopback."""

    name: str
    link: Link | None = None
    store: Store = UNLIMITED

    @property
    def capacity_bytes_per_s(self) -> float:
        """What a perfect client would get."""
        limits = [self.link.rate_bits_per_s / 8 * DATA_SHARE] if self.link else []
        if self.store.rate_bytes_per_s is not None:
            limits.append(self.store.rate_bytes_per_s)
        return min(limits)

    def bytes_for(self, duration_s: float = 30.0) -> int:
        """What a perfect client would upload in that time."""
        return int(self.capacity_bytes_per_s * duration_s)


def _small_queue(link: Link) -> Link:
    return Link(link.rate_bits_per_s, link.rtt_s, link.loss, int(link.bdp_bytes * SMALL_QUEUE))


SCENARIOS = (
    Scenario("1g-100ms", Link(1e9, 0.1, loss=1e-4)),
    Scenario("500m-300ms", Link(500e6, 0.3, loss=2e-4)),
    Scenario("200m-20ms-small-queue", _small_queue(Link(200e6, 0.02))),
    Scenario("1g-2ms", Link(1e9, 0.002)),
    Scenario("100m-250ms-lossy", Link(100e6, 0.25, loss=5e-3)),
    Scenario("knee-8", store=Store(320e6, 40e6, knee=8)),
    Scenario("knee-30", store=Store(400e6, 20e6, knee=30)),
    Scenario("knee-120", store=Store(600e6, 5e6, knee=120)),
)
BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
