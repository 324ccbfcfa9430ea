"""What holds an upload back is named while it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastput
from bench.servers import sink
from fastput.cli.progress import Meter, sending
from tests.support.content import MIB


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.mark.parametrize(("limit_rate", "name"), [(None, "store"), ("80Mbps", "rate")])
def test_the_limit_is_in_the_display(limit_rate: str | None, name: str, tmp_path: Path) -> None:
    texts: list[str] = []
    with sink.serve(sink.Store(rate_bytes_per_s=20e6)) as server:
        options = {"endpoint_url": server.endpoint_url, "region": "us-east-1", "state_dir": tmp_path}
        with fastput.Client(**options, limit_rate=limit_rate) as client:
            meter = Meter(lambda: sending(client, None))
            client.put(bytes(50 * MIB), "s3://bucket/key", on_progress=lambda _: texts.append(meter.read()))
    assert any(f"parts in flight (limit: {name})" in text for text in texts), texts
