"""The real command line, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.servers.seaweedfs import SeaweedFS

TIMEOUT_S = 60
COMMAND = [sys.executable, "-m", "fastput"]

# A shell's background job may have been handed SIGINT switched off, and hands that on.
_START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from fastput.__main__ import main
main()
"""


def environment(server: SeaweedFS | None = None, **more: str) -> dict[str, str]:
    """The tests' environment, with keys and endpoint of a server."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env["PYTHONFAULTHANDLER"] = "1"
    if server is not None:
        env |= server.env() | {"AWS_ENDPOINT_URL": server.endpoint_url}
    return env | more


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of --json."""
        return [json.loads(line) for line in self.out.splitlines()]

    def expect_error(self, status: int, *words: str) -> None:
        """One clear line, the exit status of its class, no traceback."""
        lines = self.err.splitlines()
        assert (self.status, len(lines)) == (status, 1), self
        assert lines[0].startswith("fastput: "), self
        assert self.err.endswith("\n")
        for word in words:
            assert word in lines[0], f"{word!r} is not in {lines[0]!r}"


@dataclass(frozen=True)
class Cli:
    """Runs fastput with one environment."""

    env: Mapping[str, str]

    def __call__(self, *arguments: object, env: Mapping[str, str] | None = None, **options: Any) -> Ended:
        command = [*options.pop("prefix", ()), *COMMAND, *map(str, arguments)]
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("timeout", TIMEOUT_S)
        done = subprocess.run(command, env={**self.env, **(env or {})}, capture_output=True, **options)
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode(errors="surrogateescape"))

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        """For signals. Standard error is read line by line."""
        return subprocess.Popen(
            [sys.executable, "-c", _START, *map(str, arguments)],
            env=dict(self.env),
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
