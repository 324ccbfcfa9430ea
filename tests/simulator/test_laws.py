"""What holds in every world: nothing is lost or made, the same seed gives the same run."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.simulator import (
    WORLDS,
    Client,
    Congestion,
    Link,
    Machine,
    Noise,
    Rivals,
    Step,
    Store,
    Traffic,
    World,
    jain,
    mean_goodput,
    run,
)
from fastput.limits import GIB, MIB
from fastput.tuner.sample import Lack
from fastput.tuner.settings import Settings
from tests.simulator.tuners import Climb, Plan, climb, follow

MB = 1e6
LINK = Link(1e9, 0.05, 3e6)


@pytest.mark.parametrize("name", WORLDS)
def test_the_same_seed_gives_the_same_run(name: str) -> None:
    first, again, other = (run(WORLDS[name], [Client(climb, Climb())], 3, seed).clients[0] for seed in (1, 1, 2))
    assert first.samples == again.samples
    assert first.settings == again.settings
    assert first.samples != other.samples


@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(sorted(WORLDS)),
    window=st.integers(1, 100),
    clients=st.integers(1, 3),
    size_bytes=st.integers(1, 300 * MIB),
    seed=st.integers(0, 1000),
)
def test_all_that_is_sent_arrives_once(name: str, window: int, clients: int, size_bytes: int, seed: int) -> None:
    trace = run(WORLDS[name], [Client.fixed(window, size_bytes)] * clients, 60, seed)
    for client in trace.clients:
        assert client.delivered_bytes <= size_bytes + 100
        if client.finished_s is not None:
            parts = math.ceil(size_bytes / (8 * MIB))
            # A part is over when less than a byte is left.
            assert client.delivered_bytes == pytest.approx(size_bytes, abs=parts + 1)
            assert sum(sample.confirmed_bytes for sample in client.samples) == pytest.approx(size_bytes, abs=parts)
            assert sum(sample.confirmed for sample in client.samples) == parts
        assert all(sample.in_flight <= window for sample in client.samples)


@settings(max_examples=20, deadline=None)
@given(
    capacity=st.floats(10e6, 5e9),
    rtt_s=st.floats(0.0005, 0.4),
    queue_s=st.floats(0.005, 0.3),
    loss=st.sampled_from([0.0, 0.0001, 0.01]),
    congestion=st.sampled_from(Congestion),
    window=st.integers(1, 60),
    rivals=st.integers(0, 10),
)
def test_a_link_never_carries_more_than_it_can(
    capacity: float, rtt_s: float, queue_s: float, loss: float, congestion: Congestion, window: int, rivals: int
) -> None:
    link = Link(
        capacity,
        rtt_s,
        capacity / 8 * queue_s,
        loss,
        congestion,
        steps=(Step(3.0, capacity / 3),),
        traffic=(Traffic(capacity / 4, on_s=1.0, off_s=0.5),),
        rivals=(Rivals(rivals, 1.0),) if rivals else (),
    )
    trace = run(World("any", link), [Client.fixed(window), Client.fixed(window)], 6)
    assert (trace.carried <= trace.capacity * (1 + 1e-9)).all()
    assert (trace.queue_bytes <= link.queue_bytes * (1 + 1e-9)).all()
    assert (sum(client.goodput for client in trace.clients) <= trace.carried * (1 + 1e-9)).all()
    assert all(np.isfinite(client.seen).all() for client in trace.clients)


def test_more_connections_get_more_until_the_link_is_full() -> None:
    goodputs = [mean_goodput(run(World("link", LINK), [Client.fixed(n)], 15).clients[0], 5) for n in (1, 2, 4, 8, 16)]
    assert all(more >= 0.99 * less for less, more in itertools.pairwise(goodputs))
    assert goodputs[1] > 1.5 * goodputs[0]
    assert goodputs[-1] > 0.97 * 125 * MB


def test_cubic_stays_below_mathis_ceiling_and_bbr_does_not() -> None:
    lossy = dataclasses.replace(LINK, loss=0.001)
    cubic = dataclasses.replace(lossy, congestion=Congestion.CUBIC)
    slow, fast = (
        mean_goodput(run(World("lossy", link), [Client.fixed(4)], 20).clients[0], 5) for link in (cubic, lossy)
    )
    # 3 x 1.22 x 1448 / (0.05 x sqrt(0.001)) = 3.4 MB/s each.
    assert 4 * 2.5 * MB < slow < 4 * 3.4 * MB
    assert fast > 8 * slow


def test_cubic_fills_a_link_without_loss() -> None:
    link = dataclasses.replace(LINK, congestion=Congestion.CUBIC)
    assert mean_goodput(run(World("cubic", link), [Client.fixed(8)], 20).clients[0], 8) > 0.8 * 125 * MB


def test_a_step_is_felt_and_undone() -> None:
    link = dataclasses.replace(LINK, steps=(Step(10, 250e6), Step(20, 1e9)))
    client = run(World("steps", link), [Client.fixed(16)], 35).clients[0]
    assert mean_goodput(client, 12, 20) == pytest.approx(250e6 / 8, rel=0.1)
    assert mean_goodput(client, 30, 35) == pytest.approx(1e9 / 8, rel=0.1)


def test_rivals_take_their_share_of_the_link() -> None:
    link = dataclasses.replace(LINK, rivals=(Rivals(16, 10, 20),))
    client = run(World("rivals", link), [Client.fixed(16)], 40).clients[0]
    assert mean_goodput(client, 14, 20) == pytest.approx(62 * MB, rel=0.35)
    assert mean_goodput(client, 30, 40) > 0.9 * 125 * MB


def test_alike_clients_share_alike_and_one_that_ends_leaves_its_share() -> None:
    clients = [Client.fixed(16), dataclasses.replace(Client.fixed(16), start_s=6.0, end_s=30.0)]
    first, second = run(World("two", LINK), clients, 40).clients
    assert jain((first, second), 15, 30) > 0.95
    assert second.time_s[0] == pytest.approx(6.1)
    assert second.time_s[-1] <= 30.11
    assert mean_goodput(first, 34, 40) > 0.9 * 125 * MB


def test_what_lacks_is_told() -> None:
    def lacks(machine: Machine) -> set[Lack]:
        samples = run(World("lack", LINK, machine=machine), [Client.fixed(16)], 5).clients[0].samples
        return {sample.lack for sample in samples[20:]}

    assert lacks(Machine()) == {Lack.NOTHING}
    assert lacks(Machine(memory_bytes=64 * MIB)) == {Lack.MEMORY}
    assert lacks(Machine(pipe_bytes_per_s=10 * MB)) == {Lack.SOURCE}


def test_disk_and_pipe_are_ceilings() -> None:
    for name, rate in (("slow-disk", 200 * MB), ("slow-pipe", 50 * MB)):
        client = run(WORLDS[name], [Client.fixed(16)], 20).clients[0]
        assert mean_goodput(client, 5) == pytest.approx(rate, rel=0.05)
    reading = run(WORLDS["slow-disk"], [Client.fixed(16)], 5).clients[0].samples[20:]
    assert all(sample.read_s > 10 * sample.elapsed_s for sample in reading)


def test_a_store_that_refuses_slows_its_client_down() -> None:
    world = World("refuses", store=Store(20 * MB, 400 * MB, max_in_flight=10))
    client = run(world, [Client.fixed(40, GIB)], 60).clients[0]
    assert sum(sample.slow_downs for sample in client.samples) > 20
    assert client.finished_s is not None
    assert client.delivered_bytes == pytest.approx(GIB, abs=200)
    busy = World("busy", store=Store(20 * MB, 400 * MB, max_requests_per_s=10))
    samples = run(busy, [Client.fixed(40)], 20).clients[0].samples
    assert sum(sample.slow_downs for sample in samples)
    assert sum(sample.confirmed for sample in samples) <= 10 * 20


def test_stalls_hold_up_one_connection() -> None:
    world = World("stalls", store=Store(20 * MB, stalls=0.02))
    latencies_s = [s.latency_s for s in run(world, [Client.fixed(8)], 30).clients[0].samples if s.latency_s]
    assert max(latencies_s) > 3
    assert sorted(latencies_s)[len(latencies_s) // 2] < 1


def test_without_tcp_info_only_parts_are_seen() -> None:
    blind = dataclasses.replace(Client.fixed(8), sees_tcp=False)
    client = run(WORLDS["1gbps-100ms"], [blind], 10).clients[0]
    assert {(s.goodput_bytes, s.rtt_s, s.min_rtt_s, s.connections) for s in client.samples} == {(None, None, None, 0)}
    assert client.seen.mean() == pytest.approx(client.goodput.mean(), rel=0.15)


def test_noise_is_as_asked_for() -> None:
    world = dataclasses.replace(WORLDS["knee-8"], noise=Noise(goodput_cv=0.07))
    client = run(world, [Client.fixed(6)], 60).clients[0]
    ratio = (client.seen / client.goodput)[50:590].reshape(-1, 3).mean(axis=1)
    assert ratio.std() == pytest.approx(0.07, rel=0.2)


def test_settings_apply_to_parts_not_yet_sent() -> None:
    client = Client(follow, Plan(((0, 4), (20, 12))), Settings(4))
    trace = run(WORLDS["knee-120"], [client], 5).clients[0]
    # The 20th sample ends at 2.0 s.
    assert set(trace.in_flight[:20]) == {4}
    assert set(trace.in_flight[20:]) == {12}


def test_a_tuner_sees_only_what_it_would_see() -> None:
    client = run(WORLDS["1gbps-100ms"], [Client(climb, Climb(), Settings(4))], 60).clients[0]
    assert client.window[-1] > 10
    assert mean_goodput(client, 30) > 0.8 * 125 * MB


def test_a_minute_takes_a_moment() -> None:
    begun_s = time.process_time()
    run(WORLDS["1gbps-100ms"], [Client.fixed(30)], 60)
    # 0.4 s on an idle machine: ten times that is a mistake.
    assert time.process_time() - begun_s < 4
