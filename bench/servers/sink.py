"""The discarding sink on loopback, for as long as a `with` block lasts.

with sink.serve() as server:
    ... upload to server.endpoint_url ...
    server.stats().object_bytes
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from bench.sink.build import build

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


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink."""

    port: int

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def stats(self) -> Stats:
        answer = json.loads(self._ask("GET", "/_stats"))
        return Stats(**{field.name: answer[field.name] for field in dataclasses.fields(Stats)})

    def reset(self) -> None:
        """Zeroes the counters and forgets all objects and uploads."""
        self._ask("POST", "/_reset")

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(method, path)
            return connection.getresponse().read()


@contextlib.contextmanager
def serve() -> Iterator[Sink]:
    """Starts a sink on a free port and ends it, even when this process is killed.

    It also ends with the thread that enters the block: that is the parent that Linux looks at.
    """
    command = [str(build("sink")), "--port", "0", "--bind", HOST, "--die-with-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield Sink(_port(process.stdout))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _port(stdout: IO[str] | None) -> int:
    """The port in the line `listening PORT`."""
    assert stdout is not None
    word, _, port = stdout.readline().partition(" ")
    if word != "listening":
        raise RuntimeError("the sink did not start")
    return int(port)
