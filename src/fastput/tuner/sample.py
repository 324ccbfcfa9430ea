"""What the tuner is told: the facts of one interval, of one way to a store. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Lack(StrEnum):
    """Why fewer requests are in flight than the window allows."""

    NOTHING = "nothing"  # the window is full: a larger one would be used
    MEMORY = "memory"  # the budget has no room for another part
    RATE = "rate"  # --limit-rate is reached
    SOURCE = "source"  # there is nothing more to send now: the end, or a pipe that gives none


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen since the sample before.

    Connections are those of the kernel's table; the times of theirs are sums over all of them.
    https://www.kernel.org/doc/html/latest/networking/ and struct tcp_info in linux/tcp.h.

    Attributes:
        elapsed_s: since the sample before.
        goodput_bytes: that the other end has acknowledged, cumulatively or selectively (tcpi_bytes_acked +
            tcpi_sacked * tcpi_snd_mss); None where the kernel doesn't say.
        confirmed_bytes: of parts that the store has confirmed.
        confirmed: how many parts these were.
        latency_s: the mean time that they took from being sent to being confirmed; None: there were none.
        in_flight: requests, at the end of the interval.
        part_bytes: their mean size; 0: there are none.
        window: the most that there might be: the tuner's, or less after a SlowDown.
        connections: with data to send in the interval; 0 where the kernel doesn't say.
        rtt_s: smoothed round-trip time, mean over the connections, weighted by what they moved; None: unknown.
        min_rtt_s: the least that each of them has seen, mean; None: unknown.
        sent_bytes: by TCP, repetitions included.
        retransmitted_bytes: by TCP.
        busy_s: that the connections had data to send (tcpi_busy_time).
        receiver_limited_s: that they waited for the receiver's window (tcpi_rwnd_limited).
        buffer_limited_s: that they waited for a larger send buffer (tcpi_sndbuf_limited).
        slow_downs: answers with 503 SlowDown and the like.
        failures: requests that failed otherwise: time-outs, resets, 5xx.
        read_s: that reading and hashing the confirmed parts took, summed over them.
        read_waited_s: of that, waiting for the disk.
        cpu_s: of this process.
        lack: why there aren't more requests in flight.
        left_bytes: to be sent behind what is in flight; None: unknown.
    """

    elapsed_s: float
    goodput_bytes: int | None
    confirmed_bytes: int
    confirmed: int
    latency_s: float | None
    in_flight: int
    part_bytes: int
    window: int
    connections: int
    rtt_s: float | None
    min_rtt_s: float | None
    sent_bytes: int
    retransmitted_bytes: int
    busy_s: float
    receiver_limited_s: float
    buffer_limited_s: float
    slow_downs: int
    failures: int
    read_s: float
    read_waited_s: float
    cpu_s: float
    lack: Lack
    left_bytes: int | None

    @property
    def is_tail(self) -> bool:
        """Nothing is left to send but what is in flight."""
        return self.left_bytes == 0
