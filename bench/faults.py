"""Thousands of uploads under random faults: each ends with the right object or a clear error, in time, without leaks.

    python -m bench.faults --uploads 2000 --seed 1       (make faults)
    python -m bench.faults --uploads 2000 --seed 1 --only 417

The faults are those of bench/faults/*.toml, one at a time, several at once, or none; the store is the scripted server,
at times behind a TCP proxy that misbehaves too. Same seed, same uploads; --only does a single one of them again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import fastput
from bench import fault_cases, results
from bench.fault_plan import Planned, plan
from bench.fault_runs import Ended, Runner
from bench.leaks import Held
from bench.servers import scripted

RESULT = Path(__file__).parent / "results" / "faults.json"
MIB = 1 << 20


def main() -> int:
    options = parse_arguments()
    started_at = time.monotonic()
    work = plan(fault_cases.load(), options.uploads, options.seed)
    if options.only is not None:
        work = [planned for planned in work if planned.number == options.only]
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastput-faults-")))
        server = stack.enter_context(scripted.spawn(options.seed))
        os.environ |= server.env() | {"HOME": str(directory), "AWS_CONFIG_FILE": str(directory / "config")}
        # What a process makes once and keeps isn't a leak.
        with fastput.Client(state_dir=directory / "warm-up") as client:
            client.put(b"warm-up", "s3://warm-up/key")
        del client
        before = Held()
        runner = Runner(server, directory, work, options.watchdog)
        ended = list(run(runner, work, options.at_a_time))
        problems = [f"{each.planned}: {each.problem}" for each in ended if each.problem]
        problems += runner.close()
        leaked = before.wait_until_released()
    if leaked:
        problems.append(f"held at the end: {leaked.replace(str(directory), 'DIRECTORY')}")
    seconds = time.monotonic() - started_at
    print(table(ended))
    for problem in problems:
        print(f"PROBLEM {problem}")
    good = sum(not each.problem for each in ended)
    print(f"{good} of {len(ended)} uploads ended as they should, in {seconds:.0f} s; seed {options.seed}")
    if options.only is None:
        write_json(options, ended, problems, seconds)
    return bool(problems)


def run(runner: Runner, work: Sequence[Planned], at_a_time: int) -> Iterator[Ended]:
    """Several at a time, in order; says now and then how far it is."""
    left, lock = iter(work), threading.Lock()
    ended: list[Ended] = []

    def take() -> None:
        while True:
            with lock:
                planned = next(left, None)
            if planned is None:
                return
            done = runner.run(planned)
            with lock:
                ended.append(done)
                if done.problem:
                    say(f"{planned}: {done.problem}")
                if len(ended) % 100 == 0:
                    say(f"{len(ended)} of {len(work)}")

    threads = [threading.Thread(target=take, name=f"taker-{number}") for number in range(at_a_time)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield from sorted(ended, key=lambda done: done.planned.number)


@dataclasses.dataclass(slots=True)
class Row:
    """All uploads under one fault."""

    fault: str
    tries: int = 0
    outcomes: dict[str, int] = dataclasses.field(default_factory=dict)
    resumed: int = 0
    sent_bytes: int = 0
    resent_bytes: int = 0
    slowest_s: float = 0.0
    problems: int = 0


def rows(ended: Sequence[Ended]) -> list[Row]:
    """By fault, in the order of their names."""
    found: dict[str, Row] = {}
    for done in ended:
        row = found.setdefault(done.planned.title, Row(done.planned.title))
        row.tries += 1
        row.outcomes[done.outcome] = row.outcomes.get(done.outcome, 0) + 1
        row.resumed += done.is_resumed
        row.sent_bytes += done.planned.size_bytes
        row.resent_bytes += done.resent_bytes
        row.slowest_s = max(row.slowest_s, done.seconds)
        row.problems += bool(done.problem)
    return sorted(found.values(), key=lambda row: row.fault)


def table(ended: Sequence[Ended]) -> str:
    lines = [["fault", "tries", "outcomes", "resumed", "resent MiB", "slowest s"]]
    for row in rows(ended):
        outcomes = ", ".join(f"{name} {count}" for name, count in sorted(row.outcomes.items()))
        lines.append([row.fault, str(row.tries), outcomes, str(row.resumed), f"{row.resent_bytes / MIB:.1f}",
                      f"{row.slowest_s:.1f}"])  # fmt: skip
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def write_json(options: argparse.Namespace, ended: Sequence[Ended], problems: Sequence[str], seconds: float) -> None:
    document = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.faults --uploads {options.uploads} --seed {options.seed}",
        "machine": results.machine(),
        "versions": {name: version(name) for name in ("fastput", "awscrt", "botocore")},
        "uploads": len(ended),
        "at_a_time": options.at_a_time,
        "seconds": round(seconds, 1),
        "bytes": sum(done.planned.size_bytes for done in ended),
        "resent_bytes": sum(done.resent_bytes for done in ended),
        "problems": list(problems),
        "rows": [dataclasses.asdict(row) for row in rows(ended)],
    }
    path = options.json or RESULT
    path.write_text(json.dumps(document, indent=1) + "\n")
    say(f"written: {path}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uploads", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-a-time", type=int, default=16, help="uploads under way at once")
    parser.add_argument("--watchdog", type=float, default=120.0, help="seconds after which an upload counts as hanging")
    parser.add_argument("--only", type=int, help="the number of a single upload to do again")
    parser.add_argument("--json", type=Path, help="result file, instead of bench/results/faults.json")
    return parser.parse_args()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
