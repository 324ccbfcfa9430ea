"""`python -m bench.simulator WORLD`: one run as sparklines and figures."""

from __future__ import annotations

import argparse
import importlib

import numpy as np

from bench.simulator.baseline import GRID, best_fixed
from bench.simulator.client import Client
from bench.simulator.connections import Floats
from bench.simulator.measures import direction_changes, settling_s, steady_goodput, window_cv
from bench.simulator.simulation import run
from bench.simulator.trace import ClientTrace
from bench.simulator.world import World
from bench.simulator.worlds import WORLDS
from fastput.tuner.settings import Settings
from fastput.units import format_size, parse_size

_BARS = "▁▂▃▄▅▆▇█"
_MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description=__doc__)
    parser.add_argument("world", choices=sorted(WORLDS))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--window", type=int, help="a window that never changes; without one, all of a grid")
    how.add_argument("--tuner", metavar="MODULE:DECIDE[:STATE]", help="a decide, and what makes its first state")
    parser.add_argument("--start", type=int, default=Settings().window, help="the tuner's first window")
    parser.add_argument("--size", type=parse_size, help="to upload; without it, it never ends")
    parser.add_argument("--part-size", type=parse_size)
    parser.add_argument("--clients", type=int, default=1, help="all alike, a second apart")
    parser.add_argument("--seconds", type=float, default=30.0, help="of virtual time, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-tcp-info", action="store_true", help="the tuner sees confirmed parts alone")
    parser.add_argument("--table", action="store_true", help="every sample, too")
    arguments = parser.parse_args()
    world = WORLDS[arguments.world]
    if arguments.window is None and arguments.tuner is None:
        _print_grid(world, arguments)
        return
    clients = [_client(arguments, 1.0 * number) for number in range(arguments.clients)]
    trace = run(world, clients, arguments.seconds, arguments.seed)
    for client in trace.clients:
        _print_client(client)
        if arguments.table:
            _print_samples(client)
    print(f"queue    {_spark(trace.queue_bytes)} up to {format_size(int(trace.queue_bytes.max()))}")


def _client(arguments: argparse.Namespace, start_s: float) -> Client:
    first = Settings(arguments.window or arguments.start, arguments.part_size)
    if arguments.tuner is None:
        return Client(settings=first, size_bytes=arguments.size, start_s=start_s)
    module, decide, *state = arguments.tuner.split(":")
    names = importlib.import_module(module)
    return Client(
        getattr(names, decide),
        getattr(names, state[0])() if state else None,
        first,
        arguments.size,
        start_s,
        sees_tcp=not arguments.no_tcp_info,
    )


def _print_grid(world: World, arguments: argparse.Namespace) -> None:
    best = best_fixed(
        world, arguments.size, arguments.part_size, arguments.clients, GRID, arguments.seconds, arguments.seed
    )
    for window, goodput in best.grid:
        bar = "█" * round(40 * goodput / max(best.goodput, 1.0))
        print(f"{window:6} {goodput / _MB:8.1f} MB/s {bar}{' best' if window == best.window else ''}")


def _print_client(client: ClientTrace) -> None:
    end = "" if client.wall_s is None else f", done in {client.wall_s:.1f} s, the tail {client.tail_s or 0:.1f} s"
    later_s = client.start_s + 10
    print(
        f"steady {steady_goodput(client) / _MB:.1f} MB/s, settled in {settling_s(client):.1f} s; after 10 s the window "
        f"varies by {window_cv(client, later_s):.2f} and turns {direction_changes(client, later_s)} times{end}"
    )
    for name, values, unit in (
        ("goodput", client.goodput / _MB, "MB/s"),
        ("seen", client.seen / _MB, "MB/s"),
        ("window", client.window, ""),
        ("flight", client.in_flight, ""),
        ("rtt", np.nan_to_num(client.rtt_s) * 1e3, "ms"),
    ):
        print(f"{name:8} {_spark(values)} up to {values.max(initial=0):.4g} {unit}")


def _print_samples(client: ClientTrace) -> None:
    print("    s  MB/s  seen window flight  conns  rtt ms  busy  rwnd  sndb  lack")
    for i, sample in enumerate(client.samples):
        busy = sample.busy_s / max(sample.in_flight * sample.elapsed_s, 1e-9)
        share = 1 / max(sample.busy_s, 1e-9)
        print(
            f"{client.time_s[i]:5.1f} {client.goodput[i] / _MB:5.0f} {client.seen[i] / _MB:5.0f} "
            f"{client.window[i]:6.0f} {sample.in_flight:6} {sample.connections:6} {1e3 * (sample.rtt_s or 0):7.1f} "
            f"{busy:5.2f} {sample.receiver_limited_s * share:5.2f} {sample.buffer_limited_s * share:5.2f}  "
            f"{'tail' if sample.is_tail else sample.lack}"
        )


def _spark(values: Floats, width: int = 80) -> str:
    if not values.size:
        return ""
    columns = [float(part.mean()) for part in np.array_split(values, min(width, len(values)))]
    top = max(columns) or 1.0
    return "".join(_BARS[min(7, int(8 * max(value, 0.0) / top))] for value in columns)


if __name__ == "__main__":
    main()
