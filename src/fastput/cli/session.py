"""What every command does that sends objects: a client, a display, Ctrl-C, receipts, a summary, an exit status."""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fastput.cli.common import make_client
from fastput.cli.interruption import Interruption
from fastput.cli.progress import Display, make_display
from fastput.cli.report import Reporter
from fastput.client import Client
from fastput.errors import FastputError, ObjectExists, Stalled, UsageError
from fastput.model import Receipt
from fastput.native.allocator import keep_buffers

_T = TypeVar("_T")

STDIN = "-"


@dataclass
class Tally:
    """planned = sent + skipped + failed."""

    planned: int
    receipts: list[Receipt] = field(default_factory=list)
    skipped: int = 0
    failed: int = 0
    first_status: tuple[int, int] | None = None  # (place in the plan, exit status)
    is_resumable: bool = False
    is_stalled: bool = False

    def note_failure(self, place: int, error: FastputError) -> None:
        self.is_resumable |= error.hint is not None
        self.is_stalled |= isinstance(error, Stalled)
        if isinstance(error, ObjectExists):
            self.skipped += 1
        else:
            self.failed += 1
        if self.first_status is None or place < self.first_status[0]:
            self.first_status = (place, error.exit_status)

    @property
    def exit_status(self) -> int:
        return self.first_status[1] if self.first_status else 0


class Notes:
    """Sentences from the engine's threads, printed between two drawings of the display."""

    def __init__(self, reporter: Reporter) -> None:
        self.display: Display | None = None
        self._reporter = reporter
        self._lock = threading.Lock()  # guards the terminal among the engine's threads

    def say(self, text: str) -> None:
        with self._lock:
            if self.display is not None:
                self.display.pause()
            self._reporter.note(text)


def send(
    options: Mapping[str, Any],
    sources: Sequence[str],
    submit: Callable[[Client, Callable[[str], None], str], Future[Receipt]],
    reporter: Reporter,
    at_end: Callable[[Reporter], int] = lambda reporter: 0,
) -> int:
    """Sends all sources and reports on each; returns the exit status.

    Args:
        options: as the command line has given them.
        submit: hands one source to the client, with what takes sentences for people; may raise FastputError.
        at_end: called when all uploads have ended; reports what fails in it and returns an exit status.

    Raises:
        UsageError: an option makes no sense, or the receipts can't be written.
    """
    receipts = open_receipts(options["receipt"])
    keep_buffers()
    notes = Notes(reporter)
    client = make_client(options, notes.say)
    message = "fastput: stopping: ending what is in flight (Ctrl-C again to end at once)\n"
    interruption = Interruption(message, lambda: client.cancel("interrupted"))
    tally = Tally(planned=len(sources))
    places: dict[Future[Receipt], tuple[int, str]] = {}
    for place, source in enumerate(sources):
        try:
            future = submit(client, notes.say, source)
        except FastputError as error:
            tally.note_failure(place, error)
            reporter.failed(source, error)
        else:
            places[future] = (place, source)
    # Beside JSON lines a bar is fine on a terminal; plain lines would end up in the same log.
    is_silent = options["no_progress"] or options["quiet"] or (options["as_json"] and not sys.stderr.isatty())
    display = make_display(client, _total_bytes(sources), not is_silent)
    notes.display = display
    _wait(places, tally, reporter, receipts, display)
    display.close()
    end_status = at_end(reporter)
    if tally.is_resumable:
        reporter.resumable(shlex.join(["fastput", *sys.argv[1:]]))
    reporter.summary(tally.planned, tally.receipts, tally.skipped, tally.failed, client.snapshot().resent_bytes)
    if interruption.has_come or tally.is_stalled:
        # Every upload has said how it ended; threads that still wait for a store or a pipe aren't waited for.
        sys.stdout.flush()
        os._exit(tally.exit_status or end_status)
    client.close()
    return tally.exit_status or end_status


def carry_out(
    options: Mapping[str, Any],
    reporter: Reporter,
    work: Callable[[Client, Display, BinaryIO | None], _T],
    conclude: Callable[[_T, float, bool], int],
) -> int:
    """A client, a display and Ctrl-C around one piece of work; returns the exit status.

    Args:
        work: given the client, the display, and the file for receipts.
        conclude: prints what has come of it, given how long it took and whether it was interrupted; returns the status.

    Raises:
        FastputError: it can't be done at all.
    """
    receipts = open_receipts(options["receipt"])
    keep_buffers()
    client = make_client(options, reporter.note)
    message = "fastput: stopping: ending what is in flight (Ctrl-C again to end at once)\n"
    interruption = Interruption(message, lambda: client.cancel("interrupted"))
    is_silent = options["no_progress"] or options["quiet"] or (options["as_json"] and not sys.stderr.isatty())
    display = make_display(client, None, not is_silent)
    begun_s = time.monotonic()
    try:
        found = work(client, display, receipts)
    finally:
        display.close()
    status = conclude(found, time.monotonic() - begun_s, interruption.has_come)
    if interruption.has_come:
        sys.stdout.flush()
        os._exit(status)  # threads that still wait for a store or a disk aren't waited for
    interruption.end()
    client.close()
    return status


def _wait(
    places: dict[Future[Receipt], tuple[int, str]],
    tally: Tally,
    reporter: Reporter,
    receipts: BinaryIO | None,
    display: Display,
) -> None:
    """Reports each upload as it ends."""
    left = set(places)
    while left:
        done, left = wait(left, timeout=display.interval_s, return_when=FIRST_COMPLETED)
        display.update()
        for future in sorted(done, key=lambda future: places[future][0]):
            place, source = places[future]
            error = future.exception()
            if error is None:
                receipt = future.result()
                tally.receipts.append(receipt)
                if receipts is not None:
                    receipts.write(receipt.to_json().encode() + b"\n")
                display.pause()
                reporter.sent(receipt)
            elif isinstance(error, FastputError):
                tally.note_failure(place, error)
                display.pause()
                reporter.failed(source, error)
            else:
                raise error


def open_receipts(path: str | None) -> BinaryIO | None:
    """The file of --receipt, to be appended to.

    Raises:
        UsageError: it can't be written.
    """
    if path is None:
        return None
    try:
        return open(path, "ab", buffering=0)  # each line is there before the next object is reported
    except OSError as error:
        raise UsageError(f"the receipt file {path} can't be written: {error.strerror}") from None


def _total_bytes(sources: Sequence[str]) -> int | None:
    """For the display; None when it can't be known."""
    try:
        return (
            sum(Path(source).stat().st_size for source in sources if source != STDIN) if STDIN not in sources else None
        )
    except OSError:
        return None
