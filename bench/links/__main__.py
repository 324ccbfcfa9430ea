"""`make bench-links`: the autotuner beside fixed settings and other clients, on links and stores with known limits.

python -m bench.links [--links 1g-100ms,knee-30] [--trials grid,pairs,others,steps,sharing,iperf] [--table]

All of it takes about two hours on an idle machine. What was found goes into bench/results/links.json, a link at a time;
trials that aren't asked for stay as they were.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import peers, results
from bench.lab.link import LinkUnavailableError
from bench.lab.scenarios import BY_NAME, Scenario
from bench.links import trials
from bench.links.trials import Bench, Record

RESULTS = Path(__file__).resolve().parents[1] / "results" / "links.json"
LOOPBACK = Scenario("loopback")
TRIALS = ("grid", "pairs", "others", "steps", "sharing", "iperf")


def main() -> int:
    """Returns the exit status: 2 if there can be no links here."""
    options = _parse()
    document = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"links": {}}
    if not options.table:
        document["machine"] = results.machine()
        bin_dirs = [*options.bin, *peers.default_bin_dirs()]
        for name in options.links:
            found = document["links"].setdefault(name, {})
            with tempfile.TemporaryDirectory(prefix="fastput-links-", dir=options.dir) as directory:
                bench = Bench(BY_NAME.get(name, LOOPBACK), Path(directory), bin_dirs, _say)
                for trial in options.trials:
                    try:
                        found |= _try(trial, bench, found)
                    except (LinkUnavailableError, FileNotFoundError) as error:
                        _say(f"{name}: {error}")
                        return 2
                    document["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(_table(document["links"]))
    return 0


def _try(trial: str, bench: Bench, found: Record) -> Record:
    """The trial's entry, if it makes sense there."""
    has_link = bench.scenario.link is not None
    match trial:
        case "grid":
            return {trial: trials.grid(bench)}
        case "pairs":
            return {trial: trials.pairs(bench, found["grid"]["best"])}
        case "others" if not bench.is_loopback:
            ours_s = sorted(free["wall_s"] for free, _ in found["pairs"]["rounds"])
            return {trial: trials.others(bench, ours_s[len(ours_s) // 2])}
        case "steps" if has_link:
            return {trial: trials.steps(bench)}
        case "sharing" if not bench.is_loopback:
            return {trial: trials.sharing(bench)}
        case "iperf" if has_link:
            return {trial: trials.beside_iperf(bench)}
    return {}


def _table(links: dict[str, Any]) -> str:
    titles = ("link", "best fixed", "of it", "steady", "settled s", "halved s", "doubled s", "Jain", "sum")
    lines = [[*titles, *trials.COMPARED]]
    for name, found in links.items():
        pairs, steps, sharing = found.get("pairs", {}), found.get("steps", {}), found.get("sharing", {})
        lines.append(
            [
                name,
                " ".join(found.get("grid", {}).get("best", ["-"])).replace("--", ""),
                _number(pairs.get("of_best_fixed"), 3),
                _number(_middle(pairs.get("steady_of_capacity")), 3),
                _number(max(pairs["settled_s"], key=lambda each: each or math.inf) if pairs else None, 1),
                *(_number(steps.get(factor, {}).get("settled_s"), 1) for factor in ("0.5", "2.0")),
                _number(sharing.get("jain"), 3),
                _number(sharing.get("sum_of_capacity"), 3),
                *(_number(found.get("others", {}).get(peer, {}).get("over_ours"), 2) for peer in trials.COMPARED),
            ]
        )
    lines.append(["geometric mean", *[""] * (len(titles) - 1), *(_mean(links, peer) for peer in trials.COMPARED)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def _mean(links: dict[str, Any], peer: str) -> str:
    ratios = [found["others"][peer]["over_ours"] for found in links.values() if peer in found.get("others", {})]
    return _number(math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None, 2)


def _middle(values: list[float] | None) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.links", description=__doc__.splitlines()[0])
    parser.add_argument("--links", type=lambda text: text.split(","), default=[*BY_NAME, LOOPBACK.name])
    parser.add_argument("--trials", type=lambda text: text.split(","), default=list(TRIALS))
    parser.add_argument("--bin", type=Path, action="append", default=[], help="where else to find clients")
    parser.add_argument("--dir", type=Path, help="scratch directory: 18 GB of holes")
    parser.add_argument("--table", action="store_true", help="only print what is kept")
    options = parser.parse_args()
    unknown = [*({*options.links} - {*BY_NAME, LOOPBACK.name}), *({*options.trials} - {*TRIALS})]
    if unknown:
        parser.error(f"{', '.join(unknown)}: links are {', '.join(BY_NAME)}, loopback; trials {', '.join(TRIALS)}")
    return options


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
