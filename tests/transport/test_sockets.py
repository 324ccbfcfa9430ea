"""Connections of this process, as the kernel counts them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from fastput.transport.sockets import acknowledged_bytes


def test_what_the_other_end_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as other:
            client.sendall(bytes(100_000))
            left = 100_000
            while left:
                left -= len(other.recv(left))
            assert acknowledged_bytes(port) >= 100_000
            assert acknowledged_bytes(client.getsockname()[1]) < 100


def test_a_number_that_becomes_a_file_meanwhile_is_not_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "file", "wb"):
        monkeypatch.setattr(os, "readlink", lambda path: "socket:[1]")
        before = len(os.listdir("/proc/self/fd"))
        acknowledged_bytes(1)
        assert len(os.listdir("/proc/self/fd")) == before
