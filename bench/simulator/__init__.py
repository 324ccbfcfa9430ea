"""A world in virtual time for the autotuner: links, stores, machines, and clients that send through them.

from bench.simulator import WORLDS, Client, best_fixed, run, settling_s

    trace = run(WORLDS["knee-30"], [Client(decide, state, Settings(window=4))], duration_s=60, seed=1)
    trace.clients[0].window, settling_s(trace.clients[0]), best_fixed(WORLDS["knee-30"]).window
"""

from bench.simulator.baseline import GRID, Best, best_fixed
from bench.simulator.client import Client, Decide
from bench.simulator.measures import (
    between,
    direction_changes,
    jain,
    mean_goodput,
    overshoot,
    recovery_s,
    settling_s,
    smooth,
    steady_goodput,
    total_goodput,
    window_cv,
)
from bench.simulator.simulation import run
from bench.simulator.trace import INTERVAL_S, ClientTrace, Trace
from bench.simulator.world import Congestion, Link, Machine, Noise, Rivals, Step, Store, Traffic, World
from bench.simulator.worlds import WORLDS

__all__ = [
    "GRID",
    "INTERVAL_S",
    "WORLDS",
    "Best",
    "Client",
    "ClientTrace",
    "Congestion",
    "Decide",
    "Link",
    "Machine",
    "Noise",
    "Rivals",
    "Step",
    "Store",
    "Trace",
    "Traffic",
    "World",
    "best_fixed",
    "between",
    "direction_changes",
    "jain",
    "mean_goodput",
    "overshoot",
    "recovery_s",
    "run",
    "settling_s",
    "smooth",
    "steady_goodput",
    "total_goodput",
    "window_cv",
]
