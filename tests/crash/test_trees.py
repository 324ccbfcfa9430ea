"""kill -9 in the middle of a directory of small files; the same command again sends the rest, and asks about none."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.servers.seaweedfs import SeaweedFS
from tests.crash.conftest import ENDS_WITHIN_S
from tests.crash.proxy import Proxy
from tests.support.cli import COMMAND, Ended, environment
from tests.support.content import MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILES = 2_500
# Confirmed files are written down at least so often.
NOTED_EVERY = 1_000


@dataclass
class Tree:
    root: Path
    bucket: str
    s3: S3Client
    proxy: Proxy
    state: Path
    env: dict[str, str]
    out: Path
    err: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, word: str) -> subprocess.Popen[bytes]:
        command = [*COMMAND, word, "--json", "--part-size", "5MiB", str(self.root), f"s3://{self.bucket}/p/"]
        # Files: nobody reads a pipe while a trap is waited for, and a line a file fills it.
        with self.out.open("wb") as out, self.err.open("wb") as err:
            process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        process.wait(timeout=ENDS_WITHIN_S)
        return Ended(process.returncode, self.out.read_text(), self.err.read_text(errors="replace"))

    def kill_at(self, word: str, number: int) -> None:
        """When the store has answered for so many small files."""
        self.proxy.cut()
        trap = self.proxy.trap(lambda moment: moment.is_answer("PUT", number))
        process = self.start(word)
        while not trap.wait():
            assert process.poll() is None, self.end(process)
        process.kill()
        assert self.end(process).status == -signal.SIGKILL
        self.proxy.cut()

    def noted(self) -> int:
        """Files that the ledger has."""
        (ledger,) = (self.state / "fastput").glob("*.ledger")
        connection = sqlite3.connect(ledger)
        count: int = connection.execute("SELECT count(*) FROM object").fetchone()[0]
        connection.close()
        return count

    def finish(self, word: str) -> dict[str, Any]:
        """The same command, to its end; its summary."""
        ended = self.end(self.start(word))
        assert (ended.status, ended.err) == (0, ""), ended
        summary = ended.events[-1]
        assert summary["planned"] == FILES + 1 == summary["sent"] + summary["skipped"]
        return summary

    def check(self) -> None:
        """The bucket is the tree."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        sizes = {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", [])}
        assert sizes == {f"p/{path.relative_to(self.root)}": path.stat().st_size for path in self.root.rglob("f*")}
        for key in random.Random(1).sample(sorted(sizes), 50):
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            assert body == (self.root / key.removeprefix("p/")).read_bytes()


@pytest.fixture
def tree(seaweedfs: SeaweedFS, s3: S3Client, bucket: str, proxy: Proxy, tmp_path: Path) -> Iterator[Tree]:
    root = tmp_path / "tree"
    for number in range(FILES):
        path = root / f"d{number % 7}" / f"f{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(number, number))
    (root / "f-large").write_bytes(content(12 * MIB))
    state = tmp_path / "state"
    env = environment(seaweedfs) | {"AWS_ENDPOINT_URL": proxy.url, "XDG_STATE_HOME": str(state)}
    tree = Tree(root, bucket, s3, proxy, state, env, tmp_path / "out", tmp_path / "err")
    yield tree
    for process in tree.processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("seed", range(3))
def test_put_goes_on(tree: Tree, seed: int) -> None:
    tree.kill_at("put", random.Random(seed).randint(NOTED_EVERY + 900, FILES - 100))
    noted = tree.noted()
    # What has been answered is some batches ahead of what is told of, and that of what is written.
    assert noted >= NOTED_EVERY / 4
    summary = tree.finish("put")
    assert summary["skipped"] == noted
    # The large one goes first, in parts, and is among those that were noted or not.
    assert tree.proxy.passed["request", "PUT"] in (FILES - noted, FILES - noted + 1)
    assert tree.proxy.passed["request", "HEAD"] == tree.proxy.passed["request", "GET"] == 0
    tree.check()


def test_sync_goes_on(tree: Tree) -> None:
    """What is there is seen in the listing, what was noted needs no HEAD."""
    tree.kill_at("sync", FILES - 300)
    tree.finish("sync")
    tree.check()
    assert tree.finish("sync")["sent"] == 0
