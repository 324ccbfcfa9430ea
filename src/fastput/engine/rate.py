"""A cap on what all uploads of a client send: pure; values in, values out.

Two means, one for each scale:
- admission: parts are let go as a token bucket of object bytes fills, so the mean holds whatever a part's size is, and
  where the kernel paces nothing too. The bucket saves up next to nothing: after a pause or a slow link nothing bursts.
- pacing: the kernel spaces the packets of the connections that are sending. The rate they are given follows what was
  acknowledged, so that a burst before the first look, or a hiccup, is made up for within a second or so.

Admission isn't tied to answers: where the connections that are busy carry the cap, one or two parts are in flight, and
where they don't, more are let go until they do. docs/decisions/0011-rate-limit.md has the numbers.
"""

from __future__ import annotations

from collections import deque

# The runtime ends connections that move less than 30 kB/s for 30 s, and pace.py requests below 50 kB/s.
LEAST_CONNECTION_BYTES_PER_S = 60e3
# Parts are let go so long before it is their turn: reading and connecting take a moment, and the pacing needs
# something to pace. Without pacing it would only be a burst, and so it is with small objects, which a connection sends
# at once: of those a few are enough (10 kB at 10 Mbps: +4.4% in 5 s with the whole of it).
LEAD_S = 0.2
_LEAD_PARTS = 4
# What the bucket may save up: it is looked at every 20 ms, on a busy machine somewhat later.
_MOST_LEVEL_S = 0.07
# Beyond that nothing more is let go: what is in flight has to be sent before anything else can be decided.
_MOST_AHEAD_S = 20.0
_LEAST_REQUESTS = 2
# What was sent too much or too little is made up for in about this time, ...
_SETTLE_S = 0.5
# ... but no more than so much of what was too little (nothing bursts later), and never by standing still. Below
# 30 Mbps the kernel's packets of 64 KiB, 52 ms of 10 Mbps, would otherwise be lost a half at a time: -5%.
_MOST_CREDIT_S = 0.05
_LEAST_CREDIT_BYTES = 4 * 64 * 1024
_LEAST_PACE = 0.4
# Small objects are spaced by admission; on their connections, which wait for answers in between, the pace only bounds
# bursts. Without this: 25 kB at 40 Mbps, -7.5%.
_SMALL_BYTES = 256 * 1024
_SMALL_PACE = 1.25
# A request that sends so much at once, because its connection is new and not paced yet, is felt.
_BURST_S = 0.1
# Head and signature of a request, and the framing of its body; TLS adds 22 bytes to a record of 8 to 16 KiB.
REQUEST_BYTES = 1000
_TLS_SHARE = 0.002
# A part that takes so many times as long as the cap lets it isn't late by the cap.
_PATIENCE = 3
# Without a cap a connection's allowance grows as if it had this: more than any has.
_NO_CAP_BYTES_PER_S = 1e11


