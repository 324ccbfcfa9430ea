"""What the S3 servers have in common: how they start, how they are reached, and that nothing of them stays.

A server is a shell script that runs as a process group of its own in a directory of its own. `launch` is all that
one has to bring; seaweedfs.py, ceph.py, rclone.py and moto.py do.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOST = "127.0.0.1"
ACCESS_KEY = "fastput-test-access"
SECRET_KEY = "fastput-test-secret"
REGION = "us-east-1"
READY_WITHIN_S = 60.0
START_ATTEMPTS = 3
POLL_S = 0.05

# It starts when it is told to, which is when it is guarded.
_START = "read -r _ || exit; exec </dev/null\n"

# A guard waits for the end of a pipe that only Python holds: however Python ends, kill -9 too, the server's process
# group is killed and its files go. (prctl's PDEATHSIG would fire when the *thread* that forked ends.) A process may
# still finish the file that it was making when it was killed: then they go at the next try.
_GUARD = """
read -r _
kill -s KILL -- -{group}
for _ in 1 2 3 4 5; do rm -rf {files} && break; sleep 0.2; done
"""


class ServerError(RuntimeError):
    """A server isn't installed or didn't start; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. pid is also the id of its process group."""

    endpoint_url: str
    directory: Path
    pid: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION

    def env(self) -> dict[str, str]:
        """What a child process needs to reach the server, with nothing of the user's own AWS set-up."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        region = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        direct = {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": HOST, "no_proxy": HOST}
        return keys | region | files | direct

    def client(self, config: Config | None = None) -> S3Client:
        """A boto3 client with these keys, past any proxy. It fails if AWS_PROFILE names no profile."""
        session = boto3.Session(self.access_key, self.secret_key, region_name=self.region)
        direct = Config(proxies={})
        return session.client("s3", endpoint_url=self.endpoint_url, config=direct.merge(config) if config else direct)


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a server in its directory."""

    script: str
    """Shell commands; the process that they `exec` into is the server, and its end is the server's."""
    port: int
    """Of its S3 endpoint."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Beyond PATH, HOME and TMPDIR: servers would read the user's configuration otherwise."""
    files: Sequence[str] = ()
    """What it makes outside its directory."""


@contextlib.contextmanager
def serve(
    name: str, launch: Callable[[Path], Launch], fatal: str, ready_within_s: float = READY_WITHIN_S
) -> Iterator[Server]:
    """Starts a server and ends it with all its files; several can run side by side.

    Args:
        launch: picks ports, writes what the server needs into the directory, and says how it starts.
        fatal: a pattern of the line in its log that says why it ended.

    Raises:
        ServerError: it ended, or was not ready in time.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                server = stack.enter_context(_serve_once(name, launch, fatal, ready_within_s))
                break
            except _PortTakenError:
                # Somebody else may take a port between our choice of it and the server's bind.
                if attempt == START_ATTEMPTS:
                    raise
        yield server


def search_path() -> str:
    """Where programs are looked for: beside this Python first, for those that came with pip."""
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def is_installed(program: str) -> bool:
    return shutil.which(program, path=search_path()) is not None


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


class _PortTakenError(ServerError):
    """Worth another try with other ports."""


@contextlib.contextmanager
def _serve_once(name: str, launch: Callable[[Path], Launch], fatal: str, ready_within_s: float) -> Iterator[Server]:
    prefix = f"fastput-{name.lower()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as directory:
        plan = launch(Path(directory))
        with _run(plan, Path(directory)) as process:
            server = Server(f"http://{HOST}:{plan.port}", Path(directory), process.pid)
            _wait_until_ready(name, server, process, fatal, time.monotonic() + ready_within_s)
            yield server


@contextlib.contextmanager
def _run(plan: Launch, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    env = {"PATH": search_path(), "HOME": str(directory), "TMPDIR": str(directory), **plan.env}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with (
        open(directory / "log", "wb") as log,
        subprocess.Popen(
            ["sh", "-c", _START + plan.script],
            cwd=directory,
            env=env,
            stdin=pipe,
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        guard = _GUARD.format(group=process.pid, files=shlex.join([str(directory), *plan.files]))
        # Leaving the block closes the pipe and waits until the guard has done its work.
        with subprocess.Popen(["sh", "-c", guard], stdin=pipe, stdout=null, stderr=null, start_new_session=True):
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
            yield process


def _wait_until_ready(
    name: str, server: Server, process: subprocess.Popen[bytes], fatal: str, deadline_s: float
) -> None:
    # boto3 would wait for a minute for whoever else has the port, and for seconds between its own tries.
    client = server.client(Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}))
    while time.monotonic() < deadline_s:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.list_buckets()
            if process.poll() is None:
                return
        if process.poll() is not None:
            raise _explain(name, process.returncode, Path(server.directory, "log").read_text(errors="replace"), fatal)
        time.sleep(POLL_S)
    raise ServerError(f"{name} was not ready in time")


def _explain(name: str, status: int, log: str, fatal: str) -> ServerError:
    lines = [line.strip() for line in log.splitlines()]
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    if taken := next((line for line in lines if "address already in use" in line.lower()), None):
        return _PortTakenError(f"{name} ended with {how}: {taken}")
    reason = next((line for line in lines if re.search(fatal, line)), "it gave no reason")
    return ServerError(f"{name} ended with {how}: {reason}")
