"""A client: its tuner, and how it hands out parts. The connections are the simulation's."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.simulator.world import Machine
from fastput.engine.throttle import Throttle
from fastput.limits import DEFAULT_PART_BYTES, REQUEST_OVERHEAD_BYTES
from fastput.tuner.sample import Lack, Sample
from fastput.tuner.settings import Settings

# The state is the tuner's own affair.
Decide = Callable[[Any, Sample], tuple[Any, Settings]]


def fixed(state: None, sample: Sample) -> tuple[None, Settings]:
    """Not a tuner: `Client.fixed()` doesn't ask it."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Client:
    """
    Attributes:
        size_bytes: to upload; None: it never ends.
        end_s: when it is interrupted.
        sees_tcp: False: there is no TCP_INFO, only parts that are confirmed.
    """

    decide: Decide = fixed
    state: Any = None
    settings: Settings = field(default_factory=Settings)
    size_bytes: float | None = None
    start_s: float = 0.0
    end_s: float = math.inf
    sees_tcp: bool = True

    @staticmethod
    def fixed(window: int, size_bytes: float | None = None, part_bytes: int | None = None) -> Client:
        """One whose window never changes."""
        return Client(settings=Settings(window, part_bytes), size_bytes=size_bytes)

    @property
    def is_fixed(self) -> bool:
        return self.decide is fixed


@dataclass(slots=True)
class Queue:
    """What one client has left to send, and how much of it may be in flight.

    Attributes:
        unsent_bytes: of parts that were never sent.
        refused: parts to be sent again, as (when, bytes).
        piped_bytes: that the pipe has given and no part has taken.
        idle: connections without a request, the last used first.
    """

    client: Client
    machine: Machine
    settings: Settings
    state: Any
    unsent_bytes: float
    in_flight: int = 0
    memory_bytes: float = 0.0
    refused: list[tuple[float, float]] = field(default_factory=list)
    piped_bytes: float = 0.0
    idle: list[int] = field(default_factory=list)
    throttle: Throttle = field(default_factory=Throttle)
    lack: Lack = Lack.SOURCE
    confirmed: int = 0
    confirmed_bytes: float = 0.0
    latency_sum_s: float = 0.0
    slow_downs: int = 0
    read_s: float = 0.0
    finished_s: float | None = None

    @staticmethod
    def of(client: Client, machine: Machine) -> Queue:
        size_bytes = math.inf if client.size_bytes is None else client.size_bytes
        return Queue(client, machine, client.settings, client.state, size_bytes)

    @property
    def left_bytes(self) -> int | None:
        """None: it never ends."""
        left_bytes = self.unsent_bytes + sum(part_bytes for _, part_bytes in self.refused)
        return None if math.isinf(left_bytes) else math.ceil(left_bytes)

    @property
    def is_tail(self) -> bool:
        return not self.unsent_bytes and not self.refused

    @property
    def part_bytes(self) -> int:
        return self.settings.part_bytes or DEFAULT_PART_BYTES

    def is_running(self, now_s: float) -> bool:
        return self.client.start_s <= now_s < self.client.end_s and self.finished_s is None

    def fill(self, seconds: float) -> None:
        """The pipe gives; nobody reads ahead more than two parts."""
        if self.machine.pipe_bytes_per_s is not None:
            given_bytes = self.machine.pipe_bytes_per_s * seconds
            self.piped_bytes = min(self.piped_bytes + given_bytes, 2.0 * self.part_bytes, self.unsent_bytes)

    def take(self, now_s: float) -> float | None:
        """The bytes of the part to send now; None: there is no room for one, or no part."""
        if self.in_flight >= self.throttle.window(self.settings.window):
            self.lack = Lack.NOTHING
            return None
        is_again = bool(self.refused) and self.refused[0][0] <= now_s
        part_bytes = self.refused[0][1] if is_again else min(self.part_bytes, self.unsent_bytes)
        is_piped = self.machine.pipe_bytes_per_s is not None and not is_again
        if not part_bytes or (is_piped and self.piped_bytes < part_bytes):
            self.lack = Lack.SOURCE
            return None
        needed_bytes = part_bytes + REQUEST_OVERHEAD_BYTES
        if self.memory_bytes + needed_bytes > self.machine.memory_bytes and self.in_flight:
            self.lack = Lack.MEMORY
            return None
        if is_again:
            heapq.heappop(self.refused)
        else:
            self.unsent_bytes -= part_bytes
            self.piped_bytes -= part_bytes if is_piped else 0.0
        self.memory_bytes += needed_bytes
        self.in_flight += 1
        return part_bytes

    def confirm(self, part_bytes: float, latency_s: float, now_s: float) -> None:
        self._leave(part_bytes)
        self.confirmed += 1
        self.confirmed_bytes += part_bytes
        self.latency_sum_s += latency_s
        self.throttle.succeeded(self.settings.window)
        if self.is_tail and not self.in_flight:
            self.finished_s = now_s

    def refuse(self, part_bytes: float, again_s: float, now_s: float) -> None:
        """503 SlowDown: the part waits, its place is free."""
        self.throttle.slow_down(now_s, self.in_flight)
        self._leave(part_bytes)
        self.slow_downs += 1
        heapq.heappush(self.refused, (again_s, part_bytes))

    def start_interval(self) -> None:
        self.confirmed = self.slow_downs = 0
        self.confirmed_bytes = self.latency_sum_s = self.read_s = 0.0

    def _leave(self, part_bytes: float) -> None:
        self.in_flight -= 1
        self.memory_bytes -= part_bytes + REQUEST_OVERHEAD_BYTES
