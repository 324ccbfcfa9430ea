"""What was learnt of a store."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.state import profiles

ENDPOINT = "https://s3.example.com:9000"
NOW = 1_700_000_000.0
DAY_S = 86_400.0
PROFILE: dict[str, Any] = {"max_parts": 1000, "takes_trailers": True, "name": "é"}


def only(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_round_trip(tmp_path: Path) -> None:
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) is None
    profiles.save(tmp_path, ENDPOINT, {"old": 1}, NOW - 5)
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    profiles.save(tmp_path, "https://other", {}, NOW)
    assert profiles.load(tmp_path, ENDPOINT, NOW + 1, DAY_S) == PROFILE
    assert profiles.load(tmp_path, "https://other", NOW, DAY_S) == {}
    profiles.forget(tmp_path, ENDPOINT)
    profiles.forget(tmp_path, ENDPOINT)
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) is None
    assert only(tmp_path).suffix == ".endpoint"


def test_age(tmp_path: Path) -> None:
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    assert profiles.load(tmp_path, ENDPOINT, NOW + DAY_S, DAY_S) == PROFILE
    assert profiles.load(tmp_path, ENDPOINT, NOW + DAY_S + 1, DAY_S) is None
    assert profiles.load(tmp_path, ENDPOINT, NOW - 1, DAY_S) is None


def test_the_owner_alone_reads_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(only(tmp_path).stat().st_mode) == 0o600


def test_a_directory_that_can_not_be_written(tmp_path: Path) -> None:
    profiles.save(tmp_path / "missing", ENDPOINT, PROFILE, NOW)
    assert profiles.load(tmp_path / "missing", ENDPOINT, NOW, DAY_S) is None


def test_a_save_that_fails_leaves_nothing(tmp_path: Path) -> None:
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    path = only(tmp_path)
    path.unlink()
    path.mkdir()
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    assert only(tmp_path) == path
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) is None


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    path = only(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) is None


good = {"format": 1, "endpoint": ENDPOINT, "found_at": NOW, "profile": PROFILE}


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"endpoint": "https://other"}, {"found_at": None}, {"found_at": float("nan")}, {"found_at": "now"},
     {"profile": []}, {"profile": None}],
    ids=str,
)  # fmt: skip
def test_what_nobody_saved(tmp_path: Path, change: dict[str, object]) -> None:
    profiles.save(tmp_path, ENDPOINT, PROFILE, NOW)
    only(tmp_path).write_text(json.dumps(good))
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) == PROFILE
    only(tmp_path).write_text(json.dumps(good | change))
    assert profiles.load(tmp_path, ENDPOINT, NOW, DAY_S) is None


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("profiles")
    profiles.save(directory, ENDPOINT, PROFILE, NOW)
    return only(directory)


@given(content=st.binary() | st.sampled_from([b"[" * 60_000, b"{}" + b" " * (1 << 20), b"9" * 10_000]))
def test_any_content(saved: Path, content: bytes) -> None:
    saved.write_bytes(content)
    assert profiles.load(saved.parent, ENDPOINT, NOW, DAY_S) is None


def test_every_cut(saved: Path) -> None:
    profiles.save(saved.parent, ENDPOINT, PROFILE, NOW)
    content = saved.read_bytes()
    for length_bytes in range(len(content)):
        saved.write_bytes(content[:length_bytes])
        assert profiles.load(saved.parent, ENDPOINT, NOW, DAY_S) is None
