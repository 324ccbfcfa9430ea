"""The state of all connections of all clients, one array an attribute."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


class Phase:
    """Where a connection's request is. A request is in flight in all phases but the first.

    Plain numbers: an enum's are slow to look up, and this is done in every step.
    """

    IDLE = 0
    READING = 1  # the part is read and hashed
    OPENING = 2  # a new connection's handshakes
    FIRST = 3  # data are under way, nothing is acknowledged yet
    SENDING = 4
    ANSWER = 5  # all is acknowledged: the store works


class Connections:
    """
    Attributes:
        owner: the client, by index; rivals come behind the last.
        phase: of Phase.
        wakes_s: when a phase that only takes time ends; else infinity.
        since_s: up to when the connection's work is done.
        left_bytes: to read or to send of the part.
        part_bytes: of the part.
        speed: of the part beside others: 1 on average.
        started_s: when its request began.
        rate: the congestion control's estimate, bytes a second.
        is_starting: it doubles each round trip.
        grown_rate, stuck_s: while it starts: its rate when that had last grown by a quarter, and for how long it
            hasn't since.
        least_rtt_at_s: when it saw its least round-trip time.
        probes_until_s: BBR's PROBE_RTT.
        opened_s: when it first carried data.
        ahead_bytes: acknowledged, but not yet read by the store.
        delivered_bytes, acked_bytes, sent_bytes, busy_s, receiver_limited_s, buffer_limited_s, rtt_bytes: since the
            last sample.
    """

    SUMS = (
        "delivered_bytes",
        "acked_bytes",
        "sent_bytes",
        "busy_s",
        "receiver_limited_s",
        "buffer_limited_s",
        "rtt_bytes",
    )
    _FLOATS = (
        "wakes_s",
        "since_s",
        "left_bytes",
        "part_bytes",
        "speed",
        "started_s",
        "rate",
        "grown_rate",
        "stuck_s",
        "least_rtt_at_s",
        "probes_until_s",
        "opened_s",
        "ahead_bytes",
        *SUMS,
    )

    wakes_s: Floats
    since_s: Floats
    left_bytes: Floats
    part_bytes: Floats
    speed: Floats
    started_s: Floats
    rate: Floats
    grown_rate: Floats
    stuck_s: Floats
    least_rtt_at_s: Floats
    probes_until_s: Floats
    opened_s: Floats
    ahead_bytes: Floats
    delivered_bytes: Floats
    acked_bytes: Floats
    sent_bytes: Floats
    busy_s: Floats
    receiver_limited_s: Floats
    buffer_limited_s: Floats
    rtt_bytes: Floats

    def __init__(self) -> None:
        for name in self._FLOATS:
            setattr(self, name, np.zeros(0))
        self.owner: Ints = np.zeros(0, np.int64)
        self.phase: Ints = np.zeros(0, np.int64)
        self.is_starting: Bools = np.zeros(0, np.bool_)

    def __len__(self) -> int:
        return len(self.phase)

    def add(self, owner: int, rate: float, now_s: float) -> int:
        """A new connection, idle; its index."""
        for name in self._FLOATS:
            setattr(self, name, np.append(getattr(self, name), 0.0))
        self.owner = np.append(self.owner, owner)
        self.phase = np.append(self.phase, Phase.IDLE)
        self.is_starting = np.append(self.is_starting, True)
        self.wakes_s[-1] = math.inf
        self.rate[-1] = rate
        self.opened_s[-1] = math.inf
        self.least_rtt_at_s[-1] = now_s
        return len(self) - 1

    def begin(self, index: int, part_bytes: float, speed: float, now_s: float) -> None:
        """A request for a part."""
        self.part_bytes[index] = part_bytes
        self.speed[index] = speed
        self.started_s[index] = now_s
        self.enter(index, Phase.READING, now_s)

    def enter(self, index: int, phase: int, now_s: float, wakes_s: float = math.inf) -> None:
        """Begins a phase, which may lie a little back within the current step."""
        self.phase[index] = phase
        self.since_s[index] = now_s
        self.wakes_s[index] = wakes_s
        if phase in (Phase.READING, Phase.SENDING):
            self.left_bytes[index] = self.part_bytes[index]

    def take_sums(self, owners: int) -> dict[str, Floats]:
        """What each owner's connections did since the last time."""
        sums = {name: sum_by(self.owner, getattr(self, name), owners) for name in self.SUMS}
        for name in self.SUMS:
            getattr(self, name)[:] = 0.0
        return sums


def sum_by(owner: Ints, values: Floats, owners: int) -> Floats:
    """The sum of each owner's values."""
    sums: Floats = np.bincount(owner, values, owners).astype(np.float64, copy=False)
    return sums
