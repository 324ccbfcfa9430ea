"""Keys of paths, and back; times in metadata."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.native.scan import Entry
from fastput.tree.keys import BadName, Keys
from fastput.tree.times import Preserve, is_time, kept_mtime_ns, metadata

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
paths = texts.map(str.encode)


@given(st.sampled_from(["", "p/", "p"]), st.integers(0, 8), paths)
def test_there_and_back(prefix: str, digits: int, path: bytes) -> None:
    keys = Keys(prefix, digits)
    key = keys.key(path)
    assert keys.path(key) == path
    assert key.startswith(prefix)
    if digits:
        assert key == f"{prefix}{hashlib.sha256(path).hexdigest()[:digits]}/{path.decode()}"
        if digits <= 2:
            assert sum(key.startswith(one) for one in keys.listing_prefixes) == 1


@pytest.mark.parametrize("key", ["", "p", "p/", "q/x", "p/00/a", "p/ca/", "p/ca", "p/CA/a", "p/cax/a"])
def test_keys_of_others(key: str) -> None:
    """sha256(b"a") begins with ca."""
    assert Keys("p/", 2).key(b"a") == "p/ca/a"
    assert Keys("p/", 2).path(key) is None


def test_hashes_are_even() -> None:
    counts = Counter(Keys("", 1).key(b"run/%06d.dat" % i)[0] for i in range(16_000))
    assert len(counts) == 16
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_a_key_that_is_too_long() -> None:
    assert len(Keys("p/").key(b"x" * 1022)) == 1024
    with pytest.raises(BadName, match="1,025 bytes"):
        Keys("p/").key(b"x" * 1023)
    with pytest.raises(BadName, match="1,025 bytes"):
        Keys("p/").key("é".encode() * 511 + b"x")


def entry(mtime_ns: int) -> Entry:
    return Entry(b"x", 0o100640, 1, 0, mtime_ns, 0, 1, 1, 1, 1000, 100)


times_ns = st.integers(-(10**18), 4 * 10**18)


@given(times_ns, st.sampled_from([Preserve.MTIME, Preserve.RCLONE, Preserve.FSX]))
def test_times_there_and_back(mtime_ns: int, preserve: Preserve) -> None:
    kept = metadata(entry(mtime_ns), preserve)
    assert is_time(mtime_ns, kept) is True
    assert is_time(mtime_ns + 1, kept) is False


@pytest.mark.parametrize(
    ("mtime_ns", "text", "is_it"),
    [
        (1_700_000_000_123_456_789, "1700000000.123456789", True),
        (1_700_000_000_500_000_000, "1700000000.5", True),
        (1_700_000_000_123_456_789, "1700000000", True),
        (1_700_000_001_000_000_000, "1700000000", False),
        (-500_000_000, "-0.5", True),
        (-500_000_000, "-0.500000000", True),
        (0, "yesterday", None),
        (0, "", None),
    ],
)
def test_times_of_others(mtime_ns: int, text: str, is_it: bool | None) -> None:
    assert is_time(mtime_ns, {"mtime": text}) is is_it


def test_no_time() -> None:
    assert metadata(entry(1), Preserve.NONE) == {}
    assert is_time(1, {}) is None


def test_owner_and_mode() -> None:
    kept = metadata(entry(0), Preserve.RCLONE)
    assert kept == {"mtime": "0.000000000", "mode": "100640", "uid": "1000", "gid": "100"}
    kept = metadata(entry(0), Preserve.FSX)
    assert (kept["file-permissions"], kept["file-owner"], kept["file-group"]) == ("0100640", "1000", "100")


@pytest.mark.parametrize(
    ("kept", "mtime_ns"),
    [
        ({"mtime": "1700000000"}, 1700000000_000000000),
        ({"mtime": "-1.5"}, -1_500000000),
        ({"mtime": "1.0000000019"}, 1_000000001),
        ({"file-mtime": "1700000000123456789ns"}, 1700000000_123456789),
        ({"mtime": "yesterday"}, None),
        ({}, None),
    ],
)
def test_times_that_are_kept(kept: dict[str, str], mtime_ns: int | None) -> None:
    assert kept_mtime_ns(kept) == mtime_ns
