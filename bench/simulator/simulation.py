"""Runs clients in a world, in virtual time: no clock, no threads, the same for the same seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.simulator.client import Client, Queue
from bench.simulator.congestion import INITIAL_SEGMENTS
from bench.simulator.connections import Connections, Phase
from bench.simulator.flow import Flow
from bench.simulator.trace import INTERVAL_S, ClientTrace, Trace
from bench.simulator.world import Rivals, World
from fastput.tuner.sample import Sample
from fastput.tuner.settings import Settings

# Below this a round-trip time is the machine's own noise.
_LOOPBACK_RTT_S = 0.003
# A refused part is sent again after a time between these.
_AGAIN_S = (0.25, 1.0)
_NOISE_SAMPLES = 3  # of 0.1 s, in the 0.3 s that the noise is given for


def run(world: World, clients: Sequence[Client], duration_s: float = 60.0, seed: int = 1) -> Trace:
    """Lets the clients send until all have finished, or for so long."""
    return _Run(world, clients, seed).run(duration_s)


@dataclass(slots=True)
class _Log:
    time_s: list[float] = field(default_factory=list)
    goodput: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    window: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    rtt_s: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    settings: list[Settings] = field(default_factory=list)
    delivered_bytes: float = 0.0


class _Run:
    def __init__(self, world: World, clients: Sequence[Client], seed: int) -> None:
        self._world = world
        self._random = np.random.default_rng(seed)
        self._connections = Connections()
        self._flow = Flow(world, self._connections, len(clients), self._random)
        self._queues = [Queue.of(client, world.machine) for client in clients]
        self._logs = [_Log() for _ in clients]
        self._rivals: dict[Rivals, list[int]] = {}
        # Requests that the store took in the last second.
        self._arrivals_s: list[float] = []
        # Steps of a tenth of a round trip see a start-up's doubling; 5 ms see the phases of a part.
        steps = max(2, min(10, round(INTERVAL_S / max(world.link.rtt_s / 5, 0.01))))
        self._steps = steps

    def run(self, duration_s: float) -> Trace:
        time_s, capacity, carried, queued = [], [], [], []
        step_s = INTERVAL_S / self._steps
        for tick in range(round(duration_s / INTERVAL_S)):
            start_s = tick * INTERVAL_S
            for step in range(self._steps):
                self._step(start_s + step * step_s, start_s + (step + 1) * step_s)
            end_s = start_s + INTERVAL_S
            self._flow.spread(end_s, INTERVAL_S)
            self._sample(end_s)
            time_s.append(end_s)
            capacity.append(self._world.link.capacity_bytes_per_s(start_s))
            carried.append(self._flow.link_bytes / INTERVAL_S)
            queued.append(self._flow.queue_bytes)
            self._flow.link_bytes = 0.0
            if all(q.finished_s is not None or end_s >= q.client.end_s for q in self._queues):
                break
        return Trace(
            tuple(_client_trace(q, log) for q, log in zip(self._queues, self._logs, strict=True)),
            np.array(time_s),
            np.array(capacity),
            np.array(carried),
            np.array(queued),
        )

    def _step(self, start_s: float, end_s: float) -> None:
        self._set_rivals(start_s)
        for owner, queue in enumerate(self._queues):
            if queue.is_running(start_s):
                queue.fill(end_s - start_s)
                self._pump(owner, start_s)
        self._wake(end_s)
        c = self._connections
        if not len(c):
            return
        for index, now_s in self._flow.step(start_s, end_s):
            if c.phase[index] == Phase.READING:
                self._was_read(index, now_s)
            else:
                store = self._world.store
                wait_s = store.handling_s * self._random.uniform(0.5, 1.5)
                if store.stalls and self._random.random() < store.stalls:
                    wait_s += store.stall_s
                c.enter(index, Phase.ANSWER, now_s, now_s + wait_s)
        self._wake(end_s)
        for owner, queue in enumerate(self._queues):
            if queue.client.end_s <= end_s and queue.in_flight:
                self._interrupt(owner)

    def _wake(self, end_s: float) -> None:
        """Phases that only take time go on, and those behind them if they are short."""
        c = self._connections
        while (due := np.flatnonzero(c.wakes_s < end_s)).size:
            for index in map(int, due[np.argsort(c.wakes_s[due], kind="stable")]):
                now_s = float(c.wakes_s[index])
                if c.phase[index] == Phase.OPENING:
                    self._send_first(index, now_s)
                elif c.phase[index] == Phase.FIRST:
                    c.busy_s[index] += max(0.0, now_s - c.since_s[index])
                    if self._is_refused(now_s):
                        self._refuse(index, now_s)
                    else:
                        c.enter(index, Phase.SENDING, now_s)
                else:
                    self._confirm(index, now_s)

    def _pump(self, owner: int, now_s: float) -> None:
        queue, c = self._queues[owner], self._connections
        while (part_bytes := queue.take(now_s)) is not None:
            index = queue.idle.pop() if queue.idle else self._open(owner, now_s)
            # The time that a part takes varies evenly, or all would go on in step for ever.
            vary = self._world.noise.part_time
            c.begin(index, part_bytes, 1 / self._random.uniform(1 - vary, 1 + vary), now_s)

    def _open(self, owner: int, now_s: float) -> int:
        link = self._world.link
        return self._connections.add(owner, INITIAL_SEGMENTS * link.mss_bytes / link.rtt_s, now_s)

    def _was_read(self, index: int, now_s: float) -> None:
        c, round_trips = self._connections, self._world.machine.set_up_round_trips
        if math.isinf(c.opened_s[index]) and round_trips:
            c.enter(index, Phase.OPENING, now_s, now_s + round_trips * self._flow.rtt_s(now_s))
        else:
            self._send_first(index, now_s)

    def _send_first(self, index: int, now_s: float) -> None:
        self._connections.enter(index, Phase.FIRST, now_s, now_s + self._flow.rtt_s(now_s))

    def _is_refused(self, now_s: float) -> bool:
        store, c = self._world.store, self._connections
        if math.isfinite(store.max_requests_per_s):
            self._arrivals_s = [t for t in self._arrivals_s if t > now_s - 1.0]
            if len(self._arrivals_s) >= store.max_requests_per_s:
                return True
            self._arrivals_s.append(now_s)
        taken = np.count_nonzero((c.phase >= Phase.SENDING) & (c.owner < len(self._queues)))
        return bool(taken >= store.max_in_flight)

    def _refuse(self, index: int, now_s: float) -> None:
        owner = int(self._connections.owner[index])
        again_s = now_s + self._random.uniform(*_AGAIN_S)
        self._queues[owner].refuse(float(self._connections.part_bytes[index]), again_s, now_s)
        self._leave(index, owner, now_s)

    def _confirm(self, index: int, now_s: float) -> None:
        c = self._connections
        owner = int(c.owner[index])
        self._queues[owner].confirm(float(c.part_bytes[index]), now_s - float(c.started_s[index]), now_s)
        self._leave(index, owner, now_s)

    def _leave(self, index: int, owner: int, now_s: float) -> None:
        self._connections.enter(index, Phase.IDLE, now_s)
        self._queues[owner].idle.append(index)
        if self._queues[owner].is_running(now_s):
            self._pump(owner, now_s)

    def _interrupt(self, owner: int) -> None:
        c = self._connections
        for index in map(int, np.flatnonzero(c.owner == owner)):
            c.enter(index, Phase.IDLE, 0.0)
        self._queues[owner].in_flight = 0

    def _set_rivals(self, now_s: float) -> None:
        c = self._connections
        for rivals in self._world.link.rivals:
            indexes = self._rivals.get(rivals)
            if indexes is None and rivals.start_s <= now_s < rivals.end_s:
                self._rivals[rivals] = [self._open(len(self._queues), now_s) for _ in range(rivals.connections)]
                for index in self._rivals[rivals]:
                    c.begin(index, math.inf, 1.0, now_s)
                    c.enter(index, Phase.SENDING, now_s)
            elif indexes and now_s >= rivals.end_s:
                for index in indexes:
                    c.enter(index, Phase.IDLE, now_s)
                indexes.clear()

    def _sample(self, end_s: float) -> None:
        c, owners = self._connections, len(self._queues) + 1
        if not len(c):
            return
        busy = np.bincount(c.owner[c.busy_s > 0], minlength=owners)
        sums = c.take_sums(owners)
        for owner, queue in enumerate(self._queues):
            is_over = queue.finished_s is not None and queue.finished_s <= end_s - INTERVAL_S
            if is_over or not queue.client.start_s < end_s <= queue.client.end_s + INTERVAL_S:
                continue
            values = {name: float(values[owner]) for name, values in sums.items()}
            queue.read_s = float(np.count_nonzero(c.phase[c.owner == owner] == Phase.READING)) * INTERVAL_S
            sample = self._noisy(queue, values, int(busy[owner]))
            log = self._logs[owner]
            log.time_s.append(end_s)
            log.goodput.append(values["delivered_bytes"] / INTERVAL_S)
            seen_bytes = sample.confirmed_bytes if sample.goodput_bytes is None else sample.goodput_bytes
            log.seen.append(seen_bytes / INTERVAL_S)
            log.window.append(queue.settings.window)
            log.in_flight.append(queue.in_flight)
            log.rtt_s.append(math.nan if sample.rtt_s is None else sample.rtt_s)
            log.samples.append(sample)
            log.settings.append(queue.settings)
            log.delivered_bytes += values["delivered_bytes"]
            queue.start_interval()
            if not queue.client.is_fixed and queue.finished_s is None:
                queue.state, queue.settings = queue.client.decide(queue.state, sample)

    def _noisy(self, queue: Queue, sums: dict[str, float], busy: int) -> Sample:
        noise, link, sees_tcp = self._world.noise, self._world.link, queue.client.sees_tcp
        goodput_noise, rtt_noise = self._random.standard_normal(2)
        factor = max(0.0, 1 + noise.goodput_cv * math.sqrt(_NOISE_SAMPLES) * goodput_noise)
        rtt_s = min_rtt_s = None
        if sums["delivered_bytes"] and sees_tcp:
            is_loopback = link.rtt_s < _LOOPBACK_RTT_S
            rtt_factor = math.exp(rtt_noise) if is_loopback else max(0.5, 1 + noise.rtt_cv * rtt_noise)
            rtt_s = max(link.rtt_s, sums["rtt_bytes"] / sums["delivered_bytes"] * rtt_factor)
            min_rtt_s = link.rtt_s
        sample = Sample(
            elapsed_s=INTERVAL_S,
            goodput_bytes=max(0, round(sums["acked_bytes"] * factor)),
            confirmed_bytes=round(queue.confirmed_bytes),
            confirmed=queue.confirmed,
            latency_s=queue.latency_sum_s / queue.confirmed if queue.confirmed else None,
            in_flight=queue.in_flight,
            part_bytes=int(queue.part_bytes) if queue.in_flight else 0,
            window=queue.throttle.window(queue.settings.window),
            connections=busy,
            rtt_s=rtt_s,
            min_rtt_s=min_rtt_s,
            sent_bytes=round(sums["sent_bytes"]),
            retransmitted_bytes=max(0, round(sums["sent_bytes"] - sums["delivered_bytes"])),
            busy_s=sums["busy_s"],
            receiver_limited_s=sums["receiver_limited_s"],
            buffer_limited_s=sums["buffer_limited_s"],
            slow_downs=queue.slow_downs,
            failures=0,
            read_s=queue.read_s,
            read_waited_s=queue.read_s,
            cpu_s=0.0,
            lack=queue.lack,
            left_bytes=queue.left_bytes,
        )
        if sees_tcp:
            return sample
        return replace(
            sample,
            goodput_bytes=None,
            connections=0,
            sent_bytes=0,
            retransmitted_bytes=0,
            busy_s=0.0,
            receiver_limited_s=0.0,
            buffer_limited_s=0.0,
        )


def _client_trace(queue: Queue, log: _Log) -> ClientTrace:
    return ClientTrace(
        time_s=np.array(log.time_s),
        goodput=np.array(log.goodput),
        seen=np.array(log.seen),
        window=np.array(log.window, float),
        in_flight=np.array(log.in_flight, float),
        rtt_s=np.array(log.rtt_s),
        samples=tuple(log.samples),
        settings=tuple(log.settings),
        start_s=queue.client.start_s,
        finished_s=queue.finished_s,
        delivered_bytes=log.delivered_bytes,
    )
