"""Where journals go."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fastput.errors import JournalError
from fastput.state import state_directory

linux = pytest.mark.skipif(sys.platform != "linux", reason="XDG directories are Linux's")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@linux
@pytest.mark.parametrize("override", [None, ""])
def test_the_platforms_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str | None) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert state_directory(override) == tmp_path / "state" / "fastput"
    assert mode(tmp_path / "state" / "fastput") == 0o700


@linux
def test_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory(None) == tmp_path / ".local/state/fastput"


@pytest.mark.parametrize("umask", [0, 0o777])
def test_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.umask(umask)
    try:
        path = state_directory("journals")
    finally:
        os.umask(before)
    assert path == tmp_path / "journals"
    assert mode(path) == 0o700


def test_one_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o755)
    assert state_directory(str(path)) == path
    assert mode(path) == 0o755


@pytest.mark.parametrize("name", ["file", "file/below", "x\0y"])
def test_one_that_can_not_be_made(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match=r"--journal DIR.*--no-resume"):
        state_directory(str(tmp_path / name))


NOT_OURS = """
import os, sys
from fastput.errors import JournalError
from fastput.state import state_directory
os.setuid(12345)
for directory in sys.argv[1:]:
    try:
        state_directory(directory)
    except JournalError as error:
        print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_one_that_can_not_be_written(tmp_path: Path) -> None:
    """/usr is another user's."""
    command = [sys.executable, "-c", NOT_OURS, "/usr", "/usr/new"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done
    assert all("--journal DIR" in line and "--no-resume" in line for line in lines)
