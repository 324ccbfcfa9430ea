"""Pictures: that they are some, of what the trace says. Their looks were looked at."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.servers import sink
from fastput.client.measure.plot import bands, goodput_mb_per_s, read_trace
from fastput.errors import FastputError, SourceNotFound, UsageError
from tests.support.cli import Cli, environment
from tests.support.content import content

MIB = 1 << 20


def row(at_s: float, moved_bytes: int | None = 1_000_000, limit: str = "link", **more: Any) -> dict[str, Any]:
    return {
        "at_s": at_s, "elapsed_s": 0.1, "goodput_bytes": moved_bytes, "confirmed_bytes": 500_000, "in_flight": 3,
        "window": 8, "rtt_s": 0.02, "min_rtt_s": 0.01, "decided": {"window": 8, "phase": "hold", "limit": limit},
    } | more  # fmt: skip


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [row(round(0.1 * (i + 1), 4), **more) for i in range(count)]


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def expect_png(path: Path, least_bytes: int = 20_000) -> None:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert 800 <= width <= 3000
    assert 600 <= height <= 3000
    assert least_bytes < len(data) < 2 * MIB


def test_goodput_is_that_of_the_second_before() -> None:
    lines = [*rows(20), row(2.1, 11_000_000)]
    rates = goodput_mb_per_s(lines)
    assert rates[0] == pytest.approx(10.0)
    assert rates[19] == pytest.approx(10.0)
    assert rates[20] == pytest.approx((9 * 1.0 + 11.0) / 1.0)


def test_where_the_kernel_says_nothing_parts_count() -> None:
    assert goodput_mb_per_s(rows(5, moved_bytes=None)) == pytest.approx([5.0] * 5)


def test_bands_join_what_is_alike() -> None:
    limits = ["window", "window", "link", "link", "store", "link"]
    lines = [row(0.1 * (i + 1), limit=limit) for i, limit in enumerate(limits)]
    found = [(round(begin_s, 3), round(end_s, 3), limit) for begin_s, end_s, limit in bands(lines)]
    assert found == [(0.0, 0.2, "window"), (0.2, 0.4, "link"), (0.4, 0.5, "store"), (0.5, 0.6, "link")]


def test_the_last_line_of_a_trace_may_be_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path / "t", rows(3))
    path.write_text(path.read_text() + '{"at_s": 0.')
    assert len(read_trace(str(path))) == 3


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", UsageError, "0 lines"),
        (json.dumps(row(0.1)), UsageError, "1 lines"),
        ("no json\n" + json.dumps(row(0.1)), UsageError, "line 1 is no JSON"),
        ('{"at_s": 1}\n' * 3, UsageError, "line 1 has no elapsed_s"),
        ("[1]\n[2]\n", UsageError, "line 1 has no at_s"),
        (None, SourceNotFound, "no such file"),
    ],
)
def test_what_is_no_trace(tmp_path: Path, text: str | None, error: type[FastputError], words: str) -> None:
    path = tmp_path / "trace"
    if text is not None:
        path.write_text(text)
    with pytest.raises(error, match=words):
        read_trace(str(path))


def test_a_trace_of_put_is_drawn(tmp_path: Path) -> None:
    source, trace, out = tmp_path / "file", tmp_path / "trace.jsonl", tmp_path / "out.png"
    source.write_bytes(content(30 * MIB))
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
    with sink.serve(sink.Store(rate_bytes_per_s=30e6)) as server:
        cli = Cli(environment(**keys, AWS_ENDPOINT_URL=server.endpoint_url))
        done = cli("put", "--no-progress", "--no-resume", "--part-size", "5MiB", "--trace", trace, source, "s3://bucket/k")
    assert done.status == 0, done
    done = cli("bench", "plot", trace, out)
    assert (done.status, done.err) == (0, ""), done
    expect_png(out)


@pytest.mark.parametrize("missing", ["rtt_s", "decided", "goodput_bytes"])
def test_a_trace_that_knows_less_is_drawn_too(tmp_path: Path, missing: str) -> None:
    lines = [{name: value for name, value in line.items() if name != missing} for line in rows(5)]
    trace, out = write(tmp_path / "$t$", lines), tmp_path / "out.png"
    done = Cli(environment())("bench", "plot", trace, out)
    assert (done.status, done.err) == (0, ""), done
    expect_png(out)


def test_a_measurement_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "link.png"
    with sink.serve() as server:
        done = Cli(environment())("bench", server.endpoint_url, "--budget", "200MB", "--time", "3s", "--plot", out)
    assert (done.status, done.err) == (0, ""), done
    expect_png(out)


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path) -> None:
    hidden = tmp_path / "matplotlib.py"
    hidden.write_text("raise ImportError('hidden')\n")
    trace = write(tmp_path / "t", rows(3))
    cli = Cli(environment(PYTHONPATH=":".join([str(tmp_path), *sys.path])))
    cli("bench", "plot", trace, tmp_path / "o.png").expect_error(2, "pip install 'fastput[plot]'")
    cli("bench", "s3://bucket/x", "--plot", tmp_path / "o.png").expect_error(2, "pip install 'fastput[plot]'")
