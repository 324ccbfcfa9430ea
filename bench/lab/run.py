"""Runs commands in a scenario, and says how they fared from one tenth of a second to the next.

result = run(BY_NAME["1g-100ms"], Command(["fastput", "put", file, "s3://b/k", "--endpoint-url", "{url}"], environment))
results = run_together(scenario, [first, second], [Change(10, scenario.store.times(0.5))])
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process
from bench.lab import link, series
from bench.lab.link import Count, Lab, Link
from bench.lab.namespace import HERE
from bench.lab.scenarios import Scenario
from bench.lab.series import Sample
from bench.process import Cost, Running
from bench.servers import sink
from bench.servers.sink import Sink, Stats, Store

DEFAULT_TIMEOUT_S = 170.0
OUTPUT_TAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Command:
    """A program and its whole environment. {url} in either stands for the endpoint, {host} for its address."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    start_at_s: float = 0.0
    """Since the beginning of the run."""
    is_at_server: bool = False
    """It runs on the server's side of the link; it should end by itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the link or the store is like from then on."""

    at_s: float
    """Since the beginning of the run."""
    to: Link | Store


@dataclass(frozen=True, slots=True)
class Result:
    """How a command fared."""

    scenario: str
    arguments: Sequence[str]
    error: str
    """Empty if it ended with status 0."""
    output: str
    """The end of it."""
    start_at_s: float
    """Since the beginning of the run."""
    wall_s: float
    cost: Cost | None
    """None if it was killed."""
    body_bytes: int
    """All that came from it to the sink, even what was sent twice."""
    samples: tuple[Sample, ...]
    """Goodput and connections while it ran."""
    stats: Stats
    """What the sink saw of all commands."""
    counts: tuple[Count, Count] | None
    """What the link saw of all commands, from the client to the server and back."""

    @property
    def goodput_bytes_per_s(self) -> float:
        """Of the whole run, with its beginning and its end."""
        return self.body_bytes / self.wall_s

    @property
    def most_connections(self) -> int:
        return max((sample.connections for sample in self.samples), default=0)

    def as_json(self) -> dict[str, Any]:
        derived = {"goodput_bytes_per_s": self.goodput_bytes_per_s, "most_connections": self.most_connections}
        return dataclasses.asdict(self) | derived


def run(
    scenario: Scenario, command: Command, changes: Sequence[Change] = (), timeout_s: float = DEFAULT_TIMEOUT_S
) -> Result:
    """One command, alone; see run_together."""
    return run_together(scenario, [command], changes, timeout_s)[0]


def run_together(
    scenario: Scenario,
    commands: Sequence[Command],
    changes: Sequence[Change] = (),
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> list[Result]:
    """Runs each command from its time on, on the client's side of the scenario and with a port of the sink for itself.

    Args:
        changes: those that come after all commands have ended are left out.
        timeout_s: commands that have not ended by then are killed.

    Raises:
        LinkUnavailableError: the scenario has a link, and none can be made here.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastput-lab-")))
        lab = stack.enter_context(link.open(scenario.link)) if scenario.link else None
        record = directory / "series"
        host, server_side, client_side = (
            (lab.server_address, lab.server, lab.client) if lab else (sink.HOST, HERE, HERE)
        )
        server = stack.enter_context(
            sink.serve(scenario.store, doors=len(commands), series=record, host=host, namespace=server_side)
        )
        running: dict[int, Running] = {}

        def begin(door: int) -> None:
            own_directory = directory / str(door)
            own_directory.mkdir()
            arguments, environment = _filled(commands[door], server.endpoint_urls[door], host)
            side = server_side if commands[door].is_at_server else client_side
            running[door] = stack.enter_context(process.start(arguments, environment, own_directory, side))

        agenda = [(each.start_at_s, functools.partial(begin, door)) for door, each in enumerate(commands)]
        agenda += [(each.at_s, functools.partial(_change, each.to, lab, server)) for each in changes]
        begin_s = time.time()
        _follow(agenda, running, len(commands), begin_s, timeout_s)
        common = _Common(scenario.name, begin_s, timeout_s, server.stats(), lab.count() if lab else None)
        return [
            _result(command, running[door], common, common.stats.door_bytes[door], series.read(record, door))
            for door, command in enumerate(commands)
        ]


@dataclass(frozen=True, slots=True)
class _Common:
    """What the results of commands that ran together share."""

    scenario: str
    begin_s: float
    timeout_s: float
    stats: Stats
    counts: tuple[Count, Count] | None


def _filled(command: Command, url: str, host: str) -> tuple[list[str], dict[str, str]]:
    def fill(text: str) -> str:
        return text.replace("{url}", url).replace("{host}", host)

    environment = {name: fill(value) for name, value in command.environment.items()}
    program, *arguments = map(fill, command.arguments)
    path = shutil.which(program, path=environment.get("PATH"))
    if path is None:
        raise FileNotFoundError(f"{program} is not in the PATH of the command's environment")
    return [path, *arguments], environment


def _change(to: Link | Store, lab: Lab | None, server: Sink) -> None:
    if isinstance(to, Store):
        server.shape(to)
    elif lab:
        lab.change(to)
    else:
        raise ValueError(f"a scenario on loopback has no link that could become {to}")


def _follow(
    agenda: Sequence[tuple[float, Callable[[], None]]],
    running: Mapping[int, Running],
    commands: int,
    begin_s: float,
    timeout_s: float,
) -> None:
    """Does what is due at its time, until all commands have ended or are out of time."""
    for at_s, act in sorted(agenda, key=lambda entry: entry[0]):
        while (left_s := begin_s + at_s - time.time()) > 0:
            busy = [each for each in running.values() if each.process.poll() is None]
            if busy:
                busy[0].ended_within(left_s)
            elif len(running) < commands:
                time.sleep(left_s)
            else:
                return
        act()
    for each in running.values():
        each.ended_within(begin_s + timeout_s - time.time())


def _result(
    command: Command, running: Running, common: _Common, body_bytes: int, lines: Sequence[series.Line]
) -> Result:
    status, cost = running.process.poll(), running.cost()
    error = f"status {status}" if status else ""
    if status is None:
        error = f"not done after {common.timeout_s:g} s"
    start_at_s = cost.start_s - common.begin_s if cost else command.start_at_s
    wall_s = cost.wall_s if cost else common.timeout_s - start_at_s
    samples = series.samples(lines, common.begin_s)
    return Result(
        common.scenario,
        command.arguments,
        error,
        running.output_tail(OUTPUT_TAIL_CHARACTERS),
        start_at_s,
        wall_s,
        cost,
        body_bytes,
        tuple(each for each in samples if start_at_s < each.at_s <= start_at_s + wall_s + series.INTERVAL_S),
        common.stats,
        common.counts,
    )
