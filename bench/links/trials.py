"""What is tried on a link. Each trial returns plain data that goes into the results."""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.lab.run import Change, Command, Result, run_together
from bench.lab.scenarios import Scenario
from bench.links import figures

WINDOWS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 240)
FIRST_WINDOW = 16
PART_SIZES = ("5MiB", "16MiB")
DURATION_S = 30.0
LOOPBACK_BYTES = 8 << 30
BLOCK_BYTES = 1 << 20
PAIRS = 3
LOOPBACK_PAIRS = 7
# A setting that takes so much longer than the best isn't the best; a client that takes so much longer is slower.
HOPELESS = 1.3
# The climb goes on as long as it brings a percent in two steps.
BETTER = 0.99
FAR_SLOWER = 2.0
PATIENCE = 6
CHANGE_AT_S = 15.0
AFTER_CHANGE_S = 25.0
SECOND_AT_S = 6.0
TOGETHER_S = 25.0
IPERF_S = 25
FASTPUT = "fastput"
COMPARED = ("crt-native", "crt-native-100", "s5cmd", "rclone", "obstore", "aws")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a trial is made, and with which programs. directory: for its files."""

    scenario: Scenario
    directory: Path
    bin_dirs: Sequence[Path]
    say: Callable[[str], None]

    @property
    def is_loopback(self) -> bool:
        return self.scenario.link is None and self.scenario.store.rate_bytes_per_s is None

    @property
    def object_bytes(self) -> int:
        return LOOPBACK_BYTES if self.is_loopback else self.scenario.bytes_for(DURATION_S)

    @property
    def longest_s(self) -> float:
        return PATIENCE * DURATION_S

    def upload(self, arguments: Sequence[str] = (), timeout_s: float | None = None, name: str = FASTPUT) -> Record:
        """One upload by one client, alone, from a cold start."""
        result = self.together([(name, arguments, 0.0, self.object_bytes)], (), timeout_s)[0]
        record = _record(result)
        self.say(f"{self.scenario.name}: {name} {' '.join(arguments)} {result.error or f'{result.wall_s:.2f} s'}")
        return record

    def together(
        self,
        uploads: Sequence[tuple[str, Sequence[str], float, int]],
        changes: Sequence[Change] = (),
        timeout_s: float | None = None,
        others: Sequence[Command] = (),
    ) -> list[Result]:
        """Uploads of (client, arguments, beginning, bytes) that meet."""
        with contextlib.ExitStack() as stack:
            commands = [stack.enter_context(self._command(*upload)) for upload in uploads]
            return run_together(self.scenario, [*commands, *others], changes, timeout_s or self.longest_s)

    @contextlib.contextmanager
    def _command(self, name: str, arguments: Sequence[str], start_at_s: float, size_bytes: int) -> Iterator[Command]:
        found = peers.find(peers.BY_NAME[name], self.bin_dirs, arguments)
        if found is None:
            raise FileNotFoundError(f"{name} is not installed: give --bin")
        with tempfile.TemporaryDirectory(prefix="fastput-links-") as home:
            file = self._file(size_bytes)
            target = peers.Target("{url}", "bucket", "key")
            # Nothing is remembered from one run to the next: each begins cold.
            environment = peers.environment(Path(home), target)
            yield Command(found.command(file, target), environment, start_at_s)

    def _file(self, size_bytes: int) -> Path:
        """A file in the page cache, of holes: the sink doesn't look at what it drops."""
        file = self.directory / f"source-{size_bytes}"
        if not file.exists():
            with file.open("wb") as out:
                out.truncate(size_bytes)
            block = bytearray(BLOCK_BYTES)
            with file.open("rb", buffering=0) as source:
                while source.readinto(block):
                    pass
        return file


def grid(bench: Bench) -> Record:
    """Fixed windows by hill climbing, then other part sizes at the best one."""
    walls_s: dict[tuple[str, ...], float | None] = {}

    def wall_s(arguments: tuple[str, ...]) -> float:
        best_s = min((wall for wall in walls_s.values() if wall), default=None)
        record = bench.upload(arguments, best_s * HOPELESS if best_s else None)
        walls_s[arguments] = None if record["error"] else record["wall_s"]
        return walls_s[arguments] or float("inf")

    middle = WINDOWS.index(FIRST_WINDOW)
    first_s = wall_s(("--concurrency", str(FIRST_WINDOW)))
    for direction in (WINDOWS[middle + 1 :], WINDOWS[:middle][::-1]):
        best_s, worse = first_s, 0
        for window in direction:
            this_s = wall_s(("--concurrency", str(window)))
            worse = 0 if this_s < BETTER * best_s else worse + 1
            best_s = min(best_s, this_s)
            if worse == 2:
                break
    best = min(walls_s, key=lambda each: walls_s[each] or float("inf"))
    for part_size in PART_SIZES:
        wall_s((*best, "--part-size", part_size))
    best = min(walls_s, key=lambda each: walls_s[each] or float("inf"))
    return {"best": best, "walls_s": {" ".join(each): wall for each, wall in walls_s.items()}}


