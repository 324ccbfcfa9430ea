"""What a simulated transfer runs through, as values: a link, a store, the sender's machine, and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from fastput.limits import GIB


class Congestion(StrEnum):
    """How the sender's TCP finds its rate."""

    BBR = "bbr"  # a model of the path: random loss does little harm
    CUBIC = "cubic"  # every loss is taken for a full queue: Mathis' ceiling


@dataclass(frozen=True, slots=True)
class Step:
    """From `at_s` on the link has this capacity."""

    at_s: float
    capacity_bit_per_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Other people's flow that doesn't yield: on for `on_s`, off for `off_s`, and so on."""

    bit_per_s: float
    start_s: float = 0.0
    on_s: float = math.inf
    off_s: float = 0.0

    def at(self, now_s: float) -> float:
        """Its rate in bits a second."""
        since_s = now_s - self.start_s
        if since_s < 0:
            return 0.0
        is_on = since_s < self.on_s if math.isinf(self.on_s) else since_s % (self.on_s + self.off_s) < self.on_s
        return self.bit_per_s if is_on else 0.0


@dataclass(frozen=True, slots=True)
class Rivals:
    """Other people's greedy TCP connections: they take their share of the link, and nothing of the store."""

    connections: int
    start_s: float = 0.0
    end_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Link:
    """
    Attributes:
        rtt_s: with an empty queue.
        queue_bytes: it holds; what comes on top is dropped.
        loss: the share of packets that are lost whatever the load.
        mss_bytes: connections begin with ten of them.
    """

    capacity_bit_per_s: float = 100e9
    rtt_s: float = 0.0002
    queue_bytes: float = 1e6
    loss: float = 0.0
    congestion: Congestion = Congestion.BBR
    mss_bytes: int = 1448
    steps: tuple[Step, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    rivals: tuple[Rivals, ...] = ()

    def capacity_bytes_per_s(self, now_s: float) -> float:
        """What it carries at that time, other people's traffic included."""
        past = [step for step in self.steps if step.at_s <= now_s]
        return max(past, key=lambda step: step.at_s).capacity_bit_per_s / 8 if past else self.capacity_bit_per_s / 8

    def traffic_bytes_per_s(self, now_s: float) -> float:
        """What other people's flows ask of it at that time."""
        return sum(flow.at(now_s) for flow in self.traffic) / 8


@dataclass(frozen=True, slots=True)
class Store:
    """
    Attributes:
        connection_bytes_per_s: the most that one connection gets.
        capacity_bytes_per_s: the most that all of them get.
        knee: above so many requests in flight, all clients together, the capacity falls as (knee / n)^2.
        handling_s: from the last byte of a part to its answer, besides the round trip.
        receive_buffer_bytes: what its sockets take before it reads. A new connection's grows within 0.3 s.
        max_in_flight: requests above are refused with 503 SlowDown.
        max_requests_per_s: likewise.
        stalls: the share of requests whose answer takes `stall_s` longer.
    """

    connection_bytes_per_s: float = math.inf
    capacity_bytes_per_s: float = math.inf
    knee: float = math.inf
    handling_s: float = 0.002
    receive_buffer_bytes: float = 256 * 1024
    max_in_flight: float = math.inf
    max_requests_per_s: float = math.inf
    stalls: float = 0.0
    stall_s: float = 5.0

    def capacity_at(self, in_flight: int) -> float:
        """Bytes a second with so many requests in flight."""
        if in_flight <= self.knee:
            return self.capacity_bytes_per_s
        # Without a capacity for all there is still what the connections at the knee get together.
        return min(self.capacity_bytes_per_s, self.knee * self.connection_bytes_per_s) * (self.knee / in_flight) ** 2


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer that sends, and what the data come from. Each client has one of its own.

    Attributes:
        cpu_bytes_per_s: what its cores can read, hash and send.
        disk_bytes_per_s: all reads together.
        pipe_bytes_per_s: the source is a pipe that gives so much; None: it is a file.
        memory_bytes: for parts in flight.
        send_buffer_bytes: the most that one socket has under way.
        set_up_round_trips: before a new connection's first request: 1 for TCP, 3 with TLS.
    """

    cpu_bytes_per_s: float = 1.5e9
    disk_bytes_per_s: float = math.inf
    pipe_bytes_per_s: float | None = None
    memory_bytes: float = 4 * GIB
    send_buffer_bytes: float = 3e6
    set_up_round_trips: int = 1


@dataclass(frozen=True, slots=True)
class Noise:
    """
    Attributes:
        goodput_cv: coefficient of variation of the goodput that a client sees, over 0.3 s.
        rtt_cv: likewise of the round-trip time, of one sample.
        part_time: parts take so much less or more time than the mean, where it isn't the link that limits.
    """

    goodput_cv: float = 0.03
    rtt_cv: float = 0.02
    part_time: float = 0.25


@dataclass(frozen=True, slots=True)
class World:
    name: str
    link: Link = field(default_factory=Link)
    store: Store = field(default_factory=Store)
    machine: Machine = field(default_factory=Machine)
    noise: Noise = field(default_factory=Noise)
