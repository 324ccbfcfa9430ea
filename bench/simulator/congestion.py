"""How TCP's rates change: a fluid, without packets.

BBR: Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016; cubic: RFC 9438; its ceiling
under random loss: Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm", CCR 27(3), 1997.
"""

from __future__ import annotations

import math

import numpy as np

from bench.simulator.connections import Bools, Connections, Floats
from bench.simulator.world import Congestion, Link

INITIAL_SEGMENTS = 10

# BBR asks for a quarter more in one of eight round trips, and holds two bandwidth-delay products at most.
_PROBE_GAIN = 1.25
_PROBE_ROUND_TRIPS = 8.0
_WINDOW_GAIN = 2.0
# PROBE_RTT: four packets for 200 ms, when the least round-trip time is ten seconds old.
_PROBE_RTT_EACH_S = 10.0
_PROBE_RTT_S = 0.2
_PROBE_RTT_SEGMENTS = 4
# Start-up ends when three round trips didn't bring a quarter more.
_STUCK_ROUND_TRIPS = 3.0
_GROWN = 1.25
# Flows that share a full queue aren't equal, and it takes them seconds to become so. They are the less equal the
# fewer packets each has under way: fitted to tails of 1.3 s with 24 parts in flight and 3.8 s with 48.
_SPREAD, _SPREAD_PACKETS = 0.15, 4.1
_EVEN_OUT_S = 3.0

# Cubic's ceiling is about three times Reno's at the losses and delays of interest.
_MATHIS = 1.22 * 3
_CUBIC_CUT = 0.7
_CUBIC_GROWTH = 0.4


def allowed_rate(link: Link, connections: Connections, now_s: float, rtt_s: float) -> Floats:
    """Bytes a second that each connection's congestion control allows."""
    if link.congestion is Congestion.CUBIC:
        return connections.rate * (link.rtt_s / rtt_s)
    rate = connections.rate * min(1.0, _WINDOW_GAIN * link.rtt_s / rtt_s)
    probing = connections.probes_until_s > now_s
    if probing.any():
        rate[probing] = np.minimum(rate[probing], _PROBE_RTT_SEGMENTS * link.mss_bytes / rtt_s)
    return rate


def adjust(
    link: Link,
    connections: Connections,
    free: Bools,
    offered: float,
    capacity: float,
    now_s: float,
    step_s: float,
    rtt_s: float,
    random: np.random.Generator,
) -> None:
    """One step of all rates.

    Args:
        free: connections that send and that nothing but the congestion control holds back.
        offered: bytes of this step that all have for the link.
        capacity: bytes of this step that it carries.
    """
    if not offered or not free.any():
        return
    share = min(1.0, capacity / offered)
    starting = free & connections.is_starting
    if starting.any():
        _start(link, connections, starting, share, step_s, rtt_s, random)
    steady = free & ~connections.is_starting
    if link.congestion is Congestion.CUBIC:
        _cubic(link, connections, steady, share, step_s, rtt_s, random)
    else:
        _bbr(link, connections, steady, offered / step_s, capacity / step_s, now_s, step_s, rtt_s)


def spread(
    link: Link, connections: Connections, free: Bools, interval_s: float, rtt_s: float, random: np.random.Generator
) -> None:
    """Lets the rates of flows in a full queue drift apart, and back to their mean."""
    rates = connections.rate[free]
    if len(rates) < 2:
        return
    forget = min(1.0, interval_s / _EVEN_OUT_S)
    kick = _spread_of(link, rates, rtt_s) * math.sqrt(2 * forget) * random.standard_normal(len(rates))
    rates = rates * (rates.mean() / rates) ** forget * np.exp(kick)
    connections.rate[free] = rates * (connections.rate[free].sum() / rates.sum())


def _spread_of(link: Link, rates: Floats, rtt_s: float) -> Floats:
    packets = np.maximum(_PROBE_RTT_SEGMENTS, rates * rtt_s / link.mss_bytes)
    return _SPREAD + (_SPREAD_PACKETS / packets) ** 2


def _start(
    link: Link,
    connections: Connections,
    starting: Bools,
    share: float,
    step_s: float,
    rtt_s: float,
    random: np.random.Generator,
) -> None:
    if share > 0.9:
        # Nothing holds back those that begin on an empty link; more than all of it they never find.
        doubled = connections.rate[starting] * 2.0 ** min(step_s / rtt_s, 10.0)
        connections.rate[starting] = np.minimum(doubled, 2 * link.capacity_bit_per_s / 8)
        if link.congestion is Congestion.CUBIC and link.loss:
            connections.is_starting &= ~(starting & (connections.rate >= mathis_rate(link)))
    grown = starting & (connections.rate >= _GROWN * connections.grown_rate)
    connections.grown_rate[grown] = connections.rate[grown]
    connections.stuck_s[starting] += step_s
    connections.stuck_s[grown] = 0.0
    leaving = starting & (connections.stuck_s > _STUCK_ROUND_TRIPS * rtt_s)
    if leaving.any():
        connections.is_starting &= ~leaving
        rates = share * connections.rate[leaving]
        kick = _spread_of(link, rates, rtt_s) * random.standard_normal(len(rates))
        connections.rate[leaving] = rates * np.exp(kick)


def _bbr(
    link: Link,
    connections: Connections,
    steady: Bools,
    offered: float,
    capacity: float,
    now_s: float,
    step_s: float,
    rtt_s: float,
) -> None:
    # The best of a cycle of probing is the next estimate: it grows by a quarter while there is room, and what
    # many see of a full link adds up to a quarter more than there is.
    rate = connections.rate[steady]
    extra = (_PROBE_GAIN - 1) * rate
    best = _PROBE_GAIN * np.minimum(1.0, capacity / (offered + extra))
    connections.rate[steady] = rate * best ** min(1.0, step_s / (_PROBE_ROUND_TRIPS * rtt_s))
    if rtt_s < 1.02 * link.rtt_s:
        connections.least_rtt_at_s[:] = now_s
    else:
        old = steady & (now_s - connections.least_rtt_at_s > _PROBE_RTT_EACH_S)
        connections.probes_until_s[old] = now_s + _PROBE_RTT_S
        connections.least_rtt_at_s[old] = now_s


def mathis_rate(link: Link) -> float:
    """Bytes a second that random loss leaves to one connection."""
    return _MATHIS * link.mss_bytes / (link.rtt_s * math.sqrt(link.loss)) if link.loss else math.inf


def _cubic(
    link: Link,
    connections: Connections,
    steady: Bools,
    share: float,
    step_s: float,
    rtt_s: float,
    random: np.random.Generator,
) -> None:
    if share < 1.0:
        # Not all lose a packet of the same full queue; half of them do each round trip.
        hit = steady & (random.random(len(connections)) < min(1.0, 0.5 * step_s / rtt_s))
        connections.rate[hit] *= _CUBIC_CUT
        return
    # It is back where it was after K = cbrt(0.3 w / 0.4) seconds.
    segments = np.maximum(1.0, connections.rate[steady] * link.rtt_s / link.mss_bytes)
    back_s = np.cbrt(segments * (1 - _CUBIC_CUT) / _CUBIC_GROWTH)
    grown = connections.rate[steady] * np.exp(-math.log(_CUBIC_CUT) * step_s / back_s)
    connections.rate[steady] = np.minimum(grown, mathis_rate(link))
