"""One member out of a large compressed archive: what that takes is counted between the client and the store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import fastput
from bench.servers.seaweedfs import SeaweedFS
from tests.crash import proxy as proxies
from tests.support.content import MIB, content

GIB = 1 << 30


def test_few_requests(
    seaweedfs: SeaweedFS, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MiB out of 20 GiB, over the border of a frame: the end, the index, and the frames that hold it."""
    for name, value in seaweedfs.env().items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "run7"
    root.mkdir()
    for number in range(20):
        with open(root / f"{number:02d}", "wb") as file:
            file.truncate(GIB + 1000)
    member = content(MIB)
    (root / "11 member").write_bytes(member)
    with fastput.Client(endpoint_url=seaweedfs.endpoint_url, state_dir=tmp_path / "state") as client:
        report = client.pack(root, f"s3://{bucket}/run7", compress=1)
        report.check()
        made = report.archives[0].content
        assert made is not None
        assert (made.size_bytes > 20 * GIB, made.frames > 20_000) == (True, True)
    with proxies.serve(seaweedfs.endpoint_url) as proxy:
        options = {"endpoint_url": proxy.url, "state_dir": tmp_path / "state"}
        with fastput.Client(**options) as client:  # type: ignore[arg-type]
            (got,) = client.get_all(f"s3://{bucket}/run7.tar.zst//11 member", str(tmp_path / "out"))
        assert got.error is None
        requests = {what: count for (stage, what), count in proxy.passed.items() if stage == "request"}
        assert sum(requests.values()) <= 4, requests  # one of them for the index
    assert hashlib.sha256((tmp_path / "out").read_bytes()).digest() == hashlib.sha256(member).digest()
