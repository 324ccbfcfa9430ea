"""One step of all that moves: what is read, what the store takes, what the CPU manages, what the link carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.simulator import congestion
from bench.simulator.connections import Bools, Connections, Floats, Phase, sum_by
from bench.simulator.world import World

# Reading and hashing a byte costs this share of what the CPU spends on it, sending the rest. Together they make
# the busy share of a client that is limited by its CPU: 0.58-0.68, as measured.
_READ_COST = 0.37
# One thread reads and hashes so much at best.
_READ_BYTES_PER_S = 6e9
# The buffer at the receiver of a new connection opens in this time.
_OPENS_S = 0.3
# The share of its time in which a socket counts as limited by its send buffer: when it is, and when it isn't.
_BUFFER_LIMITED, _LITTLE = 0.2, 0.02
# Round-trip time that flows make themselves by asking for more, as a share of the least.
_OWN_DELAY = 0.22


@dataclass(slots=True)
class Flow:
    """
    Attributes:
        clients: how many; connections of a higher owner are rivals.
        queue_bytes: in the link's queue.
        link_bytes: carried since the last sample, everybody's.
        unused_bytes: that the store had room for in the last step, and nobody took.
        is_full: the link had no room for all in the last step.
    """

    world: World
    connections: Connections
    clients: int
    random: np.random.Generator
    queue_bytes: float = 0.0
    link_bytes: float = 0.0
    unused_bytes: float = 0.0
    is_full: bool = False

    def rtt_s(self, now_s: float) -> float:
        return self.world.link.rtt_s + self.queue_bytes / max(1.0, self.world.link.capacity_bytes_per_s(now_s))

    def step(self, start_s: float, end_s: float) -> list[tuple[int, float]]:
        """Moves all data up to `end_s`. Returns the connections whose part is read or sent, and since when."""
        c = self.connections
        # A phase may have begun within a step that was already done: the span makes up for that.
        span_s = np.maximum(end_s - c.since_s, 0.0)
        reading, sending = c.phase == Phase.READING, c.phase == Phase.SENDING
        could_read = np.where(reading, _READ_BYTES_PER_S * span_s, 0.0)
        read = self._limit_reads(could_read, np.minimum(could_read, c.left_bytes), end_s - start_s)
        could_send, sent = self._send(read, sending, span_s, start_s, end_s)

        moved, could_move = read + sent, could_read + could_send
        busy = sending | (c.phase == Phase.FIRST)
        c.busy_s[busy] += span_s[busy]
        moving = busy | reading
        begun_s = c.since_s.copy()
        c.since_s[moving] = end_s
        c.left_bytes -= moved
        done = (reading | sending) & (c.left_bytes < 1.0)
        if not done.any():
            return []
        ends: list[tuple[int, float]] = []
        for mine, slowness in ((reading, _ratio(could_read, read)), (sending, _ratio(could_send, sent))):
            for index in np.flatnonzero(done & mine):
                needed_s = span_s[index] * min(1.0, moved[index] / max(could_move[index], 1.0) * slowness)
                ends.append((int(index), float(begun_s[index] + needed_s)))
        return ends

    def spread(self, now_s: float, interval_s: float) -> None:
        """Lets connections that share a full link become unequal."""
        if self.is_full:
            free = (self.connections.phase == Phase.SENDING) & ~self.connections.is_starting
            congestion.spread(self.world.link, self.connections, free, interval_s, self.rtt_s(now_s), self.random)

    def _limit_reads(self, could: Floats, most: Floats, step_s: float) -> Floats:
        """The disk's share of each read."""
        room_bytes = self.world.machine.disk_bytes_per_s * step_s
        for owner in np.flatnonzero(self._by_owner(most) > room_bytes):
            mine = self.connections.owner == owner
            most[mine] = share_out(room_bytes, could[mine], most[mine])
        return most

    def _send(
        self, read: Floats, sending: Bools, span_s: Floats, start_s: float, end_s: float
    ) -> tuple[Floats, Floats]:
        """What each connection could send if it were alone, and what it did. Cuts what is read to the CPU's share."""
        link, store, c = self.world.link, self.world.store, self.connections
        step_s, rtt_s = end_s - start_s, self.rtt_s(start_s)
        allowed_rate = congestion.allowed_rate(link, c, start_s, rtt_s)
        rate = np.minimum(allowed_rate, self.world.machine.send_buffer_bytes / rtt_s)
        by_buffer = sending & (rate < allowed_rate)
        at_store = sending & (c.owner < self.clients)
        ceiling = store.connection_bytes_per_s * c.speed
        by_store = at_store & (rate > ceiling)
        rate[by_store] = ceiling[by_store]
        could = np.where(sending, rate * span_s, 0.0)
        most = np.minimum(could, c.left_bytes)

        in_store = int(np.count_nonzero((c.phase >= Phase.FIRST) & (c.owner < self.clients)))
        # Parts that end and begin within a step leave room that what they owe then needs in the next.
        fresh_bytes = store.capacity_at(in_store) * step_s
        room_bytes = fresh_bytes + min(self.unused_bytes, fresh_bytes)
        if float(most[at_store].sum()) > room_bytes:
            most[at_store] = share_out(room_bytes, (could * c.speed)[at_store], most[at_store])
            by_store = at_store
        self.unused_bytes = room_bytes - float(most[at_store].sum())
        by_cpu = self._share_cpu(read, most, step_s)

        offered_bytes, room_bytes = self._offer(most, start_s, step_s)
        sent = share_out(room_bytes, np.minimum(could, most * 2), most)
        self.is_full = room_bytes < float(most.sum())
        by_buffer &= ~(by_store | by_cpu)
        free = sending & ~(by_store | by_buffer | by_cpu)
        self._count(sent, offered_bytes, by_store, end_s, rtt_s)
        c.receiver_limited_s[by_store] += span_s[by_store]
        c.buffer_limited_s[free] += _LITTLE * span_s[free]
        c.buffer_limited_s[by_buffer] += (_LITTLE if self.is_full else _BUFFER_LIMITED) * span_s[by_buffer]
        capacity_bytes = link.capacity_bytes_per_s(start_s) * step_s
        congestion.adjust(link, c, free, offered_bytes, capacity_bytes, start_s, step_s, rtt_s, self.random)
        return could, sent

    def _share_cpu(self, read: Floats, most: Floats, step_s: float) -> Bools:
        """Cuts both in place where a machine can't do all; whose connections these are."""
        budget = self.world.machine.cpu_bytes_per_s * step_s
        work = read * _READ_COST + most * (1 - _READ_COST)
        limited = self._by_owner(work)[: self.clients] > budget
        by_cpu = np.zeros(len(work), np.bool_)
        for owner in np.flatnonzero(limited):
            mine = np.flatnonzero((self.connections.owner == owner) & (work > 0))
            cut = share_out(budget, self.connections.speed[mine], work[mine]) / work[mine]
            read[mine] *= cut
            most[mine] *= cut
            by_cpu[mine] = True
        return by_cpu

    def _offer(self, most: Floats, now_s: float, step_s: float) -> tuple[float, float]:
        """The bytes offered to the link, and its room for ours. The excess makes the queue longer, or is dropped."""
        link = self.world.link
        others_bytes = link.traffic_bytes_per_s(now_s) * step_s
        ours_bytes = float(most.sum()) / (1 - link.loss)
        offered_bytes = ours_bytes + others_bytes
        capacity_bytes = link.capacity_bytes_per_s(now_s) * step_s
        self.queue_bytes = min(max(self.queue_bytes + offered_bytes - capacity_bytes, 0.0), link.queue_bytes)
        carried = min(1.0, capacity_bytes / offered_bytes) if offered_bytes else 1.0
        self.link_bytes += offered_bytes * carried
        return offered_bytes, ours_bytes * carried * (1 - link.loss)

    def _count(self, sent: Floats, offered_bytes: float, by_store: Bools, end_s: float, rtt_s: float) -> None:
        """What the kernel would say of it."""
        link, store, c = self.world.link, self.world.store, self.connections
        # What the store's sockets take before it reads: acknowledged early, when a connection is new above all.
        c.opened_s[(sent > 0) & (c.opened_s > end_s)] = end_s
        open_share = np.clip((end_s - c.opened_s) / _OPENS_S, 0.0, 1.0)
        ahead = np.where(by_store, np.minimum(store.receive_buffer_bytes * open_share, c.left_bytes - sent), 0.0)
        c.delivered_bytes += sent
        c.acked_bytes += sent + ahead - c.ahead_bytes
        c.ahead_bytes = ahead
        total_bytes = float(sent.sum())
        if total_bytes:
            c.sent_bytes += sent * max(1 / (1 - link.loss), offered_bytes / total_bytes if self.is_full else 0.0)
            c.rtt_bytes += sent * max(rtt_s, link.rtt_s * (1 + _OWN_DELAY))

    def _by_owner(self, values: Floats) -> Floats:
        return sum_by(self.connections.owner, values, self.clients)


def share_out(room: float, weights: Floats, most: Floats) -> Floats:
    """Divides the room in proportion to the weights; nobody gets more than its most."""
    if float(most.sum()) <= room:
        return most
    given: Floats = np.minimum(most, weights * (room / weights.sum()))
    hungry = np.where(given < most, weights, 0.0)
    total = hungry.sum()
    if not total:
        return given
    topped: Floats = np.minimum(most, given + hungry * ((room - given.sum()) / total))
    return topped


def _ratio(could: Floats, did: Floats) -> float:
    """By how much all were slower than each alone."""
    total = float(did.sum())
    return float(could.sum()) / total if total else 1.0
