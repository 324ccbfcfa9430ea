"""What the kernel counts of the connections that an event loop watches, beside what was really sent."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from fastput.native.connections import Connections

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO and epoll are Linux's")

ACKNOWLEDGED, OPEN, ACTIVE, RTT, MIN_RTT = 0, 6, 7, 8, 9


@contextmanager
def pair(server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_connection(server.getsockname()) as ours, server.accept()[0] as theirs:
        yield ours, theirs


def send(ours: socket.socket, theirs: socket.socket, size_bytes: int) -> None:
    """Until the other end has read all of it."""
    for start in range(0, size_bytes, 4096):
        piece_bytes = min(4096, size_bytes - start)
        ours.sendall(bytes(piece_bytes))
        while piece_bytes:
            piece_bytes -= len(theirs.recv(piece_bytes))


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_what_was_sent_is_acknowledged(server: socket.socket) -> None:
    with closing(select.epoll()) as epoll, pair(server) as (ours, theirs):
        epoll.register(ours)
        connections = Connections([epoll.fileno()], server.getsockname()[1])
        before = connections.look()
        send(ours, theirs, 1_000_000)
        after = connections.look()
        assert before is not None
        assert after is not None
        assert after[ACKNOWLEDGED] - before[ACKNOWLEDGED] >= 990_000, "the last packets may be on their way"
        assert (after[OPEN], after[ACTIVE]) == (1, 1)
        assert 0 < after[MIN_RTT] <= after[RTT]


def test_only_those_that_the_loop_watches_and_of_that_port(server: socket.socket) -> None:
    with ExitStack() as stack:
        epoll, other = stack.enter_context(closing(select.epoll())), stack.enter_context(closing(select.epoll()))
        mine, foreign, unwatched = (stack.enter_context(pair(server)) for _ in range(3))
        elsewhere = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        theirs = stack.enter_context(pair(elsewhere))
        epoll.register(mine[0])
        epoll.register(theirs[0])
        other.register(foreign[0])
        connections = Connections([epoll.fileno()], server.getsockname()[1])
        for ours, end in (mine, foreign, unwatched, theirs):
            send(ours, end, 100_000)
        found = connections.look()
        assert found is not None
        assert found[OPEN] == 1
        assert 90_000 <= found[ACKNOWLEDGED] <= 100_100
        both = Connections([epoll.fileno(), other.fileno()], server.getsockname()[1]).look()
        assert both is not None
        assert both[OPEN] == 2


def test_what_closed_connections_have_moved_still_counts(server: socket.socket) -> None:
    with closing(select.epoll()) as epoll:
        connections = Connections([epoll.fileno()], server.getsockname()[1])
        moved_bytes = 0
        for count in range(1, 4):
            with pair(server) as (ours, theirs):
                epoll.register(ours)
                send(ours, theirs, 100_000)
                found = connections.look()
                assert found is not None
                assert found[ACKNOWLEDGED] >= moved_bytes + 90_000, count
                moved_bytes = found[ACKNOWLEDGED]
        found = connections.look()
        assert found is not None
        assert (found[OPEN], found[ACKNOWLEDGED]) == (0, moved_bytes)


def test_a_pace_is_set_on_each_new_ones_too(server: socket.socket) -> None:
    with closing(select.epoll()) as epoll, pair(server) as (first, _), pair(server) as (second, _):
        connections = Connections([epoll.fileno()], server.getsockname()[1])
        epoll.register(first)
        connections.pace(1_000_000)
        connections.look()
        epoll.register(second)
        connections.look()
        for each in (first, second):
            assert each.getsockopt(socket.SOL_SOCKET, 47) == pytest.approx(1_000_000, rel=1e-3)  # SO_MAX_PACING_RATE
        connections.pace(None)
        connections.look()
        assert first.getsockopt(socket.SOL_SOCKET, 47) == -1


def test_an_event_loop_that_has_ended_has_no_connections(server: socket.socket) -> None:
    epoll = select.epoll()
    connections = Connections([epoll.fileno()], server.getsockname()[1])
    epoll.close()
    found = connections.look()
    assert found is not None
    assert found[OPEN] == 0


def test_many(server: socket.socket) -> None:
    """More than it has room for at first."""
    with closing(select.epoll()) as epoll, ExitStack() as stack:
        for _ in range(150):
            ours, _ = stack.enter_context(pair(server))
            epoll.register(ours)
        found = Connections([epoll.fileno()], server.getsockname()[1]).look()
        assert found is not None
        assert found[OPEN] == 150
