"""Lists of digests, read by the tools that they are for."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from fastput.formats.manifest import Payload, bag_files, casda_line, checksum_line
from tests.support.content import content

NAMES = ["plain", "two words", " leading", "trailing ", "new\nline", "back\\slash", "\\n", "car\rriage", "end\r", "é☄",
         os.fsdecode(b"not utf-8 \xff\xfe"), "*star", "-dash", "#hash", "tab\t", 'quote"']  # fmt: skip


@pytest.mark.parametrize("tool", ["sha256sum", "md5sum"])
def test_coreutils_agree(tmp_path: Path, tool: str) -> None:
    for seed, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(content(seed * 1000, seed + 1))
    algorithm = tool.removesuffix("sum")
    listed = b"".join(
        checksum_line(hashlib.new(algorithm, (tmp_path / name).read_bytes()).hexdigest(), name) for name in NAMES
    )
    ours = subprocess.run([tool, "--strict", "-c", "-"], cwd=tmp_path, input=listed, capture_output=True)
    assert ours.returncode == 0, ours
    theirs = subprocess.run([tool, "--", *NAMES], cwd=tmp_path, capture_output=True, check=True).stdout
    assert listed == theirs
    with (tmp_path / "new\nline").open("ab") as file:
        file.write(b"x")
    assert subprocess.run([tool, "-c", "-"], cwd=tmp_path, input=listed, capture_output=True).returncode == 1


def test_casda() -> None:
    assert casda_line("0000cafe", "00" * 20, 0) == b"0000cafe " + b"00" * 20 + b" 0\n"
    assert casda_line("0000cafe", "ab" * 20, 48 << 40).split()[2] == b"300000000000"


def test_a_bag() -> None:
    payload = [Payload("a b", 5, "a" * 64), Payload("run7/50%\r\n", 6, "b" * 64)]
    files = bag_files(payload, "2026-01-02", "fastput 1")
    assert list(files) == ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
    assert files["bagit.txt"] == b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
    assert b"Payload-Oxum: 11.2\n" in files["bag-info.txt"]
    assert b"Bagging-Date: 2026-01-02\n" in files["bag-info.txt"]
    manifest = files["manifest-sha256.txt"].decode().split("\n")
    assert manifest == [f"{'a' * 64}  data/a b", f"{'b' * 64}  data/run7/50%25%0D%0A", ""]
    for listed in files["tagmanifest-sha256.txt"].decode().splitlines():
        digest, name = listed.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest
