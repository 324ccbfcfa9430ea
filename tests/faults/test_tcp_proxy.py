"""The proxy does to connections what it says, and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.leaks import Held
from bench.servers import tcp_proxy
from bench.servers.tcp_proxy import HOST, Fault, TcpProxy
from tests.support.content import MIB, content

SECONDS = 30.0
DATA = content(3 * MIB)
DIGEST = hashlib.sha256(DATA).digest()


class Digester:
    """Reads each connection to its end and answers with the digest."""

    def __init__(self) -> None:
        self.listener = socket.create_server((HOST, 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        digest = hashlib.sha256()
        with contextlib.suppress(OSError), connection:
            while got := connection.recv(1 << 16):
                digest.update(got)
            connection.sendall(digest.digest())


@pytest.fixture
def target() -> Iterator[Digester]:
    server = Digester()
    yield server
    server.listener.shutdown(socket.SHUT_RDWR)
    server.listener.close()


@pytest.fixture
def proxy(target: Digester) -> Iterator[TcpProxy]:
    with tcp_proxy.serve(target.port) as proxy:
        yield proxy


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection((HOST, proxy.port), timeout=SECONDS)


def exchange(proxy: TcpProxy, data: bytes = DATA) -> bytes:
    with connect(proxy) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while got := connection.recv(1 << 16):
        answer += got
    return answer


def until(condition: object) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_bytes_pass_and_are_counted(proxy: TcpProxy) -> None:
    assert exchange(proxy) == DIGEST
    assert exchange(proxy, b"") == hashlib.sha256().digest()
    assert (proxy.up_bytes, proxy.down_bytes, proxy.connections) == (len(DATA), 64, 2)


def test_reset(proxy: TcpProxy) -> None:
    proxy.script(Fault(reset_after_bytes=MIB))
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        exchange(proxy)
    assert proxy.up_bytes == MIB
    assert exchange(proxy) == DIGEST


def test_black_hole(proxy: TcpProxy) -> None:
    proxy.script(Fault(black_hole_after_bytes=1000))
    with connect(proxy) as connection:
        connection.sendall(bytes(2000))
        until(lambda: proxy.up_bytes == 1000)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert exchange(proxy) == DIGEST
    assert proxy.up_bytes == 1000 + len(DATA)


def test_half_close(proxy: TcpProxy) -> None:
    proxy.script(Fault(half_close_after_bytes=1000))
    with connect(proxy) as connection:
        connection.sendall(bytes(2000))
        assert connection.recv(1) == b""
        connection.sendall(bytes(2000))  # is still taken
        connection.shutdown(socket.SHUT_WR)


def test_everything_stands_still_and_goes_on(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(DATA[:1000])
        until(lambda: proxy.up_bytes == 1000)
        proxy.flows.clear()
        connection.sendall(DATA[1000:2000])
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.up_bytes == 1000
        connection.settimeout(SECONDS)
        proxy.flows.set()
        assert read_all(connection) == hashlib.sha256(DATA[:2000]).digest()


def test_refused_and_accepted_again(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        until(lambda: proxy.connections == 1)
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        connection.sendall(b"data")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == hashlib.sha256(b"data").digest()
    proxy.accept()
    assert exchange(proxy) == DIGEST


def test_cut(proxy: TcpProxy) -> None:
    with connect(proxy) as connection:
        until(lambda: proxy.connections == 1)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_an_event_comes_before_the_bytes(proxy: TcpProxy) -> None:
    seen: list[int] = []
    proxy.at(MIB, lambda: seen.append(proxy.up_bytes))
    assert exchange(proxy) == DIGEST
    assert len(seen) == 1
    assert MIB - tcp_proxy.CHUNK_BYTES <= seen[0] < MIB


def test_throttle_is_for_all_together(proxy: TcpProxy) -> None:
    proxy.throttle(10 * MIB)
    started_at = time.monotonic()
    threads = [threading.Thread(target=exchange, args=(proxy,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.5 < time.monotonic() - started_at < 5


def test_one_slow_connection(proxy: TcpProxy) -> None:
    proxy.script(Fault(bytes_per_s=6 * MIB))
    started_at = time.monotonic()
    assert exchange(proxy) == DIGEST
    assert 0.4 < time.monotonic() - started_at < 5


def test_delay(target: Digester) -> None:
    with tcp_proxy.serve(target.port, delay_s=0.2) as proxy:
        started_at = time.monotonic()
        assert exchange(proxy) == DIGEST
        # There and back; all of it was on its way at the same time.
        assert 0.4 <= time.monotonic() - started_at < 5


def test_closing_leaves_nothing(target: Digester) -> None:
    before = Held()
    with tcp_proxy.serve(target.port, delay_s=0.01) as proxy, contextlib.ExitStack() as stack:
        proxy.script(Fault(black_hole_after_bytes=10))
        for _ in range(3):
            stack.enter_context(connect(proxy)).sendall(bytes(1000))
        until(lambda: proxy.connections == 3)
        proxy.flows.clear()
        proxy.later(60, proxy.flows.set)
    assert not before.wait_until_released()
