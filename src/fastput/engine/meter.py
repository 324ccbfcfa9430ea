"""What the tuner is told: counters of the engine and of the kernel, differences of which are a Sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fastput.native.slicer import PartBody
from fastput.transport import Traffic
from fastput.tuner import Lack, Sample


@dataclass(slots=True)
class Counted:
    """Sums since the engine began."""

    confirmed_bytes: int = 0
    confirmed: int = 0
    latency_s: float = 0.0
    slow_downs: int = 0
    failures: int = 0
    read_s: float = 0.0
    read_cpu_s: float = 0.0

    def part(self, length_bytes: int, latency_s: float, body: PartBody) -> None:
        """A part was confirmed."""
        self.confirmed_bytes += length_bytes
        self.confirmed += 1
        self.latency_s += latency_s
        self.read_s += body.read_ns / 1e9
        self.read_cpu_s += body.read_cpu_ns / 1e9

    def failed(self, is_throttling: bool) -> None:
        """A part wasn't taken."""
        if is_throttling:
            self.slow_downs += 1
        else:
            self.failures += 1


class Meter:
    """Samples, one after another. For one thread."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._then = Counted()
        self._then_s: float | None = None
        self._then_cpu_s = 0.0
        self._traffic = Traffic()

    def sample(
        self,
        now_s: float,
        traffic: Traffic | None,
        in_flight: int,
        part_bytes: int,
        window: int,
        lack: Lack,
        left_bytes: int | None,
    ) -> Sample | None:
        """What was seen since the last call; None the first time.

        Args:
            now_s: of the monotonic clock.
            traffic: of all connections.
        """
        now, then, then_s, before = self._counted, self._then, self._then_s, self._traffic
        cpu_s, then_cpu_s = time.process_time(), self._then_cpu_s
        self._then_s, self._then_cpu_s = now_s, cpu_s
        self._then = replace(now)
        self._traffic = is_ = traffic or Traffic()
        if then_s is None or now_s <= then_s:
            return None
        confirmed = now.confirmed - then.confirmed
        return Sample(
            elapsed_s=now_s - then_s,
            goodput_bytes=None if traffic is None else max(0, is_.acknowledged_bytes - before.acknowledged_bytes),
            confirmed_bytes=now.confirmed_bytes - then.confirmed_bytes,
            confirmed=confirmed,
            latency_s=(now.latency_s - then.latency_s) / confirmed if confirmed else None,
            in_flight=in_flight,
            part_bytes=part_bytes,
            window=window,
            connections=is_.active_connections,
            rtt_s=is_.rtt_us / 1e6 or None,
            min_rtt_s=is_.min_rtt_us / 1e6 or None,
            sent_bytes=is_.sent_bytes - before.sent_bytes,
            retransmitted_bytes=is_.retransmitted_bytes - before.retransmitted_bytes,
            busy_s=(is_.busy_us - before.busy_us) / 1e6,
            receiver_limited_s=(is_.receiver_limited_us - before.receiver_limited_us) / 1e6,
            buffer_limited_s=(is_.buffer_limited_us - before.buffer_limited_us) / 1e6,
            slow_downs=now.slow_downs - then.slow_downs,
            failures=now.failures - then.failures,
            read_s=now.read_s - then.read_s,
            read_waited_s=max(0.0, now.read_s - then.read_s - (now.read_cpu_s - then.read_cpu_s)),
            cpu_s=cpu_s - then_cpu_s,
            lack=lack,
            left_bytes=left_bytes,
        )


def together(traffics: Sequence[Traffic]) -> Traffic | None:
    """Of several transports; None: of none."""
    if len(traffics) < 2:
        return traffics[0] if traffics else None
    active = sum(each.active_connections for each in traffics)
    return Traffic(
        acknowledged_bytes=sum(each.acknowledged_bytes for each in traffics),
        sent_bytes=sum(each.sent_bytes for each in traffics),
        retransmitted_bytes=sum(each.retransmitted_bytes for each in traffics),
        busy_us=sum(each.busy_us for each in traffics),
        receiver_limited_us=sum(each.receiver_limited_us for each in traffics),
        buffer_limited_us=sum(each.buffer_limited_us for each in traffics),
        open_connections=sum(each.open_connections for each in traffics),
        active_connections=active,
        rtt_us=sum(each.rtt_us * each.active_connections for each in traffics) // active if active else 0,
        min_rtt_us=min((each.min_rtt_us for each in traffics if each.min_rtt_us), default=0),
    )
