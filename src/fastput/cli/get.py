"""`fastput get`: objects, prefixes and members of archives become files."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.arriving import Arriving
from fastput.cli.cat import pour
from fastput.cli.common import EPILOG, connection_options, make_reading_client
from fastput.cli.interruption import Interruption
from fastput.cli.report import make_reporter
from fastput.client.reading.uris import Location
from fastput.errors import FastputError, Interrupted, ObjectExists, UsageError
from fastput.units import format_duration, format_goodput, format_size

if TYPE_CHECKING:
    from fastput.client.reading.got import Got

STDOUT = "-"


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("sources", nargs=-1, metavar="s3://BUCKET/KEY-OR-PREFIX/[/MEMBER]...")
@click.argument("destination", metavar="DST")
@connection_options
@click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight for each object [16].")
@click.option("--raw", is_flag=True, help="Compressed objects as they are stored.")
@click.option("--no-clobber", "-n", is_flag=True, help="Leave files alone that are there already.")
@click.option("--dry-run", "--dryrun", is_flag=True, help="Say what would be got; write nothing.")
@click.option("--recursive", is_flag=True, hidden=True)  # aws's word: prefixes always are
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output; the last is the summary.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print each file of a prefix or archive, and tracebacks of errors.")
@click.option("--no-progress", is_flag=True, help="No progress display.")
def get(sources: tuple[str, ...], destination: str, **options: Any) -> int:
    """Download objects, prefixes, or members of archives, to a file, a directory, or standard output (-).

    Files are compared with the checksums before they get their names. What put has compressed is decompressed.

    \b
    fastput get s3://bucket/2026/obs.fits .
    fastput get s3://bucket/run7/ run7                        # all that lies under a prefix
    fastput get s3://bucket/obs.tar.zst//2026/a.fits .        # one member of an archive, and nothing else of it
    fastput get s3://bucket/obs.tar.zst// obs                 # all of them
    fastput get s3://bucket/obs.tar.zst - | tar x
    """
    if not sources:
        raise UsageError(f"where is {destination} to go? give a file, a directory, or - for standard output, too")
    locations = [Location.parse(source) for source in sources]
    if destination == STDOUT:
        if len(sources) > 1:
            raise UsageError("standard output (-) takes one object or one member")
        return pour(locations[0], options, byte_range=None)
    client = make_reading_client(options, concurrency=options["concurrency"])
    message = "fastput: stopping: ending what is in flight (Ctrl-C again to end at once)\n"
    interruption = Interruption(message, lambda: client.cancel("interrupted"))
    switches = {name: options[name] for name in ("raw", "no_clobber", "dry_run")}
    has_many = any(location.is_prefix for location in locations)
    lines = _Lines(options, shows_all=options["verbose"] or not has_many)
    is_silent = options["no_progress"] or options["quiet"] or not sys.stderr.isatty()
    status = 0
    try:
        with Arriving(is_shown=not is_silent, is_one=len(sources) == 1 and not has_many) as arriving:
            for got in client.get_all(sources, destination, **switches, on_progress=arriving.note):
                arriving.ended(got)
                with arriving.room():
                    lines.note(got)
                if got.error is not None:
                    status = status or got.error.exit_status
    except Interrupted as error:
        lines.failed(destination, error)
        status = error.exit_status
    lines.summary()
    if interruption.has_come:
        # Threads that still wait for a store aren't waited for.
        sys.stdout.flush()
        os._exit(status or Interrupted.exit_status)
    client.close()
    return status


class _Lines:
    """got + skipped + failed."""

    def __init__(self, options: dict[str, Any], shows_all: bool) -> None:
        self._reporter = make_reporter(options["as_json"], options["quiet"], options["verbose"])
        self._is_json = options["as_json"]
        self._shows_all = shows_all
        self._is_dry = options["dry_run"]
        self._counts = dict.fromkeys(("got", "skipped", "failed"), 0)
        self._size_bytes = 0
        self._started_s = time.monotonic()

    def note(self, got: Got) -> None:
        if got.error is not None:
            self.failed(got.source, got.error)
            return
        self._counts["got"] += 1
        self._size_bytes += got.size_bytes
        document = {"event": "planned" if self._is_dry else "got", **got.to_dict()}
        size = format_size(got.size_bytes)
        if self._is_dry:
            text = f"would get {got.source} ({size}) to {got.path}"
        else:
            text = f"{got.path}  {size}  {f'compared by {got.proof}' if got.proof else 'not compared'}"
        self._line(document, text, self._shows_all or self._is_dry)

    def failed(self, source: str, error: FastputError) -> None:
        self._counts["skipped" if isinstance(error, ObjectExists) else "failed"] += 1
        self._reporter.failed(source, error)

    def summary(self) -> None:
        total, seconds = sum(self._counts.values()), max(time.monotonic() - self._started_s, 1e-3)
        document = {"event": "summary", "planned": total, **self._counts, "bytes": self._size_bytes,
                    "seconds": round(seconds, 3)}  # fmt: skip
        counts = ", ".join(f"{number} {outcome}" for outcome, number in self._counts.items())
        text = counts.replace(" got", f" of {total} got", 1)
        goodput = format_goodput(self._size_bytes / seconds)
        text = f"{text}: {format_size(self._size_bytes)} in {format_duration(seconds)}, {goodput}"
        # The line of a single one has said it.
        self._line(document, text, not self._is_dry and (total != 1 or not self._shows_all))

    def _line(self, document: dict[str, Any], text: str, is_shown: bool) -> None:
        """JSON is for programs, which want all of it."""
        if self._is_json or is_shown:
            self._reporter.line(document, text)
