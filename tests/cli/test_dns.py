"""A store that moves to another address in mid-transfer: the name is looked up again."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from bench.servers.seaweedfs import SeaweedFS
from bench.servers.tcp_proxy import TcpProxy
from tests.support.cli import COMMAND, environment
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "store.test"
OLD, NEW = "127.0.0.1", "127.0.0.2"
BEHIND_BYTES = 20 * MIB
ENDS_WITHIN_S = 120


def can_have_own_hosts() -> bool:
    """Whether a mount namespace of our own may be made."""
    command = ["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_have_own_hosts(), reason="no right to a mount namespace, which another /etc/hosts needs")
def test_the_store_moves(seaweedfs: SeaweedFS, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    hosts, config, source = tmp_path / "hosts", tmp_path / "config", tmp_path / "data.bin"
    config.write_text("[default]\ns3 =\n  addressing_style = path\n")
    hosts.write_text(f"{OLD} {NAME}\n")
    source.write_bytes(content(60 * MIB))
    target_port = urlsplit(seaweedfs.endpoint_url).port
    assert target_port is not None
    with contextlib.closing(TcpProxy(target_port)) as old, contextlib.closing(
        TcpProxy(target_port, host=NEW, port=old.port)
    ) as new:

        def move() -> None:
            hosts.write_text(f"{NEW} {NAME}\n")  # in place: the file is bound over /etc/hosts
            old.refuse()
            old.cut()  # else all parts may be on connections that are there already

        old.at(BEHIND_BYTES, move)
        put = [*COMMAND, "put", str(source), f"s3://{bucket}/key", "--part-size", "5MiB", "--journal", str(tmp_path)]
        script = f"mount --bind {shlex.quote(str(hosts))} /etc/hosts && exec {shlex.join(put)}"
        env = environment(seaweedfs) | {
            "AWS_ENDPOINT_URL": f"http://{NAME}:{old.port}",
            "AWS_CONFIG_FILE": str(config),
            "NO_PROXY": NAME,
            "no_proxy": NAME,
        }
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], env=env, capture_output=True, text=True, timeout=ENDS_WITHIN_S
        )
        assert done.returncode == 0, done.stderr
        assert new.up_bytes > 0
        assert old.up_bytes >= BEHIND_BYTES
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == content(60 * MIB)
