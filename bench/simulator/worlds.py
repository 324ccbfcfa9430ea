"""The worlds that the project tunes for, by name. Those of facts that were measured are checked against them."""

from __future__ import annotations

from bench.simulator.world import Link, Machine, Store, World

GBIT = 1e9
MBIT = 1e6
MB = 1e6

# The packets of an emulated link, between two ends on one machine.
_JUMBO = 65_483

_ALL = (
    World("1gbps-100ms", Link(1 * GBIT, 0.100, 8e6, 0.0001, mss_bytes=_JUMBO)),
    World("500mbps-300ms", Link(500 * MBIT, 0.300, 12e6, 0.0002, mss_bytes=_JUMBO)),
    # A queue of 10 ms: half a bandwidth-delay product.
    World("200mbps-20ms", Link(200 * MBIT, 0.020, 250e3)),
    World("1gbps-2ms", Link(1 * GBIT, 0.002, 250e3)),
    World("100mbps-250ms", Link(100 * MBIT, 0.250, 2e6, 0.005)),
    World("knee-8", store=Store(40 * MB, 200 * MB, 8)),
    World("knee-21", store=Store(17 * MB, 340 * MB, 21)),
    World("knee-30", store=Store(20 * MB, 400 * MB, 30)),
    World("knee-120", store=Store(5 * MB, 500 * MB, 120)),
    World("loopback"),
    World("slow-disk", machine=Machine(disk_bytes_per_s=200 * MB)),
    World("slow-pipe", machine=Machine(pipe_bytes_per_s=50 * MB)),
)
WORLDS = {world.name: world for world in _ALL}
