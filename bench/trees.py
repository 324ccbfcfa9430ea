"""Memory and time of what walks a tree, on many files, beside du.

python -m bench.trees --files 100000,1000000 --runs 3 [--dir /dev/shm]

The files are empty, a thousand in a directory; the bucket that sync --dry-run compares them with has an object
for each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import peers, process
from bench.servers import listing

RESULTS = Path(__file__).resolve().parent / "results" / "trees.json"
MIB = 1 << 20
TIMEOUT_S = 600.0


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.trees", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--files",
        type=lambda text: [*map(int, text.split(","))],
        default=[100_000, 1_000_000],
        help="how many, of several trees [100000,1000000]",
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where the files are made [/dev/shm]")
    options = parser.parse_args()
    found = {}
    for count in options.files:
        with tree(options.dir, count) as root, listing.serve(count) as url:
            found[str(count)] = _measure(root, url, options.runs)
        for name, row in found[str(count)].items():
            print(f"{count:>9,} {name:<14} {row['wall_s']:8.2f} s {row['peak_bytes'] / MIB:7.1f} MiB", flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0


@contextlib.contextmanager
def tree(directory: Path, count: int) -> Iterator[Path]:
    """A directory with so many empty files."""
    with tempfile.TemporaryDirectory(prefix="fastput-tree-", dir=directory) as name:
        root = Path(name, "root")
        for number in range(count):
            path = root / listing.path_of(number)
            if number % listing.EACH_DIRECTORY == 0:
                path.parent.mkdir(parents=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        yield root


def _measure(root: Path, url: str, runs: int) -> dict[str, dict[str, float]]:
    """Medians, of runs in turns; the first round warms up."""
    fastput = [sys.executable, "-m", "fastput"]
    commands = {
        "du -s": [shutil.which("du") or "du", "-s", str(root)],
        "survey": [*fastput, "survey", "--sample", "0", "--json", str(root)],
        "sync --dry-run": [*fastput, "sync", "--dry-run", "--json", "--size-only", str(root), "s3://bucket/p/",
                           "--endpoint-url", url],
        "sync, empty": [*fastput, "sync", "--dry-run", "--quiet", str(root), "s3://bucket/q/", "--endpoint-url", url],
    }  # fmt: skip
    rows: dict[str, list[process.Cost]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            cost = _cost(command)
            if number:
                rows[name].append(cost)
    return {
        name: {
            "wall_s": statistics.median(cost.wall_s for cost in costs),
            "cpu_s": statistics.median(cost.user_s + cost.sys_s for cost in costs),
            "peak_bytes": max(cost.max_rss_bytes for cost in costs),
        }
        for name, costs in rows.items()
    }


def _cost(command: Sequence[str]) -> process.Cost:
    with tempfile.TemporaryDirectory(prefix="fastput-trees-") as name:
        environment = peers.environment(Path(name), peers.Target("", "bucket", "key"))
        return process.cost_of(command, environment, Path(name, "run"), TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
