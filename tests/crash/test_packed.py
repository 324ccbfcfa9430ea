"""kill -9 in the middle of an archive that is never written: it goes on where it was."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.crash.conftest import KEY, PART_BYTES, Case
from tests.crash.test_kill import kill_at
from tests.support.content import MIB, content


@pytest.fixture
def tree(case: Case, tmp_path: Path) -> Case:
    case.source = tmp_path / "tree"
    case.source.mkdir()
    for number in range(300):
        (case.source / f"{number:03d}").write_bytes(content(200_000 + number, number % 7))
    (case.source / "large").write_bytes(content(20 * MIB))
    return case


@pytest.mark.parametrize("compress", [[], ["--compress=1"]])
def test_it_goes_on(tree: Case, tmp_path: Path, compress: list[str]) -> None:
    kill_at(tree, lambda moment: moment.is_answer("UploadPart", 8), "--pack", "--concurrency", "1", *compress)
    ended = tree.end(tree.start("--pack", *compress))
    assert (ended.status, ended.err) == (0, ""), ended
    sent = next(event for event in ended.events if event["event"] == "sent")
    assert sent["resumed_bytes"] >= 4 * PART_BYTES
    path = tmp_path / "archive"
    tree.s3.download_file(tree.bucket, sent["key"], str(path))
    if compress:
        subprocess.run(["zstd", "-q", "-d", path, "-o", tmp_path / "plain"], check=True)
        path = tmp_path / "plain"
    assert sent["key"] == f"{KEY}.tar" + (".zst" if compress else "")
    with tarfile.open(path) as opened:
        for member in opened.getmembers():
            data = opened.extractfile(member).read()  # type: ignore[union-attr]
            assert data == (tree.source / member.name).read_bytes(), member.name
    index = {row.split(b'"')[3]: row for row in _lines(tree, sent["key"])}
    assert len(index) == 301
    tree.check_left()


def _lines(tree: Case, key: str) -> list[bytes]:
    return tree.s3.get_object(Bucket=tree.bucket, Key=f"{key}.jsonl")["Body"].read().splitlines()


def test_a_tree_that_is_another_one_now(tree: Case) -> None:
    kill_at(tree, lambda moment: moment.is_answer("UploadPart", 8), "--pack")
    os.utime(tree.source / "100", (1, 1))
    ended = tree.end(tree.start("--pack"))
    assert ended.status == 0, ended
    assert next(event for event in ended.events if event["event"] == "sent")["resumed_bytes"] == 0
