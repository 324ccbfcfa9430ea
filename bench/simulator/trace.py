"""What a run left: one value a sample of each client, and of the link they share."""

from __future__ import annotations

from dataclasses import dataclass

from bench.simulator.connections import Floats
from fastput.tuner.sample import Sample
from fastput.tuner.settings import Settings

INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class ClientTrace:
    """All arrays have one value a sample.

    Attributes:
        time_s: at the end of the interval.
        goodput: bytes a second that were delivered.
        seen: the goodput as the client was told, with noise and traps; of confirmed parts if it sees no more.
        window: that applied during the interval.
        finished_s: when the last part was confirmed; None: it didn't get that far.
        delivered_bytes: from beginning to end, of parts that were refused later too.
        tail_s: from the last part's beginning to the end, of a client that finished.
    """

    time_s: Floats
    goodput: Floats
    seen: Floats
    window: Floats
    in_flight: Floats
    rtt_s: Floats
    samples: tuple[Sample, ...]
    settings: tuple[Settings, ...]
    start_s: float
    finished_s: float | None
    delivered_bytes: float

    @property
    def wall_s(self) -> float | None:
        return None if self.finished_s is None else self.finished_s - self.start_s

    @property
    def tail_s(self) -> float | None:
        if self.finished_s is None:
            return None
        first_s = next((t for t, sample in zip(self.time_s, self.samples, strict=True) if sample.is_tail), None)
        return 0.0 if first_s is None else max(0.0, self.finished_s - float(first_s))


@dataclass(frozen=True, slots=True)
class Trace:
    """
    Attributes:
        time_s: of the following, at the end of each interval.
        capacity: of the link, bytes a second.
        carried: by the link, bytes a second, with everybody's traffic and repetitions.
        queue_bytes: in the link's queue.
    """

    clients: tuple[ClientTrace, ...]
    time_s: Floats
    capacity: Floats
    carried: Floats
    queue_bytes: Floats
