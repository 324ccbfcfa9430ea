"""kill -9 in the middle of a compressed upload: it goes on at the border of a frame, with other bytes than before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fastput.formats.tail import Tail, load_tail
from tests.crash.conftest import PART_BYTES, Case
from tests.crash.test_kill import kill_at
from tests.support.content import MIB, crc64nvme_base64

SIZE_BYTES = 96 * MIB


@pytest.fixture
def samples(case: Case, tmp_path: Path) -> Case:
    case.source = tmp_path / "samples.raw"
    noise = np.random.default_rng(1).normal(0, 40, SIZE_BYTES // 2).astype("<i2")
    case.source.write_bytes(noise.tobytes())
    return case


def check(case: Case, sent: dict[str, object]) -> None:
    stored = case.s3.get_object(Bucket=case.bucket, Key=str(sent["key"]))["Body"].read()
    data = case.source.read_bytes()
    assert subprocess.run(["zstd", "-dc"], input=stored, capture_output=True, check=True).stdout == data
    assert sent["crc64nvme"] == crc64nvme_base64(stored)
    made = sent["content"]
    assert isinstance(made, dict)
    assert (made["size_bytes"], made["crc64nvme"]) == (len(data), crc64nvme_base64(data))


@pytest.mark.parametrize("again", ["--compress=1", "--compress=6", "--compress=auto"])
def test_what_was_answered_is_not_sent_again(samples: Case, again: str) -> None:
    """The level may be another one: frames are independent."""
    # One after another: what goes on is what lies without a gap behind the beginning.
    kill_at(samples, lambda moment: moment.is_answer("UploadPart", 6), "--compress=1", "--concurrency", "1")
    sent = samples.put(again)
    assert sent.resumed_bytes >= 3 * PART_BYTES
    assert "going on" in sent.notes
    check(samples, sent.event)
    samples.check_left()


def test_a_file_that_is_another_one_now(samples: Case) -> None:
    kill_at(samples, lambda moment: moment.is_answer("UploadPart", 6), "--compress=1", "--concurrency", "1")
    data = bytearray(samples.source.read_bytes())
    data[10] ^= 1
    samples.source.write_bytes(data)
    sent = samples.put("--compress=1")
    assert sent.resumed_bytes == 0
    check(samples, sent.event)


def test_bytes_that_were_changed_behind_its_back(samples: Case) -> None:
    """With the mtime set back: the ctime tells, and all that was sent is read again."""


    kill_at(samples, lambda moment: moment.is_answer("UploadPart", 6), "--compress=1", "--concurrency", "1")
    before = samples.source.stat()
    data = bytearray(samples.source.read_bytes())
    data[7 * MIB] ^= 1
    samples.source.write_bytes(data)
    os.utime(samples.source, ns=(before.st_atime_ns, before.st_mtime_ns))
    sent = samples.put("--compress=1")
    assert sent.resumed_bytes == 0
    assert "isn't what it was" in sent.notes
    check(samples, sent.event)


def test_all_of_it_had_been_sent(samples: Case) -> None:
    """Killed before Complete: nothing is added to what the last part ends with."""
    kill_at(samples, lambda moment: moment.is_request("Complete"), "--compress=1", "--concurrency", "1")
    sent = samples.put("--compress=1")
    check(samples, sent.event)
    stored = samples.s3.get_object(Bucket=samples.bucket, Key=sent.event["key"])["Body"].read()
    tail = load_tail(stored, len(stored))
    assert isinstance(tail, Tail)
    assert tail.table is not None
    assert tail.table.content_bytes == SIZE_BYTES
    samples.check_left()
