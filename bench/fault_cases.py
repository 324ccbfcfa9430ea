"""The cases of bench/faults/*.toml: a fault, and what an upload is expected to become of it.

why = "One sentence."
sizes = ["large", "small"]            # both unless it says otherwise
credentials = "renewed"               # a process hands out new keys each time it is asked

[[rules]]                             # of the scripted server: bench.servers.scripted.Rule
operation = "UploadPart"
action = "reset"
part = 2
times = 1
args.after_bytes = 1_000_000

[network]                             # a TCP proxy in front of it
fault = { reset_after_bytes = 1_000_000 }
connections = 2                       # the first so many meet the fault
gone_after_bytes = 8_000_000          # then connections break and new ones are refused,
silent_after_bytes = 8_000_000        # or nothing moves any more,
back_after_s = 3.0                    # until now; without it, for ever

[client]                              # options of fastput.Client
[put]                                 # options of Client.submit

[expect]
outcome = "object"                    # or an error's class; a list: either
within_s = 20
words = ["in the message"]
orphans = 0                           # uploads that nobody can know of
[expect.small]                        # what is different for one size
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.servers import tcp_proxy
from bench.servers.scripted import Rule, Scripted
from bench.servers.tcp_proxy import Fault, TcpProxy

DIRECTORY = Path(__file__).parent / "faults"
OBJECT = "object"
# A large file goes in parts of PART_BYTES, a small one in one request.
PART_BYTES = 5 << 20
SIZES_BYTES = {"large": 23 << 20, "small": 100_000}


@dataclass(frozen=True, slots=True)
class Expected:
    outcomes: frozenset[str]
    within_s: float
    words: tuple[str, ...] = ()
    orphans: int = 0
    may_exist: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """What the proxy does; counts are of bytes that clients send, on all connections."""

    fault: Fault | None = None
    connections: int = 1
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    buffer_bytes: int | None = None
    gone_after_bytes: int | None = None
    silent_after_bytes: int | None = None
    back_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    why: str
    rules: tuple[Rule, ...]
    expected: Mapping[str, Expected]
    network: Network | None = None
    has_renewed_credentials: bool = False
    client: Mapping[str, Any] = field(default_factory=dict)
    put: Mapping[str, Any] = field(default_factory=dict)
    is_silent: bool = False
    """It can't be seen on the server whether the fault happened."""

    @property
    def is_hopeful(self) -> bool:
        """The object arrives, whatever the size."""
        return all(expected.outcomes == {OBJECT} for expected in self.expected.values())


def load() -> list[Case]:
    """All cases, by name.

    Raises:
        ValueError, TypeError: a case isn't written as it should be; the message names the file.
    """
    return [_read(path) for path in sorted(DIRECTORY.glob("*.toml"))]


@dataclass(frozen=True, slots=True)
class Scene:
    """Faults in force. url is where to send to; heal() ends them, at the same address."""

    url: str
    heal: Callable[[], None]


@contextlib.contextmanager
def scene(
    cases: Sequence[Case], server: Scripted, bucket: str, key: str | None, has_own_port: bool = False
) -> Iterator[Scene]:
    """The faults of cases for the requests of one object (None: of a bucket), as long as the block lasts.

    Args:
        has_own_port: nobody else's bytes move there: what stands still can be told from the kernel's counters.
    """
    server.script(*(replace(rule, bucket=bucket, key=key) for case in cases for rule in case.rules))
    network = next((case.network for case in cases if case.network is not None), None)
    if network is None and has_own_port:
        network = Network()
    try:
        if network is None:
            yield Scene(server.endpoint_url, lambda: server.unscript(bucket, key))
            return
        with _between(network, server.port) as proxy:

            def heal() -> None:
                server.unscript(bucket, key)
                proxy.heal()

            yield Scene(proxy.endpoint_url, heal)
    finally:
        server.unscript(bucket, key)


@contextlib.contextmanager
def _between(network: Network, port: int) -> Iterator[TcpProxy]:
    """A proxy in front of a port of this machine that does what a case's network does."""
    with tcp_proxy.serve(port, network.delay_s, network.buffer_bytes) as proxy:
        proxy.throttle(network.bytes_per_s)
        if network.fault is not None:
            proxy.script(network.fault, network.connections)

        def go() -> None:
            proxy.refuse()
            proxy.cut()
            if network.back_after_s is not None:
                proxy.later(network.back_after_s, proxy.accept)

        def fall_silent() -> None:
            proxy.flows.clear()
            if network.back_after_s is not None:
                proxy.later(network.back_after_s, proxy.flows.set)

        if network.gone_after_bytes is not None:
            proxy.at(network.gone_after_bytes, go)
        if network.silent_after_bytes is not None:
            proxy.at(network.silent_after_bytes, fall_silent)
        yield proxy


def _read(path: Path) -> Case:
    try:
        return _parse(path.stem, tomllib.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise type(error)(f"{path.name}: {error}") from error


def _parse(name: str, document: dict[str, Any]) -> Case:
    network = document.pop("network", None)
    if network is not None:
        fault = network.pop("fault", None)
        network = Network(fault=None if fault is None else Fault(**fault), **network)
    expect = document.pop("expect")
    sizes = document.pop("sizes", list(SIZES_BYTES))
    by_size = {size: expect.pop(size, {}) for size in SIZES_BYTES}
    return Case(
        name=name,
        rules=tuple(Rule(**rule) for rule in document.pop("rules", ())),
        expected={size: _expected({**expect, **by_size[size]}) for size in sizes},
        network=network,
        has_renewed_credentials=document.pop("credentials", "") == "renewed",
        **document,
    )


def _expected(fields: dict[str, Any]) -> Expected:
    outcome = fields.pop("outcome")
    outcomes = frozenset([outcome] if isinstance(outcome, str) else outcome)
    return Expected(outcomes, words=tuple(fields.pop("words", ())), **fields)
