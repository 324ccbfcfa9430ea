"""How near --limit-rate comes to what was asked: python -m bench.rates

Whole processes; what the sink gets from its first byte to its last. Over TLS and with small objects too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import peers, process
from bench.servers import sink, tls

SECONDS = 10.0
SMALL_BYTES = 100_000
SCRIPT = Path(__file__).resolve().parent / "scripts" / "fastput_small.py"


@dataclass(frozen=True, slots=True)
class Case:
    """mbps: asked; in megabits a second."""

    mbps: float
    is_small: bool = False
    has_tls: bool = False

    def __str__(self) -> str:
        extra = " small objects" if self.is_small else " TLS" if self.has_tls else ""
        return f"{self.mbps:g} Mbps{extra}"


CASES = (
    *(Case(mbps) for mbps in (10, 40, 100, 400, 1000, 4000)),
    *(Case(mbps, has_tls=True) for mbps in (100, 1000)),
    *(Case(mbps, is_small=True) for mbps in (40, 400)),
)


def measure(case: Case) -> float:
    """Megabits of objects a second."""
    size_bytes = int(case.mbps * 1e6 / 8 * SECONDS)
    with tempfile.TemporaryDirectory(prefix="fastput-rates-") as directory, sink.serve() as server:
        home = Path(directory)
        file = home / "source.bin"
        with file.open("wb") as out:
            out.truncate(size_bytes)
        if case.has_tls:
            with tls.serve(server.ports[0]) as proxy:
                _run(case, file, peers.Target(proxy.endpoint_url, "bucket", "key", proxy.ca_bundle), home)
                stats = server.stats()
        else:
            _run(case, file, peers.Target(server.endpoint_url, "bucket", "key"), home)
            stats = server.stats()
    return stats.object_bytes * 8 / 1e6 / (stats.last_body_s - stats.first_body_s)


def _run(case: Case, file: Path, target: peers.Target, home: Path) -> None:
    limit = f"{case.mbps:g}Mbps"
    arguments: Sequence[str]
    if case.is_small:
        count = file.stat().st_size // SMALL_BYTES
        arguments = [sys.executable, str(SCRIPT), target.url, limit, str(count), str(SMALL_BYTES)]
    else:
        found = peers.find(peers.BY_NAME["fastput"], peers.default_bin_dirs(), ["--limit-rate", limit])
        assert found is not None
        arguments = found.command(file, target)
    environment = peers.environment(home, target) | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    run = home / "run"
    run.mkdir()
    with process.start(arguments, environment, run) as running:
        if not running.ended_within(6 * SECONDS) or running.process.returncode:
            raise RuntimeError(f"{case}: {running.output_tail(800)}")


def main() -> int:
    """Returns the exit status."""
    print(f"{'asked':<24} {'got, Mbps':>10} {'off':>7}")
    for case in CASES:
        got = measure(case)
        print(f"{case!s:<24} {got:10.2f} {got / case.mbps - 1:+7.2%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
