"""What is kept on this machine, and may have been written by anybody: journals, profiles, receipts."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.formats.receipt import Receipts, Shipped, parse_line
from fastput.model import ConfirmedPart, ObjectUri, Receipt, SourceStat
from fastput.profile import AMAZON, StoreProfile
from fastput.state import Journal, JournalEntry, journals, profiles
from fastput.state.rows import Damaged, dump_entry, dump_part, load_entry, load_parts
from tests.fuzz.support import JSON, bent_json, fuzz, kept, raises_only

SIZE_BYTES = 30_000_000
ENTRY = JournalEntry(
    "http://store:1", "bucket", "key", "/source", SourceStat(1, 2, SIZE_BYTES, 3, 4), "upload", 8_000_000, "crc64nvme",
    "trailer", "digest", 1.5,
)  # fmt: skip
PARTS = [
    ConfirmedPart(n, (n - 1) * 8_000_000, 8_000_000, f'"{n}"', n, "AAAAAAAAAAA=", b"note" * (n % 2)) for n in (1, 2, 3)
]
UPLOAD = 7

# ---- rows


@fuzz(400)
@given(JSON.map(json.dumps) | bent_json(asdict(ENTRY)).map(json.dumps) | st.text())
def test_entries(text: str) -> None:
    found = raises_only((Damaged,), lambda: load_entry(text))
    if found is not None:
        assert isinstance(found, JournalEntry)
        assert load_entry(dump_entry(found)) == found
        assert found.source_stat.size_bytes > 0


@kept("entry")
def test_kept_entries(data: bytes) -> None:
    raises_only((Damaged,), lambda: load_entry(data.decode(errors="surrogateescape")))


# What SQLite may hand out.
_cells = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
_rows = st.lists(_cells, min_size=8, max_size=8)


def _bend_row(number: int, place: int, value: object) -> list[list[Any]]:
    rows = [list(dump_part(part, UPLOAD)) for part in PARTS]
    rows[number][place] = value
    return rows


@fuzz(400)
@given(st.lists(_rows, max_size=3) | st.builds(_bend_row, st.integers(0, 2), st.integers(0, 7), _cells))
def test_rows(rows: list[list[Any]]) -> None:
    found = raises_only((Damaged,), lambda: load_parts(rows, UPLOAD, SIZE_BYTES))
    if found is not None:
        assert found == tuple(PARTS[: len(rows)]), "a row that wasn't written is believed"


# ---- journals


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("valid")
    journal = Journal.open(directory, ENTRY.endpoint, ObjectUri("bucket", "key"), ENTRY.source)
    journal.begin(ENTRY, PARTS)
    journal.close()
    (path,) = directory.glob("*.journal")
    return path.read_bytes()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


def check_journal(directory: Path, content: bytes) -> None:
    path = directory / f"{'0' * 32}.journal"
    path.write_bytes(content)
    found = raises_only((), lambda: list(journals(directory)))
    assert isinstance(found, list)
    for summary in found:
        if summary.entry is None:
            assert summary.finding
        else:
            assert (summary.entry, summary.confirmed_parts, summary.confirmed_bytes) == (ENTRY, 3, 24_000_000)


@fuzz(150)
@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=4),
       st.none() | st.integers(0, 1 << 20))  # fmt: skip
def test_bent_journals(directory: Path, valid: bytes, changes: list[tuple[int, bytes]], cut: int | None) -> None:
    bent = bytearray(valid)
    for place, data in changes:
        offset = place % len(bent)
        bent[offset : offset + len(data)] = data
    check_journal(directory, bytes(bent[: None if cut is None else cut % len(bent)]))


@fuzz(60)
@given(facts=st.lists(st.tuples(st.sampled_from(["entry", "completing", "x"]), _cells, _cells), max_size=3),
       parts=st.lists(_rows, max_size=2))  # fmt: skip
def test_journals_of_anything(directory: Path, valid: bytes, facts: list[Any], parts: list[list[Any]]) -> None:
    """SQLite's own checks pass: only ours are left."""
    path = directory / "made"
    path.write_bytes(valid)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("DELETE FROM fact")
    connection.execute("DELETE FROM part")
    for statement, rows in (("fact VALUES (?,?,?)", facts), ("part VALUES (?,?,?,?,?,?,?,?)", parts)):
        for row in rows:
            try:
                connection.execute(f"INSERT OR REPLACE INTO {statement}", row)
            except (sqlite3.IntegrityError, UnicodeEncodeError):
                pass  # NOT NULL, and surrogates
    connection.commit()
    connection.close()
    check_journal(directory, path.read_bytes())


