"""The cap in virtual time: its mean over all and over every few seconds, whatever link carries it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.engine.rate import LEAST_CONNECTION_BYTES_PER_S, REQUEST_BYTES, RateLimit
from tests.support.content import MIB

STEP_S = 0.02
MBPS = 1e6 / 8
LIMITS = st.sampled_from([mbps * MBPS for mbps in (1, 10, 100, 400, 5000)])
PARTS = st.sampled_from([10_000, 100_000, MIB, 8 * MIB])


@dataclass
class World:
    """A link with parts of one size in flight, paced or not."""

    part_bytes: int
    link_bytes_per_s: float = 1e12
    is_paced: bool = True
    window: int = 10**9
    rate: RateLimit = field(default_factory=RateLimit)
    now_s: float = 0.0
    wire_bytes: float = 0.0
    left: list[float] = field(default_factory=list)  # wire bytes of each request
    sent: list[tuple[float, float]] = field(default_factory=list)  # (when, object bytes so far)
    object_bytes: float = 0.0
    let_go_bytes: int = 0

    def run(self, seconds: float, limit_bytes_per_s: float | None, has_work: bool = True) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            room = self.link_bytes_per_s * STEP_S
            if self.is_paced and self.rate.pace_bytes_per_s is not None:
                room = min(room, self.rate.pace_bytes_per_s * STEP_S)
            self._carry(room)
            acknowledged_bytes = int(self.wire_bytes) if self.is_paced else None
            self.rate.advance(self.now_s, limit_bytes_per_s, acknowledged_bytes, len(self.left))
            while has_work and len(self.left) < min(self.window, 2000) and self.rate.admits(len(self.left)):
                self.rate.charge(self.part_bytes)
                self.rate.began(self.part_bytes)
                self.left.append(self.part_bytes + REQUEST_BYTES)
                self.let_go_bytes += self.part_bytes
            self.sent.append((self.now_s, self.object_bytes))

    def _carry(self, room: float) -> None:
        while room > 0 and self.left:
            bite = min(room, self.left[0])
            room -= bite
            self.wire_bytes += bite
            self.object_bytes += bite * self.part_bytes / (self.part_bytes + REQUEST_BYTES)
            self.left[0] -= bite
            if self.left[0] <= 0:
                self.left.pop(0)
                self.rate.ended(self.part_bytes)

    def mean(self, from_s: float, to_s: float) -> float:
        """Object bytes a second."""
        inside = [pair for pair in self.sent if from_s <= pair[0] <= to_s]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


@settings(max_examples=60)
@given(LIMITS, PARTS)
def test_the_cap_is_reached_and_kept_in_every_few_seconds(limit: float, part_bytes: int) -> None:
    world = World(part_bytes)
    # 2,000 requests are all that the world has room for: smaller ones can't fill the fastest cap.
    limit = min(limit, 2000 * part_bytes / STEP_S / 4)
    world.run(12, limit)
    for from_s in range(1, 9):
        assert world.mean(from_s, from_s + 3) == pytest.approx(limit, rel=0.03)


@settings(max_examples=40)
@given(LIMITS, PARTS)
def test_without_pacing_the_mean_holds(limit: float, part_bytes: int) -> None:
    world = World(part_bytes, is_paced=False)
    limit = min(limit, 2000 * part_bytes / STEP_S / 4)
    seconds = max(10, 20 * part_bytes / limit)
    world.run(seconds, limit)
    slack = 2 * part_bytes + 4 * limit * STEP_S
    assert abs(world.object_bytes - limit * seconds) <= slack


@settings(max_examples=40)
@given(LIMITS, PARTS, st.floats(0.1, 0.9))
def test_no_debt_is_left_of_a_slow_link_or_a_pause(limit: float, part_bytes: int, share: float) -> None:
    limit = min(limit, 2000 * part_bytes / STEP_S / 4)
    world = World(part_bytes, link_bytes_per_s=share * limit, window=16)
    world.run(20, limit)
    assert world.mean(10, 20) <= limit
    world.link_bytes_per_s = 1e12
    world.run(5, limit, has_work=False)
    world.run(5, limit)
    # What admission may save up or let go ahead, and the pace make up for, over two seconds.
    slack = 0.06 * limit + (4 * 64 * 1024 + 2 * part_bytes) / 2
    for from_s in (20, 21, 25, 26):
        assert world.mean(from_s, from_s + 2) <= limit + slack


def test_a_new_limit_holds_at_once() -> None:
    world = World(8 * MIB, link_bytes_per_s=1e9, window=64)
    world.run(3, None)
    assert world.mean(1, 3) == pytest.approx(1e9, rel=0.05)
    world.run(10, 20e6)
    assert world.mean(3.1, 13) == pytest.approx(20e6, rel=0.03)
    world.run(5, 100e6)
    assert world.mean(14, 18) == pytest.approx(100e6, rel=0.03)
    world.run(2, None)
    assert world.rate.pace_bytes_per_s is None
    assert world.mean(18.5, 20) == pytest.approx(1e9, rel=0.05)


def test_what_is_in_flight_when_the_limit_begins_comes_first() -> None:
    world = World(8 * MIB, link_bytes_per_s=1e9, window=64)
    world.run(1, None)
    before = world.let_go_bytes
    world.run(10, 20e6)
    assert world.let_go_bytes == before  # 512 MiB take 25 s


@given(LIMITS)
def test_each_connection_keeps_alive(limit: float) -> None:
    rate = RateLimit()
    rate.advance(0.0, limit, 0, 0)
    most = rate.most_requests
    assert most is not None
    assert most >= 2
    assert limit / most >= min(LEAST_CONNECTION_BYTES_PER_S, limit / 2)
    assert not rate.admits(most)


def test_a_burst_before_the_first_look_is_paid_back() -> None:
    world = World(8 * MIB)
    world.run(0.1, 10e6)
    world._carry(5 * MIB)
    world.run(9.9, 10e6)
    assert world.mean(0.05, 10) == pytest.approx(10e6, rel=0.03)


def test_a_part_is_late_by_the_cap_or_by_itself() -> None:
    rate = RateLimit()
    assert rate.was_allowed(0.0, 8 * MIB)  # there was never a cap
    rate.advance(0.0, 1e6, 0, 1)
    rate.advance(10.0, 1e6, 0, 1)
    assert not rate.was_allowed(0.0, 8 * MIB)
    rate.advance(30.0, 1e6, 0, 1)
    assert rate.was_allowed(0.0, 8 * MIB)
    since = rate.allowance_bytes
    rate.advance(80.0, 1e6, 0, 10)  # ten share it
    assert not rate.was_allowed(since, 8 * MIB)
    rate.advance(81.0, None, 0, 10)
    rate.advance(82.0, None, 0, 10)
    assert rate.was_allowed(since, 8 * MIB)


def test_what_never_left_costs_nothing() -> None:
    rate = RateLimit()
    rate.advance(0.0, 1e6, None, 0)
    rate.charge(8 * MIB)
    assert not rate.admits(0)
    rate.charge(-8 * MIB)
    assert rate.admits(0)
