"""Does a link do what it says? iperf3 and ping, which know nothing of us, are asked.

python -m bench.lab.check         # all links, about two minutes
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.lab import link
from bench.lab.link import Lab, Link, LinkUnavailableError
from bench.lab.scenarios import DATA_SHARE, SCENARIOS

PROGRAMS = ("iperf3", "ping")
# Beside a queue of 20 ms a nap of the emulator is nothing, and iperf3 can overfill the link.
PLAIN_LINK = Link(200e6, 0.02)
LOSS = 0.01

RATE_TOLERANCE = 0.03
RTT_TOLERANCE_S = 0.002
QUEUE_TOLERANCE = 0.1
# Of some 40,000 packets that are lost independently: four standard deviations.
LOSS_TOLERANCE = 0.2

# iperf3 says what went from the client to the server, or with this option the other way.
DIRECTIONS = {"up": (), "down": ("--reverse",)}
TIMEOUT_S = 60.0
POLL_S = 0.01
# Until what TCP lost when it first filled the queue has been sent again.
WARM_UP_S = 1
WARM_UP_RTTS = 30
# More than any connection needs before its data.
GREETING_PACKETS = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """A property of a link, as it was set and as it was measured."""

    name: str
    expected: float
    measured: float
    tolerance: float
    """How far they may be apart."""
    unit: str

    @property
    def is_good(self) -> bool:
        return abs(self.measured - self.expected) <= self.tolerance

    def __str__(self) -> str:
        mark = "" if self.is_good else "  WRONG"
        return f"{self.name:<34} {self.expected:9.3f} {self.measured:9.3f} {self.unit:<5} +-{self.tolerance:.3f}{mark}"


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


def rate(lab: Lab, direction: str, duration_s: int = 4) -> Finding:
    """Of TCP's data over a link without random losses, once TCP has found out what there is."""
    warm_up_s = WARM_UP_S + math.ceil(lab.link.rtt_s * WARM_UP_RTTS)
    # BBR leaves the link idle now and then, to look for its RTT; what is asked here is what the link carries.
    options = [*DIRECTIONS[direction], "-C", "cubic", "-P", "4", "-O", str(warm_up_s), "-t", str(duration_s)]
    with _iperf_server(lab), _iperf_client(lab, *options) as client:
        report = _report(client)
    expected = lab.link.rate_bits_per_s * DATA_SHARE / 1e6
    measured = report["end"]["sum_received"]["bits_per_second"] / 1e6
    return Finding(f"rate {direction}", expected, measured, expected * RATE_TOLERANCE, "Mbps")


def rtt(lab: Lab, pings: int = 20) -> Finding:
    """At rest."""
    measured_s = statistics.median(_ping(lab, pings, interval_s=0.02))
    return Finding("RTT at rest", lab.link.rtt_s * 1e3, measured_s * 1e3, RTT_TOLERANCE_S * 1e3, "ms")


def queueing(lab: Lab, duration_s: int = 2) -> Finding:
    """The RTT while more is sent than the link carries: the queue is full, and a ping waits for all of it."""
    rate = lab.link.rate_bits_per_s
    with _iperf_server(lab):
        flood = ["-u", "-b", f"{rate * 1.2:.0f}", "-l", "1400", "-t", str(duration_s + 1)]
        with _iperf_client(lab, *flood) as client:
            # Most of them, and so the median, come when the queue has long been full.
            measured_s = statistics.median(_ping(lab, duration_s * 50, interval_s=0.02))
            _report(client)
    queue_s = lab.link.room_bytes * 8 / rate
    expected_s = lab.link.rtt_s + queue_s
    return Finding("RTT with a full queue", expected_s * 1e3, measured_s * 1e3, queue_s * QUEUE_TOLERANCE * 1e3, "ms")


def loss(lab: Lab, direction: str, loss: float = LOSS, duration_s: int = 4) -> Finding:
    """Of datagrams, at half the link's rate. The link begins without losses and stays with them."""
    load = ["-u", "-b", f"{lab.link.rate_bits_per_s / 2:.0f}", "-l", "1400", "-t", str(duration_s)]
    # A receiver that is late must not lose some more.
    options = [*DIRECTIONS[direction], *load, "-w", "2M"]
    up_or_down = list(DIRECTIONS).index(direction)
    before = lab.count()[up_or_down].segments
    with _iperf_server(lab), _iperf_client(lab, *options) as client:
        # iperf3 greets with one datagram, and gives up on it after half a minute: that one must not be lost.
        deadline_s = time.monotonic() + TIMEOUT_S
        while lab.count()[up_or_down].segments < before + GREETING_PACKETS:
            if time.monotonic() > deadline_s:
                raise RuntimeError("iperf3 did not begin")
            time.sleep(POLL_S)
        lab.change(dataclasses.replace(lab.link, loss=loss))
        report = _report(client)
    measured = report["end"]["sum"]["lost_percent"]
    return Finding(f"loss {direction}", loss * 100, measured, loss * 100 * LOSS_TOLERANCE, "%")


@contextlib.contextmanager
def _iperf_server(lab: Lab) -> Iterator[None]:
    """For one client; it is ready when this has been entered."""
    command = lab.server.command(["iperf3", "-s", "-1", "--forceflush"])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            while "listening" not in (line := server.stdout.readline()):
                if not line:
                    raise RuntimeError("iperf3 did not start")
            yield
        finally:
            server.kill()


def _iperf_client(lab: Lab, *arguments: str) -> subprocess.Popen[str]:
    command = lab.client.command(["iperf3", "-c", lab.server_address, "-J", *arguments])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _report(client: subprocess.Popen[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(client.communicate(timeout=TIMEOUT_S)[0])
    if "error" in report:
        raise RuntimeError(f"iperf3: {report['error']}")
    return report


def _ping(lab: Lab, count: int, interval_s: float) -> list[float]:
    """The times that came back, in seconds."""
    arguments = ["ping", "-n", "-c", str(count), "-i", str(interval_s), "-W", "2", lab.server_address]
    command = lab.client.command(arguments)
    text = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S).stdout
    times_s = [float(found) / 1e3 for found in re.findall(r"time=([\d.]+) ms", text)]
    if not times_s:
        raise RuntimeError(f"no ping came back: {text}")
    return times_s


def findings() -> Iterator[tuple[str, Finding]]:
    """What is checked of each link, and then queue and loss, by themselves."""
    for scenario in SCENARIOS:
        if scenario.link:
            with link.open(dataclasses.replace(scenario.link, loss=0.0)) as lab:
                yield scenario.name, rtt(lab)
                for direction in DIRECTIONS:
                    yield scenario.name, rate(lab, direction)
    with link.open(PLAIN_LINK) as lab:
        yield "plain", queueing(lab)
        lab.change(PLAIN_LINK.times(0.5))
        yield "plain, at half its rate", queueing(lab)
        yield "plain, at half its rate", rate(lab, "up")
        for direction in DIRECTIONS:
            lab.change(PLAIN_LINK)
            yield "plain", loss(lab, direction)


def main() -> int:
    """Returns the exit status: 1 if a link is not what it says, 2 if none could be made."""
    if missing := missing_programs():
        print(f"the check needs {' and '.join(missing)} (Debian: iperf3, iputils-ping)", file=sys.stderr)
        return 2
    good = True
    print(f"{'':<24} {'':<34} {'set':>9} {'measured':>9}")
    try:
        for name, finding in findings():
            print(f"{name:<24} {finding}", flush=True)
            good &= finding.is_good
    except LinkUnavailableError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