# ---- profiles


@fuzz(500)
@given(JSON | bent_json(AMAZON.to_dict()))
def test_profiles(document: Any) -> None:
    # int() of an infinity raises OverflowError; profiles.load() doesn't hand one on.
    found = raises_only((ValueError, OverflowError), lambda: StoreProfile.from_dict(document))
    if found is not None:
        check_profile(found)


def check_profile(found: object) -> None:
    assert isinstance(found, StoreProfile)
    assert StoreProfile.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert 1 <= found.max_parts <= 10_000
    assert found.limits.max_object_bytes > 0
    found.protection(None)


@kept("profile")
def test_kept_profiles(data: bytes, tmp_path: Path) -> None:
    profiles.save(tmp_path, "http://store", {}, 0)
    (path,) = tmp_path.iterdir()
    path.write_bytes(data)
    document = raises_only((), lambda: profiles.load(tmp_path, "http://store", 10.0, 100.0))
    if isinstance(document, dict):
        found = raises_only((ValueError,), lambda: StoreProfile.from_dict(document))
        if found is not None:
            check_profile(found)


@fuzz(200)
@given(st.binary() | bent_json({"format": 1, "endpoint": "http://store", "found_at": 1, "profile": {}}).map(
    lambda document: json.dumps(document).encode()))  # fmt: skip
def test_files_of_profiles(directory: Path, data: bytes) -> None:
    profiles.save(directory, "http://store", {}, 0)
    (path,) = directory.glob("*.endpoint")
    path.write_bytes(data)
    document = raises_only((), lambda: profiles.load(directory, "http://store", 10.0, 100.0))
    assert document is None or isinstance(document, dict)


# ---- receipts

RECEIPT = Receipt(
    "/source", "bucket", "key", None, '"etag"', 16_000_000, "AAAAAAAAAAE=", "crc64nvme", True, True,
    tuple(PARTS[:2]), ENTRY.source_stat, "upload", 1.0, 2.0, 0, digests={"md5": "0" * 32},
).to_dict()  # fmt: skip
RECEIPT["parts"] = list(RECEIPT["parts"])


def check_receipt(found: object) -> None:
    assert isinstance(found, Shipped)
    assert found.size_bytes >= 0
    assert found.uri.bucket
    assert found.uri.key
    assert 0 <= found.crc64nvme < 2**64
    assert not found.part_bytes or sum(found.part_bytes) == found.size_bytes
    assert len(found.part_checksums) == len(found.part_bytes)


@fuzz(500)
@given(st.binary() | (JSON | bent_json(RECEIPT)).map(lambda value: json.dumps(value).encode()))
def test_receipts(line: bytes) -> None:
    found = raises_only((ValueError,), lambda: parse_line(line))
    if found is not None:
        check_receipt(found)


@kept("receipt")
def test_kept_receipts(data: bytes) -> None:
    found = raises_only((ValueError,), lambda: parse_line(data))
    if found is not None:
        check_receipt(found)


@fuzz(60)
@given(st.lists(st.binary(max_size=50) | st.sampled_from([b"{}", b'{"event":"summary"}', b"[" * 50_000]), max_size=5))
def test_files_of_receipts(directory: Path, lines: list[bytes]) -> None:
    path = directory / "receipts"
    path.write_bytes(b"\n".join(lines))
    found = raises_only((UsageError,), lambda: Receipts(str(path)))
    if isinstance(found, Receipts):
        assert all(place.error is not None for place in found.places)
        found.close()
