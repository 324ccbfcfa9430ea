"""The discarding sink on loopback, for as long as a `with` block lasts.

with sink.serve() as server:
    ... upload to server.endpoint_url ...
    server.stats().object_bytes

It may have the limits of a store, which can be changed while it runs:

with sink.serve(Store(rate_bytes_per_s=400e6, connection_rate_bytes_per_s=20e6, knee=30)) as server:
    server.shape(UNLIMITED)
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.build import build
from bench.lab.namespace import HERE, Namespace

HOST = "127.0.0.1"
REQUEST_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Stats:
    """What the sink saw since its last reset. Times are seconds since the epoch, 0 if there was no body."""

    body_bytes: int
    """Bodies of PUTs as they were sent, with the framing of aws-chunked."""
    object_bytes: int
    """Data of the objects that are complete."""
    objects: int
    connections: int
    most_connections: int
    bad_requests: int
    first_body_s: float
    last_body_s: float
    cpu_s: float
    requests: Mapping[str, int]
    door_bytes: Sequence[int]
    """What has come through each door since the start, of bodies that were cut short too; a reset leaves it alone."""


@dataclass(frozen=True, slots=True)
class Store:
    """What a store takes in. None: as much as comes."""

    rate_bytes_per_s: float | None = None
    """Of all connections together."""
    connection_rate_bytes_per_s: float | None = None
    knee: int | None = None
    """With n > knee connections in the middle of a body, all together get rate * (knee / n)^2."""

    def times(self, factor: float) -> Store:
        """The same with another rate for all."""
        if self.rate_bytes_per_s is None:
            raise ValueError("a store without a rate has none to multiply")
        return dataclasses.replace(self, rate_bytes_per_s=self.rate_bytes_per_s * factor)

    def options(self) -> list[str]:
        values = {
            "--rate": self.rate_bytes_per_s,
            "--connection-rate": self.connection_rate_bytes_per_s,
            "--knee": self.knee,
        }
        return [f"{name}={value}" for name, value in values.items() if value is not None]


UNLIMITED = Store()


@dataclass(frozen=True, slots=True)
class Held:
    """An object that is under every key that nothing was put under: the bytes of a file over and over."""

    file: Path
    size_bytes: int
    crc64nvme: str = ""
    """Base64, as the store says it."""

    def options(self) -> list[str]:
        return [f"--object={self.file}", f"--object-bytes={self.size_bytes}", f"--object-crc64nvme={self.crc64nvme}"]


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink. Its doors are ports: what comes through each is counted apart in the series."""

    ports: tuple[int, ...]
    host: str = HOST
    namespace: Namespace = HERE

    @property
    def endpoint_url(self) -> str:
        return self.endpoint_urls[0]

    @property
    def endpoint_urls(self) -> tuple[str, ...]:
        return tuple(f"http://{self.host}:{port}" for port in self.ports)

    def stats(self) -> Stats:
        answer = json.loads(self._ask("GET", "/_stats"))
        return Stats(**{field.name: answer[field.name] for field in dataclasses.fields(Stats)})

    def reset(self) -> None:
        """Zeroes the counters and forgets all objects and uploads."""
        self._ask("POST", "/_reset")

    def shape(self, store: Store) -> None:
        """Sets other limits; connections have them within milliseconds."""
        limits = {
            "rate": store.rate_bytes_per_s,
            "connection_rate": store.connection_rate_bytes_per_s,
            "knee": store.knee,
        }
        given = {name: value for name, value in limits.items() if value is not None}
        self._ask("POST", f"/_shape?{urllib.parse.urlencode(given)}")

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.host, self.ports[0], timeout=REQUEST_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.sock = self.namespace.open_socket()
            connection.sock.settimeout(REQUEST_TIMEOUT_S)
            connection.sock.connect((self.host, self.ports[0]))
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise ValueError(f"the sink answered {method} {path} with {answer.status} {answer.reason}")
            return text


@contextlib.contextmanager
def serve(
    store: Store = UNLIMITED,
    *,
    held: Held | None = None,
    doors: int = 1,
    series: Path | None = None,
    host: str = HOST,
    namespace: Namespace = HERE,
) -> Iterator[Sink]:
    """Starts a sink on free ports and ends it, even when this process is killed.

    It also ends with the thread that enters the block: that is the parent that Linux looks at.

    Args:
        series: where it writes every 0.1 s what has come in; see bench/sink/inflow.h.
    """
    command = [str(build("sink")), "--bind", host, "--die-with-parent", *["--port=0"] * doors, *store.options()]
    command += held.options() if held is not None else []
    if series:
        command += ["--series", str(series)]
    with subprocess.Popen(
        namespace.command(command), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Sink(_ports(process.stdout), host, namespace)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _ports(stdout: IO[str] | None) -> tuple[int, ...]:
    """The ports in the line `listening PORT...`."""
    assert stdout is not None
    word, *ports = stdout.readline().split() or [""]
    if word != "listening":
        raise RuntimeError("the sink did not start")
    return tuple(map(int, ports))