class RateLimit:
    """Belongs to one thread. Rates and sizes are of object bytes, but for what the kernel counts and paces.

    Attributes:
        pace_bytes_per_s: what all connections together may send; None: no limit.
        requests: how many are under way.
        bursts: how many there have been that would be felt if they went at once.
        outstanding_bytes: of parts that were let go and not answered.
        allowance_bytes: what a connection might have sent since the beginning: the difference of two moments tells
            whether a part is late by itself or by the cap.
    """

    def __init__(self) -> None:
        self.pace_bytes_per_s: float | None = None
        self.requests = self.bursts = 0
        self.outstanding_bytes = 0
        self.allowance_bytes = 0.0
        self._limit_bytes_per_s: float | None = None
        self._level_bytes = 0.0
        self._credit_bytes = 0.0
        self._is_paced = False
        self._seen: tuple[float, int] | None = None
        self._sizes: deque[int] = deque(maxlen=64)

    @property
    def is_capped(self) -> bool:
        return self._limit_bytes_per_s is not None

    @property
    def is_reached(self) -> bool:
        """Whether the cap is what holds the transfer back: the connections have kept up with it."""
        limit_bytes_per_s = self._limit_bytes_per_s
        return limit_bytes_per_s is not None and self._credit_bytes < _most_credit_bytes(limit_bytes_per_s)

    def bytes_within(self, seconds: float) -> int | None:
        """So much may be sent in so long; None: any amount."""
        return None if self._limit_bytes_per_s is None else int(self._limit_bytes_per_s * seconds)

    def was_allowed(self, since_bytes: float, length_bytes: int) -> bool:
        """Whether a connection could have sent a part several times since the allowance was since_bytes."""
        return self._seen is None or self.allowance_bytes - since_bytes >= _PATIENCE * length_bytes

    @property
    def most_requests(self) -> int | None:
        """So many can be in flight without the runtime taking them for dead; None: any number."""
        if self._limit_bytes_per_s is None:
            return None
        return max(_LEAST_REQUESTS, int(self._limit_bytes_per_s / LEAST_CONNECTION_BYTES_PER_S))

    def advance(
        self, now_s: float, limit_bytes_per_s: float | None, acknowledged_bytes: int | None, sending: int
    ) -> None:
        """Time has passed.

        Args:
            now_s: of any monotonic clock.
            limit_bytes_per_s: from now on; None: none.
            acknowledged_bytes: by the other ends, since the beginning; None: the kernel neither says nor paces.
            sending: how many connections share the pace.
        """
        before, self._seen = self._seen, (now_s, acknowledged_bytes or 0)
        before_limit, self._limit_bytes_per_s = self._limit_bytes_per_s, limit_bytes_per_s
        self._is_paced = acknowledged_bytes is not None
        elapsed_s = now_s - before[0] if before is not None else 0.0
        each_bytes_per_s = _NO_CAP_BYTES_PER_S if before_limit is None else before_limit / max(1, sending)
        self.allowance_bytes += elapsed_s * each_bytes_per_s
        if limit_bytes_per_s is None:
            self.pace_bytes_per_s, self._credit_bytes = None, 0.0
            return
        if before_limit is None:
            # What is in flight already comes first.
            self._level_bytes = -float(self.outstanding_bytes)
        else:
            filled_bytes = self._level_bytes + elapsed_s * before_limit
            self._level_bytes = min(_MOST_LEVEL_S * limit_bytes_per_s, filled_bytes)
            if before is not None and self._is_paced:
                moved_bytes = ((acknowledged_bytes or 0) - before[1]) / self._wire_share
                self._credit_bytes += elapsed_s * before_limit - moved_bytes
        most_bytes = _most_credit_bytes(limit_bytes_per_s) if sending else 0.0
        self._credit_bytes = min(self._credit_bytes, most_bytes)
        pace = max(_LEAST_PACE, 1 + self._credit_bytes / (_SETTLE_S * limit_bytes_per_s))
        if self._mean_bytes < _SMALL_BYTES:
            pace *= _SMALL_PACE
        self.pace_bytes_per_s = pace * self._wire_share * limit_bytes_per_s

    def admits(self, in_flight: int) -> bool:
        """Whether a part may go now, beside so many requests that are in flight."""
        limit_bytes_per_s, most_requests = self._limit_bytes_per_s, self.most_requests
        if limit_bytes_per_s is None or most_requests is None:
            return True
        if in_flight >= most_requests:
            return False
        if in_flight >= _LEAST_REQUESTS and self.outstanding_bytes > _MOST_AHEAD_S * limit_bytes_per_s:
            return False
        lead_bytes = min(LEAD_S * limit_bytes_per_s, _LEAD_PARTS * self._mean_bytes) if self._is_paced else 0.0
        return self._level_bytes + lead_bytes >= 0

    def charge(self, length_bytes: int) -> None:
        """A part goes; negative: it turned out to be so much shorter, or never left."""
        self._level_bytes -= length_bytes

    def began(self, length_bytes: int) -> None:
        """A request goes to the runtime."""
        self.requests += 1
        if self._limit_bytes_per_s is not None:
            self.bursts += length_bytes > max(_LEAST_CREDIT_BYTES, _BURST_S * self._limit_bytes_per_s)
        self.outstanding_bytes += length_bytes
        self._sizes.append(length_bytes)

    def ended(self, length_bytes: int) -> None:
        """A request was answered, or has failed."""
        self.requests -= 1
        self.outstanding_bytes -= length_bytes

    @property
    def _mean_bytes(self) -> float:
        return sum(self._sizes) / max(1, len(self._sizes))

    @property
    def _wire_share(self) -> float:
        """What connections carry for each object byte, of the newest requests."""
        object_bytes = max(1, sum(self._sizes))
        return 1 + _TLS_SHARE + REQUEST_BYTES * len(self._sizes) / object_bytes


def _most_credit_bytes(limit_bytes_per_s: float) -> float:
    return max(_MOST_CREDIT_S * limit_bytes_per_s, _LEAST_CREDIT_BYTES)
