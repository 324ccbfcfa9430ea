"""A survey in this process: where the kernel says nothing, and over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.servers import sink
from fastput.client.measure.facts import Plan, Report
from fastput.client.measure.run import Survey
from fastput.client.measure.target import OpenServer
from fastput.errors import EndpointError, StoreError, UsageError
from fastput.limits import GIB
from fastput.model import ObjectUri, TlsOptions
from fastput.transport.both import BothTransport
from tests.support import certificates
from tests.support.measured import measured
from tests.support.tcp import serve_answer, serve_tls

RATE_BYTES_PER_S = 80e6


def survey(url: str, tls: TlsOptions = TlsOptions(), time_s: float = 8.0) -> Report:  # noqa: B008
    said: list[str] = []
    plan = Plan(GIB, time_s, GIB)
    report = Survey(OpenServer(url, tls), url, ObjectUri("bench", ""), plan, said.append).run()
    assert said
    return report


@pytest.fixture(scope="module")
def a_sink() -> Iterator[sink.Sink]:
    with sink.serve(sink.Store(rate_bytes_per_s=RATE_BYTES_PER_S)) as server:
        yield server


@measured
def test_whole_parts_where_the_kernel_says_nothing(a_sink: sink.Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BothTransport, "traffic", lambda self: None)
    report = survey(a_sink.endpoint_url)
    assert not any(level.is_from_kernel for level in report.windows)
    assert all(level.rtt_s is None for level in report.windows)
    # One stream has ten parts a second; more of them arrive in bursts that fill the buffers between.
    assert report.windows[0].goodput_bytes_per_s == pytest.approx(RATE_BYTES_PER_S, rel=0.3)


def test_over_tls(a_sink: sink.Sink, tmp_path: Path) -> None:
    bundle, certificate = certificates.make(tmp_path)
    place = urlsplit(a_sink.endpoint_url)
    with serve_tls((str(place.hostname), place.port or 0), str(certificate)) as server:
        report = survey(server.url, TlsOptions(str(bundle)))
        assert report.setup.tls_handshake_s is not None
        assert report.setup.tls_handshake_s > 0
        assert survey(server.url, TlsOptions(verify=False)).setup.tls_handshake_s is not None
        with pytest.raises(EndpointError, match="--ca-bundle"):
            survey(server.url)


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, "<Hello/>"), (404, ""), (200, "")])
def test_who_is_no_store(status: int, body: str) -> None:
    with serve_answer(status, body) as server, pytest.raises(StoreError, match=r"fastput bench --sink|404"):
        survey(server.url)


@pytest.mark.parametrize("url", ["http://", "http://a b@c:1", "http://h:1/?q", "http://[::1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="http://host:port"):
        OpenServer(url, TlsOptions())
