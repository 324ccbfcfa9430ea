"""What misleads a tuner, as it was measured."""

from __future__ import annotations

import statistics
from dataclasses import replace

import numpy as np

from bench.simulator import WORLDS, Client, Noise, World, best_fixed, run, total_goodput
from fastput.limits import MIB
from fastput.tuner.sample import Lack
from fastput.tuner.settings import Settings
from tests.simulator.tuners import Plan, follow

QUIET = Noise(0.0, 0.0)


def following(*windows: tuple[int, int]) -> Client:
    return Client(follow, Plan(windows), Settings(windows[0][1]))


def quiet(name: str) -> World:
    return replace(WORLDS[name], noise=QUIET)


def test_goodput_reads_high_after_an_increase() -> None:
    client = run(quiet("knee-120"), [following((0, 40), (50, 80))], 10).clients[0]
    after = (client.time_s > 5.15) & (client.time_s < 5.35)  # the handshakes are over
    later = client.time_s > 7
    assert client.seen[after].mean() > 1.08 * client.goodput[after].mean()
    assert client.seen[later].mean() < 1.01 * client.goodput[later].mean()


def test_a_smaller_window_comes_into_force_as_parts_end() -> None:
    client = run(quiet("knee-120"), [following((0, 100), (50, 20))], 10).clients[0]
    above = client.time_s[client.in_flight > client.window]
    assert above.size
    # A part of 8 MiB at 5 MB/s takes 1.7 s.
    assert 1.0 < above[-1] - 5.0 < 3.0
    assert client.in_flight[-1] == 20


def test_overshoot_is_paid_while_it_drains() -> None:
    slow = run(quiet("knee-120"), [following((0, 110), (50, 256), (60, 110))], 20).clients[0]
    lost_s = float(((slow.time_s > 5) & (slow.goodput < 0.7 * 480e6)).sum()) / 10
    assert 2.0 < lost_s < 10.0


def test_all_connections_dip_together_every_ten_seconds() -> None:
    client = run(quiet("1gbps-100ms"), [Client.fixed(24)], 35).clients[0]
    dips = client.time_s[(client.goodput < 0.6 * 125e6) & (client.time_s > 5)]
    begins = dips[np.diff(dips, prepend=0) > 1]
    assert len(begins) == 3
    assert np.allclose(np.diff(begins), 10, atol=1)
    assert (dips[:, None] - begins[None, :] < 0.6).any(axis=1).all()


def test_the_tail_is_told() -> None:
    client = run(WORLDS["knee-8"], [Client.fixed(8, 200 * MIB)], 20).clients[0]
    tail = [sample for sample in client.samples if sample.is_tail]
    assert 0 < len(tail) < len(client.samples)
    assert all(sample.is_tail for sample in client.samples[-len(tail) :])
    assert tail[-1].lack is Lack.SOURCE
    assert tail[-1].in_flight == 0


def test_loopback_round_trips_say_nothing() -> None:
    samples = run(WORLDS["loopback"], [Client.fixed(16)], 5).clients[0].samples
    ratios = [sample.rtt_s / sample.min_rtt_s for sample in samples if sample.rtt_s and sample.min_rtt_s]
    assert min(ratios) < 1.3
    assert max(ratios) > 3


def test_goodput_is_smooth_at_a_fixed_window_and_parts_are_not() -> None:
    for name, window in (("1gbps-100ms", 24), ("knee-30", 20), ("knee-8", 6)):
        client = run(WORLDS[name], [Client.fixed(window)], 13).clients[0]
        chosen = (client.time_s > 4) & (client.time_s < 10)
        seen = client.seen[chosen][:57].reshape(-1, 3).mean(axis=1)
        parts = np.array([sample.confirmed_bytes for sample in client.samples])[chosen][:57].reshape(-1, 3).mean(axis=1)
        assert seen.std() / seen.mean() < 0.08, name
        assert parts.std() / parts.mean() > 2 * seen.std() / seen.mean(), name


def test_several_clients_at_a_knee_ruin_each_other() -> None:
    world = WORLDS["knee-30"]
    many = run(world, [Client.fixed(20)] * 8, 6).clients
    assert total_goodput(many, 2, 6) < 0.1 * best_fixed(world).goodput


def test_latency_tells_of_others_at_a_knee() -> None:
    world = WORLDS["knee-30"]
    alone, crowded = (run(world, [Client.fixed(15)] * clients, 15).clients[0] for clients in (1, 4))
    alone_s, crowded_s = (
        statistics.mean(sample.latency_s for sample in one.samples if sample.latency_s) for one in (alone, crowded)
    )
    assert crowded_s > 4 * alone_s
