"""`fastput survey`: what it prints, and how it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.cli import Cli, environment


@pytest.fixture(scope="module")
def cli() -> Cli:
    return Cli(environment())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "run7"
    (root / "sub").mkdir(parents=True)
    (root / "a.fits").write_bytes(bytes(300_000))
    (root / "sub" / "b.fits").write_bytes(os.urandom(200_000))
    (root / "sub" / "c.log").write_bytes(b"x")
    (root / "link").symlink_to("a.fits")
    return root


def test_for_people(cli: Cli, tree: Path) -> None:
    done = cli("survey", tree)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == str(tree)
    assert "files         3 files, 488.3 KiB, 500,001 bytes" in lines
    assert "directories   1" in lines
    assert "besides       symbolic links: 1" in lines
    assert any(line.startswith("sizes         mean 162.8 KiB, median 195") for line in lines)
    assert f"largest       293.0 KiB  {tree}/a.fits" in lines
    assert any(line.startswith(".fits") and "488.3 KiB" in line for line in lines)
    assert any(line.startswith("compression   zstd -3 makes 1/2.5") for line in lines)
    assert lines[-1].startswith("took ")


def test_for_programs(cli: Cli, tree: Path) -> None:
    done = cli("survey", "--json", "--sample", "0", "--duplicates", tree)
    document = json.loads(done.out)
    assert document["total"] == {"files": 3, "size_bytes": 500_001}
    assert document["extensions"][".fits"] == {"files": 2, "size_bytes": 500_000}
    assert document["compression"] is None
    assert document["duplicates"]["spare"]["files"] == 0


def test_an_empty_directory(cli: Cli, tmp_path: Path) -> None:
    done = cli("survey", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert "files         0 files, 0 B, 0 bytes" in done.out


def test_a_picture(cli: Cli, tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "sizes.png"
    assert cli("survey", "--plot", out, tree).status == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    cli("survey", "--plot", tmp_path / "nowhere" / "x.png", tree).expect_error(2, "nowhere")


def test_what_is_no_directory(cli: Cli, tree: Path) -> None:
    cli("survey", tree / "a.fits").expect_error(3, "not a directory")
    cli("survey", tree / "nowhere").expect_error(3, "no such directory")


def test_names_of_any_kind(cli: Cli, tree: Path) -> None:
    (tree / os.fsdecode(b"\xff\n\x1b[31m.\xfe")).write_bytes(bytes(1_000_000))
    done = cli("survey", tree)
    assert done.status == 0
    assert "\x1b" not in done.out
    json.loads(cli("survey", "--json", tree).out)
