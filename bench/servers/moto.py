"""moto's stand-in for AWS on loopback, for as long as a `with` block lasts.

with moto.serve() as server:
    server.client().create_bucket(Bucket="demo")

It has the shapes of Amazon's answers (storage classes, encryption, object lock) and checks nothing: no checksum, no
Content-MD5, no key. It is slow and keeps much in memory: nothing to measure integrity or speed against.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.servers import base
from bench.servers.base import HOST, Launch, Server, ServerError

FATAL = r"^\w*Error"
SCRIPT = "exec moto_server --host={host} --port={port}"


def serve(ready_within_s: float = base.READY_WITHIN_S) -> AbstractContextManager[Server]:
    """Starts a server and ends it with all its files; several can run side by side.

    Raises:
        ServerError: not installed, or not ready in time.
    """
    return base.serve("moto", _launch, FATAL, ready_within_s)


def _launch(directory: Path) -> Launch:
    if not base.is_installed("moto_server"):
        raise ServerError("moto is not installed: pip install 'moto[server,s3]'")
    [port] = base.free_ports(1)
    return Launch(SCRIPT.format(host=HOST, port=port), port)
