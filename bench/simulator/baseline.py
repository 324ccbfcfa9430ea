"""The best that a window that never changes can do: what a tuner is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bench.simulator.client import Client
from bench.simulator.measures import steady_goodput
from bench.simulator.simulation import run
from bench.simulator.world import World

# Coarse and geometric: steps of about 1.4.
GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
# Of several that are as good, the smallest: it has the shortest tail.
_AS_GOOD = 0.01


@dataclass(frozen=True, slots=True)
class Best:
    """
    Attributes:
        goodput: bytes a second: of the whole upload, or in the steady state of one that never ends.
        grid: the goodput of each window that was tried.
    """

    window: int
    goodput: float
    grid: tuple[tuple[int, float], ...]

    def efficiency(self, goodput: float) -> float:
        """A tuner's goodput beside it: 1 is as good."""
        return goodput / self.goodput


@cache
def best_fixed(
    world: World,
    size_bytes: float | None = None,
    part_bytes: int | None = None,
    clients: int = 1,
    grid: tuple[int, ...] = GRID,
    duration_s: float = 20.0,
    seed: int = 1,
) -> Best:
    """The best window of the grid. Computed once for the same arguments.

    Args:
        size_bytes: None: by steady state, else by the time from cold to the end.
        clients: so many, all with the same window; the goodput is all of theirs.
        duration_s: of those that never end; an upload that takes ten times as long counts as hopeless.
    """
    scores: list[tuple[int, float]] = []
    for window in grid:
        goodput = _goodput(world, Client.fixed(window, size_bytes, part_bytes), clients, duration_s, seed)
        scores.append((window, goodput))
        # Past a knee it only gets worse, and slower to simulate.
        if goodput < 0.3 * max(score for _, score in scores):
            break
    most = max(score for _, score in scores)
    window = next(window for window, score in scores if score >= (1 - _AS_GOOD) * most)
    return Best(window, most, tuple(scores))


def _goodput(world: World, client: Client, clients: int, duration_s: float, seed: int) -> float:
    if client.size_bytes is None:
        trace = run(world, [client] * clients, duration_s, seed)
        return sum(steady_goodput(one) for one in trace.clients)
    trace = run(world, [client] * clients, 10 * duration_s, seed)
    return sum(client.size_bytes / one.wall_s for one in trace.clients if one.wall_s)
