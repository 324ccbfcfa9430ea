"""Journals to try things on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastput.model import ConfirmedPart, ObjectUri, SourceStat
from fastput.state import Journal, JournalEntry

ROOT = Path(__file__).parents[2]
ENDPOINT = "https://s3.example.com"
URI = ObjectUri("bucket", "some/key.bin")
SOURCE = "/data/some\udcffname"
PART_BYTES = 5 << 20
WAIT_S = 30


def entry(parts: int = 10_000, **changes: Any) -> JournalEntry:
    values: dict[str, Any] = {
        "endpoint": ENDPOINT,
        "bucket": URI.bucket,
        "key": URI.key,
        "source": SOURCE,
        "source_stat": SourceStat(2**40, 2**63, parts * PART_BYTES, -1, 1_700_000_000_123_456_789),
        "upload_id": "up.load~id",
        "part_bytes": PART_BYTES,
        "checksum": "crc64nvme",
        "carriage": "trailer",
        "attributes": "",
        "created_at": 1_700_000_000.25,
    }
    return JournalEntry(**values | changes)


def part(number: int) -> ConfirmedPart:
    crc64nvme = 2**64 - number  # the sign bit is set
    return ConfirmedPart(number, (number - 1) * PART_BYTES, PART_BYTES, f'"etag-{number}"', crc64nvme, "AAAAAAAAAAA=")


def parts(numbers: Iterable[int]) -> tuple[ConfirmedPart, ...]:
    return tuple(part(number) for number in numbers)


def open_journal(directory: Path) -> Journal:
    return Journal.open(directory, ENDPOINT, URI, SOURCE)


def database(directory: Path) -> Path:
    """The only journal's file."""
    (path,) = directory.glob("*.journal")
    return path


def child(script: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process that has all of this module."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom tests.state.samples import *\n"
    command = [sys.executable, "-c", head + script, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **options
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    got = process.stdout.readline().strip()
    assert got, "the child has ended"
    return got