def pairs(bench: Bench, best: Sequence[str]) -> Record:
    """With no flags, and as the grid's best, in turns."""
    rounds = []
    for number in range(LOOPBACK_PAIRS if bench.is_loopback else PAIRS):
        order: list[Sequence[str]] = [(), best]
        records = [bench.upload(arguments) for arguments in (order if number % 2 == 0 else order[::-1])]
        rounds.append(records if number % 2 == 0 else records[::-1])
    ratios = [fixed["wall_s"] / free["wall_s"] for free, fixed in rounds]
    return {
        "of_best_fixed": statistics.median(ratios),
        "ratios": ratios,
        "steady_of_capacity": _shares([free["steady_bytes_per_s"] for free, _ in rounds], bench),
        "settled_s": [free["settled_s"] for free, _ in rounds],
        "rounds": rounds,
    }


def others(bench: Bench, ours_s: float, names: Sequence[str] = COMPARED) -> Record:
    """Other clients with their defaults. One that is far slower isn't waited for: its ratio is at least that."""
    found = {}
    for name in names:
        record = bench.upload(timeout_s=FAR_SLOWER * ours_s, name=name)
        is_late = "not done" in record["error"]
        found[name] = record | {"over_ours": FAR_SLOWER if is_late else record["wall_s"] / ours_s, "is_least": is_late}
    return found


def steps(bench: Bench) -> Record:
    """The capacity changes while an upload runs."""
    found = {}
    for factor in (0.5, 2.0):
        to = (bench.scenario.link or bench.scenario.store).times(factor)
        rate = bench.scenario.capacity_bytes_per_s
        size_bytes = int(rate * (CHANGE_AT_S + factor * AFTER_CHANGE_S))
        result = bench.together([(FASTPUT, (), 0.0, size_bytes)], [Change(CHANGE_AT_S, to)])[0]
        steady = figures.steady_goodput(result.samples, CHANGE_AT_S + figures.SETTLED_BY_S)
        settled_s = figures.settled_s(result.samples, steady, CHANGE_AT_S)
        share = steady / rate / factor
        found[str(factor)] = {"steady_of_capacity": share, "settled_s": settled_s, "error": result.error}
        bench.say(f"{bench.scenario.name}: capacity x{factor:g}: {found[str(factor)]}")
    return found


def sharing(bench: Bench) -> Record:
    """Two uploads that begin one after the other."""
    size_bytes = bench.scenario.bytes_for(TOGETHER_S)
    first, second = bench.together([(FASTPUT, (), 0.0, size_bytes), (FASTPUT, (), SECOND_AT_S, size_bytes)])
    from_s = SECOND_AT_S + figures.SETTLED_BY_S
    until_s = min(figures.arrived_s(each.samples, figures.STEADY_SHARE) for each in (first, second))
    shares = [figures.goodput(each.samples, from_s, until_s) for each in (first, second)]
    found = {
        "jain": figures.jain(shares),
        "sum_of_capacity": sum(shares) / bench.scenario.capacity_bytes_per_s,
        "shares_bytes_per_s": shares,
        "seen_s": until_s - from_s,
        "errors": [first.error, second.error],
    }
    bench.say(f"{bench.scenario.name}: two: {found}")
    return found


def beside_iperf(bench: Bench) -> Record:
    """One stream of iperf3 on the same link."""
    here = {"PATH": os.environ.get("PATH", os.defpath)}
    server = Command(["iperf3", "-s", "-1"], here, is_at_server=True)
    client = Command(["iperf3", "-c", "{host}", "-f", "m", "-t", str(IPERF_S)], here, SECOND_AT_S)
    size_bytes = bench.scenario.bytes_for(SECOND_AT_S + IPERF_S)
    upload, _, stream = bench.together([(FASTPUT, (), 0.0, size_bytes)], others=[server, client])
    mbit = re.search(r"([\d.]+) Mbits/sec +receiver", stream.output)
    rate = bench.scenario.capacity_bytes_per_s
    found = {
        "stream_of_capacity": float(mbit[1]) * 1e6 / 8 / rate if mbit else None,
        "upload_of_capacity": figures.goodput(upload.samples, SECOND_AT_S + 3, SECOND_AT_S + IPERF_S) / rate,
        "alone_of_capacity": figures.goodput(upload.samples, 3, SECOND_AT_S) / rate,
    }
    bench.say(f"{bench.scenario.name}: beside iperf3: {json.dumps(found)}")
    return found


def _record(result: Result) -> Record:
    steady = figures.steady_goodput(result.samples) if not result.error else 0.0
    return {
        "wall_s": result.wall_s,
        "error": result.error,
        "steady_bytes_per_s": steady,
        "settled_s": figures.settled_s(result.samples, steady) if steady else None,
        "most_connections": result.most_connections,
        "cpu_s": result.cost.user_s + result.cost.sys_s if result.cost else None,
    }


def _shares(rates: Sequence[float], bench: Bench) -> list[float] | None:
    return None if bench.is_loopback else [rate / bench.scenario.capacity_bytes_per_s for rate in rates]
