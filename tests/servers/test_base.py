"""Servers that find their port taken, that end at once, and that never come up."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers import base, rclone
from bench.servers.base import HOST, Launch, ServerError
from tests.servers.lifetime import is_gone, needs_proc


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_tries_another_port_if_one_is_taken(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    ports = iter([[taken], base.free_ports(1)])
    monkeypatch.setattr(base, "free_ports", lambda count: next(ports))
    with rclone.serve() as server:
        assert server.endpoint_url != f"http://{HOST}:{taken}"
        assert server.client().list_buckets()["Buckets"] == []


def test_gives_up_if_all_are_taken(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr(base, "START_ATTEMPTS", 1)
    monkeypatch.setattr(base, "free_ports", lambda count: [taken])
    with pytest.raises(ServerError, match=r"rclone ended with status 1: .*address already in use"), rclone.serve():
        pass


def test_says_why_it_ended() -> None:
    script = "echo starting; echo 'fatal: no disk' >&2; echo later; exit 3"
    server = base.serve("this", lambda directory: Launch(script, base.free_ports(1)[0]), fatal="^fatal")
    with pytest.raises(ServerError, match=r"^this ended with status 3: fatal: no disk$"), server:
        pass


@needs_proc
def test_leaves_nothing_of_one_that_never_comes_up(tmp_path: Path) -> None:
    begun: list[Path] = []

    def launch(directory: Path) -> Launch:
        begun.append(directory)
        extra = tmp_path / "extra"
        script = f"touch {extra}; sleep 60 & echo $$ >{tmp_path}/pid; exec sleep 60"
        return Launch(script, base.free_ports(1)[0], files=[str(extra)])

    before_s = time.monotonic()
    with pytest.raises(ServerError, match="this was not ready in time"), base.serve("this", launch, "x", 0.5):
        pass
    assert time.monotonic() - before_s < 20
    assert is_gone(int((tmp_path / "pid").read_text()), begun[0])
    assert not (tmp_path / "extra").exists()


def test_two_get_other_ports() -> None:
    assert len(set(base.free_ports(10))) == 10
