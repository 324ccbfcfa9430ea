"""The sink's limits: the rate is their function, so it is what is looked at, with wide tolerances."""

from __future__ import annotations

import pytest

from bench.lab.run import Change, run, run_together
from bench.lab.scenarios import Scenario
from bench.servers import sink
from bench.servers.sink import Store
from tests.lab.pushing import goodput, pushing
from tests.support.measured import measured

# One connection gets 10 MB/s, and four of them all that there is.
STORE = Store(rate_bytes_per_s=40e6, connection_rate_bytes_per_s=10e6, knee=4)


@pytest.mark.parametrize(
    ("connections", "expected_bytes_per_s"),
    [(1, 10e6), (4, 40e6), (8, 10e6)],
    ids=["one connection", "at the knee", "beyond the knee"],
)
@measured
def test_rate(connections: int, expected_bytes_per_s: float) -> None:
    size_bytes = int(expected_bytes_per_s * 1.2 / connections)
    result = run(Scenario("store", store=STORE), pushing(connections, size_bytes))
    assert not result.error, result.output
    assert goodput(result, 0.3, 1.1) == pytest.approx(expected_bytes_per_s, rel=0.1)
    assert result.most_connections == connections
    assert result.body_bytes == connections * size_bytes


@measured
def test_change_while_it_runs() -> None:
    result = run(
        Scenario("store", store=Store(20e6)), pushing(2, 14_000_000), [Change(0.8, Store(10e6)), Change(1.6, Store())]
    )
    assert not result.error, result.output
    assert goodput(result, 0.3, 0.8) == pytest.approx(20e6, rel=0.15)
    assert goodput(result, 1.0, 1.6) == pytest.approx(10e6, rel=0.15)
    assert result.body_bytes == 28_000_000


@measured
def test_two_commands_share_a_store() -> None:
    results = run_together(Scenario("store", store=Store(20e6)), [pushing(1, 16_000_000), pushing(1, 8_000_000, 0.4)])
    assert [each.error for each in results] == ["", ""]
    assert [each.body_bytes for each in results] == [16_000_000, 8_000_000]
    assert results[1].start_at_s == pytest.approx(0.4, abs=0.2)
    for each in results:
        assert goodput(each, 0.7, 1.1) == pytest.approx(10e6, rel=0.2)


def test_small_bodies_pass() -> None:
    result = run(Scenario("store", store=STORE), pushing(20, 10))
    assert not result.error, result.output
    assert result.stats.objects == 20


def test_knee_without_a_rate_is_refused() -> None:
    with sink.serve() as server, pytest.raises(ValueError, match="400"):
        server.shape(Store(knee=4))
