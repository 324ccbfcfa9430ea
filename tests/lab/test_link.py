"""The emulated link. That it is as it says, iperf3 and ping are asked in test_check.py."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.lab import link
from bench.lab.link import Lab, Link, LinkUnavailableError
from bench.servers import sink

PORT = 7000
DEADLINE_S = 20.0
DATAGRAMS = 2000
# Room for all of them, whatever the system allows; socket has no name for it.
SO_RCVBUFFORCE = 33


@contextlib.contextmanager
def connected(lab: Lab) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The client's and the server's end of a TCP connection."""
    with lab.server.open_socket() as listener, lab.client.open_socket() as client:
        listener.bind((lab.server_address, PORT))
        listener.listen()
        client.settimeout(DEADLINE_S)
        listener.settimeout(DEADLINE_S)
        client.connect((lab.server_address, PORT))
        server, _ = listener.accept()
        with server:
            server.settimeout(DEADLINE_S)
            yield client, server


def received(connection: socket.socket) -> str:
    digest = hashlib.sha256()
    while data := connection.recv(1 << 16):
        digest.update(data)
    return digest.hexdigest()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_lossy_link_delivers_streams_unharmed(opened: Callable[[Link], Lab], direction: str) -> None:
    """Packets of many segments are cut where one is lost; a small queue cuts them too."""
    lab = opened(Link(500e6, 0.005, loss=0.01, queue_bytes=50_000))
    content = random.Random(1).randbytes(10_000_000)
    with connected(lab) as ends:
        sender, receiver = ends if direction == "up" else reversed(ends)

        def send() -> None:
            sender.sendall(content)
            sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        assert received(receiver) == hashlib.sha256(content).hexdigest()
        thread.join()
    count = lab.count()[0 if direction == "up" else 1]
    # 10 MB are 6,900 segments, of which 69 are lost, give or take.
    assert 20 < count.lost < 200


def lost_datagrams(lab: Lab) -> list[int]:
    """Which of a number of datagrams don't arrive."""
    with (
        lab.server.open_socket(kind=socket.SOCK_DGRAM) as server,
        lab.client.open_socket(kind=socket.SOCK_DGRAM) as client,
    ):
        server.bind((lab.server_address, PORT))
        server.settimeout(DEADLINE_S)
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        missing = set(range(DATAGRAMS))
        for number in missing:
            client.sendto(number.to_bytes(4), (lab.server_address, PORT))
        deadline_s = time.monotonic() + DEADLINE_S
        while lab.count()[0].segments < DATAGRAMS:
            assert time.monotonic() < deadline_s
        lab.change(dataclasses.replace(lab.link, loss=0))
        client.sendto(DATAGRAMS.to_bytes(4), (lab.server_address, PORT))
        while (number := int.from_bytes(server.recv(4))) != DATAGRAMS:
            missing.discard(number)
        return sorted(missing)


def test_seed_decides_what_is_lost(can_link: None) -> None:
    lossy = Link(1e9, 0.001, loss=0.05, queue_bytes=1 << 20)
    lost = []
    for seed in (1, 1, 2):
        with link.open(lossy, seed=seed) as lab:
            lost.append(lost_datagrams(lab))
    assert lost[0] == lost[1] != lost[2]
    assert all(50 < len(each) < 150 for each in lost)


def test_links_side_by_side(opened: Callable[[Link], Lab]) -> None:
    """The same addresses twice, and a sink behind each."""
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            lab = opened(Link(1e9, 0.001))
            server = stack.enter_context(sink.serve(host=lab.server_address, namespace=lab.server))
            # That is asked from the server's side.
            assert server.stats().objects == 0
            assert lab.count()[0].segments == 0


@pytest.mark.parametrize(
    "impossible",
    [
        Link(0, 0.1),
        Link(1e9, -1),
        Link(1e9, 0.1, loss=1),
        Link(1e9, 0.1, queue_bytes=-1),
        Link(float("nan"), 0, queue_bytes=0),
    ],
)
def test_impossible_link(can_link: None, impossible: Link) -> None:
    with pytest.raises(ValueError, match="can't be"), link.open(impossible):
        pass


def test_unavailable_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wire = tmp_path / "wire"
    wire.write_text("#!/bin/sh\necho 'making a network namespace: Operation not permitted' >&2; exit 3\n")
    wire.chmod(0o755)
    monkeypatch.setattr(link, "build", lambda name: wire)
    with pytest.raises(LinkUnavailableError, match="namespace: Operation not permitted"), link.open(Link(1e9, 0)):
        pass


HOLDER = """
from bench.lab import link
with link.open(link.Link(1e9, 0.01)) as lab:
    print(lab.client.path.split("/")[2], flush=True)
    input()
"""


def test_killed_python_leaves_nothing(can_link: None) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as python:
        assert python.stdout is not None
        wire = os.pidfd_open(int(python.stdout.readline()))
        try:
            python.send_signal(signal.SIGKILL)
            # Readable when the emulator has ended, and with it its namespaces.
            assert select.select([wire], [], [], DEADLINE_S)[0]
        finally:
            os.close(wire)
