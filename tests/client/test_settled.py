"""A transfer begins with the window that the one before settled on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import fastput
from bench.servers import sink
from fastput.state import profiles
from tests.support.content import MIB

NAME = "{} window"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def traced_windows(path: Path) -> list[int]:
    return [json.loads(line)["decided"]["window"] for line in path.read_text().splitlines()]


def test_it_is_kept_for_the_endpoint(tmp_path: Path) -> None:
    with sink.serve(sink.Store(rate_bytes_per_s=20e6)) as server:
        options = {"endpoint_url": server.endpoint_url, "region": "us-east-1", "state_dir": tmp_path}
        with fastput.Client(**options) as client:
            client.put(bytes(100 * MIB), "s3://bucket/key")
        kept = profiles.load(tmp_path, NAME.format(server.endpoint_url), time.time(), 60)
        assert kept is not None
        with fastput.Client(**options, trace=tmp_path / "trace") as client:
            client.put(bytes(40 * MIB), "s3://bucket/key")
        assert kept["window"] in traced_windows(tmp_path / "trace")[:10]


def test_it_is_used(tmp_path: Path) -> None:
    with sink.serve(sink.Store(rate_bytes_per_s=20e6)) as server:
        found = {"window": 37, "goodput_bytes_per_s": 20e6}
        profiles.save(tmp_path, NAME.format(server.endpoint_url), found, time.time())
        options = {"endpoint_url": server.endpoint_url, "region": "us-east-1", "state_dir": tmp_path}
        with fastput.Client(**options, trace=tmp_path / "trace") as client:
            client.put(bytes(20 * MIB), "s3://bucket/key")
        assert 37 in traced_windows(tmp_path / "trace")


@pytest.mark.parametrize("kept", [{"window": -3, "goodput_bytes_per_s": 1.0}, {}, {"window": "many"}])
def test_nonsense_is_forgotten(tmp_path: Path, kept: dict[str, object]) -> None:
    with sink.serve() as server:
        profiles.save(tmp_path, NAME.format(server.endpoint_url), kept, time.time())
        options = {"endpoint_url": server.endpoint_url, "region": "us-east-1", "state_dir": tmp_path}
        with fastput.Client(**options) as client:
            assert client.put(bytes(20 * MIB), "s3://bucket/key").size_bytes == 20 * MIB


def test_a_pinned_window_neither_uses_nor_keeps_it(tmp_path: Path) -> None:
    with sink.serve(sink.Store(rate_bytes_per_s=20e6)) as server:
        options = {"endpoint_url": server.endpoint_url, "region": "us-east-1", "state_dir": tmp_path}
        with fastput.Client(**options, concurrency=5, trace=tmp_path / "trace") as client:
            client.put(bytes(40 * MIB), "s3://bucket/key")
        assert set(traced_windows(tmp_path / "trace")) == {5}
        assert profiles.load(tmp_path, NAME.format(server.endpoint_url), time.time(), 60) is None
