"""--limit-rate on real connections, to a server that throws away what it gets and counts it.

A cap is never exceeded; how near it is reached depends on the machine, and python -m bench.rates measures that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastput
from bench.servers import sink, tls
from fastput.errors import UsageError
from fastput.transport.both import BothTransport
from tests.support.content import MIB

SECONDS = 60
# What was saved up while the machine was busy, and what the server's clock shows of it.
TOLERANCE = 0.1
MBPS = 1e6 / 8
Make = Callable[..., fastput.Client]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with contextlib.ExitStack() as stack:

        def client(url: str, limit_rate: Any, **options: Any) -> fastput.Client:
            options |= {"endpoint_url": url, "limit_rate": limit_rate, "region": "us-east-1", "state_dir": tmp_path}
            return stack.enter_context(fastput.Client(**options))

        yield client


def put_all(client: fastput.Client, data: bytes, count: int) -> None:
    for future in [client.submit(data, f"s3://bucket/{i}") for i in range(count)]:
        future.result(SECONDS)


def keeps_to(server: sink.Sink, mbps: float) -> bool:
    """From the first byte that came to the last."""
    stats = server.stats()
    return stats.object_bytes / (stats.last_body_s - stats.first_body_s) <= mbps * MBPS * (1 + TOLERANCE)


def warmed(client: fastput.Client, server: sink.Sink) -> None:
    """The store is known; the connection is there, and is reused."""
    client.put(b"x", "s3://bucket/first")
    server.reset()


@pytest.mark.parametrize(
    ("mbps", "object_bytes", "count"), [(60, 36 * MIB, 1), (2000, 600 * MIB, 1), (40, 25_000, 800)],
    ids=["parts", "fast", "small"],
)  # fmt: skip
def test_the_cap_is_kept(make: Make, mbps: int, object_bytes: int, count: int) -> None:
    with sink.serve() as server:
        client = make(server.endpoint_url, f"{mbps}Mbps")
        warmed(client, server)
        put_all(client, bytes(object_bytes), count)
        assert keeps_to(server, mbps)
        assert client.snapshot().resent_bytes == 0


def test_over_tls(make: Make) -> None:
    with sink.serve() as server, tls.serve(server.ports[0]) as proxy:
        client = make(proxy.endpoint_url, "100Mbps", ca_bundle=str(proxy.ca_bundle))
        warmed(client, server)
        put_all(client, bytes(48 * MIB), 1)
        assert keeps_to(server, 100)


def test_where_the_kernel_neither_says_nor_paces(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BothTransport, "traffic", lambda self: None)
    with sink.serve() as server:
        client = make(server.endpoint_url, "80Mbps")
        warmed(client, server)
        put_all(client, bytes(400_000), 100)
        assert keeps_to(server, 80)


class Changing:
    """A timetable that a test turns over."""

    def __init__(self, bytes_per_s: float | None) -> None:
        self.bytes_per_s = bytes_per_s

    def at(self, second_s: float) -> float | None:
        return self.bytes_per_s


def received(server: sink.Sink) -> int:
    return server.stats().door_bytes[0]


def rate(server: sink.Sink) -> float:
    """Of the next half second."""
    from_s, before = time.monotonic(), received(server)
    threading.Event().wait(0.5)
    return (received(server) - before) / (time.monotonic() - from_s)


def until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.01)


def test_a_timetable_that_changes_in_mid_transfer(make: Make) -> None:
    table = Changing(40e6)
    with sink.serve() as server:
        client = make(server.endpoint_url, table)
        future = client.submit(bytes(110 * MIB), "s3://bucket/key")
        until(lambda: received(server) > 20e6)
        table.bytes_per_s = 5e6
        until(lambda: rate(server) < 8e6)
        table.bytes_per_s = 20e6
        until(lambda: rate(server) > 12e6)
        table.bytes_per_s = None
        future.result(SECONDS)


def test_a_cap_takes_back_what_it_can_not_keep_alive(make: Make) -> None:
    """64 requests are in flight when a cap of 16 Mbps begins, which leaves each less than the runtime asks for."""
    table = Changing(None)
    with sink.serve(sink.Store(rate_bytes_per_s=40e6)) as server:
        client = make(server.endpoint_url, table, concurrency=64, part_size=5 * MIB)
        future = client.submit(bytes(400 * MIB), "s3://bucket/key")
        until(lambda: client.snapshot().in_flight == 64)
        table.bytes_per_s = 2e6
        until(lambda: client.snapshot().in_flight <= 33)
        assert client.snapshot().resent_bytes > 0
        server.shape(sink.UNLIMITED)
        table.bytes_per_s = None
        assert future.result(SECONDS).size_bytes == server.stats().object_bytes == 400 * MIB


def test_what_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="is not a rate"):
        fastput.Client(limit_rate="fast")
    with pytest.raises(UsageError, match="below 1 Mbps"):
        fastput.put(b"", "s3://bucket/key", limit_rate="100kbps")
