"""A real one-node Ceph cluster with its S3 gateway on loopback, for as long as a `with` block lasts.

with ceph.serve() as server:
    server.client().create_bucket(Bucket="demo")

One monitor, one OSD that keeps everything in memory, one radosgw. No manager: it does statistics and balancing, which
a cluster of one lives without. The programs are the distribution's.
"""

from __future__ import annotations

import base64
import os
import struct
import uuid
from contextlib import AbstractContextManager
from pathlib import Path

from bench.servers import base
from bench.servers.base import ACCESS_KEY, HOST, SECRET_KEY, Launch, Server, ServerError
from fastput.limits import GIB

# What is run, and the Debian packages that have it.
PROGRAMS = {
    "radosgw": "radosgw",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "ceph": "ceph-common",
    "radosgw-admin": "ceph-common",
    "monmaptool": "ceph-base",
}
FATAL = r"ERROR|Error |FAILED"

# The monitor gathers changes of the cluster's map for a second before it acts: a start is made of a dozen of them,
# and takes 13 s by default, 1.2 s so. Keys, because radosgw hangs without. radosgw calls classes that an OSD
# keeps to itself unless they are listed. An object of 1 GiB takes 2.0 GiB of the OSD's memory with radosgw's own
# chunks and stripes, 1.1 GiB with these; what a deleted one had is used again within seconds, not hours.
CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:{host}:{mon_port}
public addr = {host}
cluster addr = {host}
ms bind msgr1 = false
keyring = {directory}/keyring
run dir = {directory}
crash dir = {directory}
admin socket =
pid file =
log to file = false
log to stderr = true
debug rocksdb = 0
mon data = {directory}/mon
mon data avail crit = 0
paxos propose interval = 0.05
auth allow insecure global id reclaim = false
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = {capacity_bytes}
osd class load list = *
osd class default list = *
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
rgw data = {directory}
rgw frontends = beast endpoint={host}:{port}
rgw max chunk size = 1048576
rgw obj stripe size = 16777216
rgw gc obj min wait = 2
rgw gc processor period = 2
"""

KEYRING = """
[mon.]
key = {mon_key}
caps mon = "allow *"
[client.admin]
key = {admin_key}
caps mon = "allow *"
caps osd = "allow *"
[osd.0]
key = {osd_key}
caps mon = "allow profile osd"
caps osd = "allow *"
"""

# A daemon that ends takes the others with it.
SCRIPT = """
set -e
daemon() {{ ( "$@" || true; kill -s TERM $$ ) & }}
monmaptool --create --fsid {fsid} --addv a '[v2:{host}:{mon_port}]' monmap
mkdir mon osd
ceph-mon -i a --mkfs --monmap monmap
daemon ceph-mon -i a -f
ceph --connect-timeout 30 osd new {osd_id} 0
ceph-osd -i 0 --mkfs --osd-uuid {osd_id}
daemon ceph-osd -i 0 -f
radosgw-admin user create --uid=test --display-name=test --access-key={access_key} --secret-key={secret_key}
exec radosgw -n client.admin -f
"""


def missing_packages() -> list[str]:
    """The Debian packages whose programs aren't here."""
    return sorted({package for program, package in PROGRAMS.items() if not base.is_installed(program)})


def serve(
    ready_within_s: float = base.READY_WITHIN_S, capacity_bytes: int = 12 * GIB
) -> AbstractContextManager[Server]:
    """Starts a cluster and ends it with all its files; several can run side by side.

    Args:
        capacity_bytes: the most it keeps; memory is taken as objects come.

    Raises:
        ServerError: not installed, or not ready in time.
    """
    return base.serve("Ceph", lambda directory: _launch(directory, capacity_bytes), FATAL, ready_within_s)


def _launch(directory: Path, capacity_bytes: int) -> Launch:
    if packages := missing_packages():
        install = f"apt-get install --no-install-recommends {' '.join(packages)}"
        raise ServerError(f"Ceph is not installed: {install} (Debian, Ubuntu)")
    port, mon_port = base.free_ports(2)
    places = {"directory": directory, "host": HOST, "port": port, "mon_port": mon_port, "fsid": uuid.uuid4()}
    (directory / "ceph.conf").write_text(CONFIGURATION.format(capacity_bytes=capacity_bytes, **places))
    keys = {f"{name}_key": _make_key() for name in ("mon", "admin", "osd")}
    (directory / "keyring").write_text(KEYRING.format(**keys))
    script = SCRIPT.format(osd_id=uuid.uuid4(), access_key=ACCESS_KEY, secret_key=SECRET_KEY, **places)
    return Launch(script, port, env={"CEPH_CONF": str(directory / "ceph.conf")})


def _make_key() -> str:
    """A secret for cephx: type 1 (AES), made at 0 s and 0 ns, 16 bytes long."""
    return base64.b64encode(struct.pack("<HIIH", 1, 0, 0, 16) + os.urandom(16)).decode()
