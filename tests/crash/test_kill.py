"""kill -9 at any moment of an upload; the same command again makes the object, and sends little twice."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import PART_BYTES, PARTS, SIZE_BYTES, THROTTLED_BYTES_PER_S, WINDOW, Case
from tests.crash.proxy import READ_BYTES, Moment

SEEDS = range(50)
KINDS = ["time", "time", "answer", "body", "several"]


def kill_at_time(case: Case, after_s: float) -> None:
    """If it has ended by then, it is put again and has half the time."""
    while True:
        process = case.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()  # it may have ended just before
        ended = case.end(process)
        if ended.status == -signal.SIGKILL:
            case.was_killed()
            return
        case.check_object(case.expect_sent(ended))
        case.kills = case.proxy.part_bytes = 0  # nothing is left to go on with
        after_s /= 2


def kill_at(case: Case, when: Callable[[Moment], bool], *options: str) -> None:
    case.proxy.cut()
    trap = case.proxy.trap(when)
    process = case.start(*options)
    case.wait_for(trap, process)
    case.kill(process)


def kill_once(case: Case, source: random.Random, kind: str, clean_s: float) -> None:
    # So many parts are to be sent at least: what was in flight at a kill may have arrived.
    left = PARTS - case.confirmed() - WINDOW * case.kills
    if kind == "time" or left < 1:
        kill_at_time(case, source.uniform(0, clean_s))
        return
    number = source.randint(1, left)
    if kind == "answer":
        kill_at(case, lambda moment: moment.is_answer("UploadPart", number))
    else:
        # The last part is shorter than the others, and its last piece begins before its end.
        body_bytes = source.randrange(SIZE_BYTES % PART_BYTES - READ_BYTES)
        kill_at(case, lambda moment: moment.is_inside("UploadPart", number, body_bytes))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{KINDS[seed % len(KINDS)]}-{seed}")
def test_at_any_moment(case: Case, clean_s: float, seed: int) -> None:
    source = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    case.proxy.bytes_per_s = THROTTLED_BYTES_PER_S
    for each in source.choices(["time", "answer", "body"], k=source.randint(2, 4)) if kind == "several" else [kind]:
        kill_once(case, source, each, clean_s)
    before_bytes, noted = case.proxy.part_bytes, case.confirmed()
    case.proxy.bytes_per_s = None
    sent = case.put()
    # What the client says it took over agrees with what passed.
    assert sent.resumed_bytes + (case.proxy.part_bytes - before_bytes) == SIZE_BYTES + sent.event["resent_bytes"]
    assert sent.resumed_bytes >= (noted - 1) * PART_BYTES  # one of them may be the last, which is shorter
    case.check_object(sent)
    case.check_left()
    assert SIZE_BYTES <= case.proxy.part_bytes <= SIZE_BYTES + case.kills * WINDOW * PART_BYTES


def test_what_was_answered_is_not_sent_again(case: Case) -> None:
    """The answers that the client has seen, with the upload standing still at the next."""
    kill_at(case, lambda moment: moment.is_answer("UploadPart", 20))
    sent = case.put()
    assert sent.resumed_bytes >= 19 * PART_BYTES
    assert sent.resumed_bytes % PART_BYTES == 0
    case.check_object(sent)
    case.check_left()


def test_before_the_upload_is_known(case: Case) -> None:
    """Created on the store, and killed before it could be written down: nobody can know of it."""
    case.put()  # finds out what the store takes, with uploads of its own
    kill_at(case, lambda moment: moment.is_answer("Create"))
    assert len(case.orphans) == 1
    sent = case.put()
    assert sent.resumed_bytes == 0
    case.check_object(sent)
    case.check_left()


def test_while_it_finds_out_what_the_store_takes(case: Case) -> None:
    kill_at(case, lambda moment: moment.is_answer("Probe"))
    sent = case.put()
    case.check_object(sent)
    case.check_left()


def test_between_the_last_part_and_complete(case: Case) -> None:
    kill_at(case, lambda moment: moment.is_request("Complete"))
    assert case.confirmed() == PARTS
    before_bytes = case.proxy.part_bytes
    sent = case.put()
    assert sent.resumed_bytes == SIZE_BYTES
    assert case.proxy.part_bytes == before_bytes
    case.check_object(sent)
    case.check_left()


def test_completed_and_nobody_heard(case: Case) -> None:
    kill_at(case, lambda moment: moment.is_answer("Complete"))
    before_bytes = case.proxy.part_bytes
    sent = case.put()
    assert case.proxy.part_bytes == before_bytes
    case.check_object(sent)
    case.check_left()


def test_killed_while_it_resumes(case: Case) -> None:
    """While it asks the store what is there, and at its first new part, each time."""
    kill_at(case, lambda moment: moment.is_answer("UploadPart", 10))
    for when in (
        lambda moment: moment.is_request("ListParts"),
        lambda moment: moment.is_answer("ListParts"),
        lambda moment: moment.is_inside("UploadPart", 1, 1 << 20),
        lambda moment: moment.is_answer("UploadPart", 1),
        lambda moment: moment.is_request("Complete"),
        lambda moment: moment.is_answer("Complete"),
    ):  # fmt: skip
        kill_at(case, when)
    sent = case.put()
    case.check_object(sent)
    case.check_left()
    # Two of the kills came while parts were in flight, and the first.
    assert case.proxy.part_bytes <= SIZE_BYTES + 3 * WINDOW * PART_BYTES


def test_all_is_read_again(case: Case) -> None:
    kill_at(case, lambda moment: moment.is_answer("UploadPart", 25))
    sent = case.put("--verify-resume", "all")
    assert sent.resumed_bytes >= 24 * PART_BYTES
    case.check_object(sent)
    case.check_left()


def test_without_resuming(case: Case) -> None:
    """The journal stays as it is, and so does the upload."""
    kill_at(case, lambda moment: moment.is_answer("UploadPart", 10))
    left = case.known()
    sent = case.put("--no-resume")
    assert sent.resumed_bytes == 0
    case.check_object(sent)
    assert left == case.known() <= case.uploads()
    sent = case.put()
    assert sent.resumed_bytes >= 9 * PART_BYTES
    case.check_object(sent)
    case.check_left()


def test_a_directory_of_ones_own(case: Case, tmp_path: Path) -> None:
    case.journal = tmp_path / "elsewhere"
    option = ("--journal", str(case.journal))
    kill_at(case, lambda moment: moment.is_answer("UploadPart", 10), *option)
    sent = case.put(*option)
    assert sent.resumed_bytes >= 9 * PART_BYTES
    case.check_object(sent)
    case.check_left()
    assert not (tmp_path / "fastput").exists()
