"""A wide-area link on this machine: two network namespaces with a known rate, delay, loss and queue between them.

with link.open(Link(rate_bits_per_s=1e9, rtt_s=0.1, loss=1e-4)) as lab:
    subprocess.run(lab.client.command(["ping", "-c1", lab.server_address]))
    lab.change(lab.link.times(0.5))
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from bench.build import build
from bench.lab.namespace import Namespace

# Nobody else sees them: every link has namespaces of its own.
CLIENT_ADDRESS = "10.200.0.1"
SERVER_ADDRESS = "10.200.0.2"
DEFAULT_SEED = 1


class LinkUnavailableError(RuntimeError):
    """This machine doesn't let us make namespaces or TUN devices; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is like, in both directions alike."""

    rate_bits_per_s: float
    """Of IP packets with their headers: of 1 Gbps, 965 Mbps can be data, as packets are 1500 bytes long."""
    rtt_s: float
    """At rest; half of it each way."""
    loss: float = 0.0
    """Probability that a packet is lost at random, apart from those that find the queue full."""
    queue_bytes: int | None = None
    """None: as much as is on its way when the link is full, that is the rate times the RTT."""

    @property
    def bdp_bytes(self) -> int:
        """What is on its way when the link is full."""
        return int(self.rate_bits_per_s / 8 * self.rtt_s)

    @property
    def room_bytes(self) -> int:
        """What the queue holds."""
        return self.bdp_bytes if self.queue_bytes is None else self.queue_bytes

    def times(self, factor: float) -> Link:
        """The same link with another rate; the queue stays as it is."""
        return dataclasses.replace(self, rate_bits_per_s=self.rate_bits_per_s * factor, queue_bytes=self.room_bytes)


@dataclass(frozen=True, slots=True)
class Count:
    """What one direction has seen since it was made, in packets as they would be on a wire."""

    segments: int
    lost: int
    """At random."""
    overflowed: int
    """They found the queue full."""
    delivered_bytes: int


@dataclass(slots=True)
class Lab:
    """A running link. What is started in its namespaces should end before it does."""

    link: Link
    client: Namespace
    server: Namespace
    _process: subprocess.Popen[str] = field(repr=False)
    client_address: str = CLIENT_ADDRESS
    server_address: str = SERVER_ADDRESS

    def change(self, link: Link) -> None:
        """Makes it another link, at once. What already flies is not touched."""
        rate, delay_s = link.rate_bits_per_s / 8, link.rtt_s / 2
        for direction in ("up", "down"):
            answer = self._ask(f"{direction} {rate:.3f} {delay_s:.9f} {link.loss:.12f} {link.room_bytes}")
            if answer != "ok":
                raise ValueError(f"{link} can't be: a link has a rate above 0 and a loss below 1, and nothing negative")
        self.link = link

    def count(self) -> tuple[Count, Count]:
        """From the client to the server, and back."""
        counters = json.loads(self._ask("count"))
        return Count(**counters["up"]), Count(**counters["down"])

    def _ask(self, line: str) -> str:
        stdin, stdout = _pipes(self._process)
        stdin.write(line + "\n")
        stdin.flush()
        return stdout.readline().strip()


@contextlib.contextmanager
def open(link: Link, seed: int = DEFAULT_SEED) -> Iterator[Lab]:
    """Makes the link, and removes it even when this process is killed: the namespaces have no names and end with it.

    Args:
        seed: of the losses.

    Raises:
        LinkUnavailableError: not root, or no TUN devices here.
    """
    process = subprocess.Popen(
        [str(build("wire")), CLIENT_ADDRESS, SERVER_ADDRESS, str(seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C is for us; it ends when its input does.
        start_new_session=True,
    )
    # Leaving closes the pipes, which ends it, and waits for that.
    with process:
        _, stdout = _pipes(process)
        word, *descriptors = stdout.readline().split() or [""]
        if word != "ready":
            assert process.stderr is not None
            raise LinkUnavailableError(f"no link can be made here: {process.stderr.read().strip()}")
        client, server = (Namespace(f"/proc/{process.pid}/fd/{descriptor}") for descriptor in descriptors)
        lab = Lab(link, client, server, process)
        lab.change(link)
        yield lab


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
