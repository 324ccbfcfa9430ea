"""`fastput put`: options in, uploads through a client, reports out."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import click

from fastput.cli.progress import Display, make_display
from fastput.cli.report import Reporter, make_reporter
from fastput.client import Client
from fastput.client.client import AUTO, resolve_uri
from fastput.client.memory import default_memory_bytes
from fastput.engine.engine import STALL_TIMEOUT_S
from fastput.errors import FastputError, ObjectExists, SourceUnreadable, Stalled, UsageError
from fastput.model import Checksum, ObjectAttributes, Receipt
from fastput.native.allocator import keep_buffers
from fastput.units import parse_size

STDIN = "-"
EPILOG = """
\b
Exit status: 0 every planned object was confirmed by the store; otherwise that of the first object that wasn't:
  1 anything else      2 usage or a limit      3 source unreadable   4 source changed     5 credentials
  6 store's refusal    7 checksum refused      8 object exists       9 no answer       10 interrupted, resumable
 11 nothing moved     12 journal in use      130 interrupted
"""


class Size(click.ParamType):  # type: ignore[type-arg]
    """A size as people write it."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except FastputError as error:
            self.fail(str(error), parameter, context)


class Pairs(click.ParamType):  # type: ignore[type-arg]
    """key=value[,key=value...], as aws s3 takes --metadata."""

    name = "key=value"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in value.split(",")]
        if any(not key or not separator for key, separator, _ in pairs):
            self.fail(f"{value!r} is not key=value", parameter, context)
        return {key.strip(): text for key, _, text in pairs}


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


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("uri", metavar="s3://BUCKET/KEY-OR-PREFIX/")
@click.option("--endpoint-url", help="The store, if it isn't Amazon S3 or the profile's.")
@click.option("--profile", help="A profile of ~/.aws/config.")
@click.option("--region", help="The bucket's region.")
@click.option("--ca-bundle", type=click.Path(dir_okay=False), help="PEM file of certificate authorities to trust.")
@click.option("--no-verify-ssl", is_flag=True, help="Accept any certificate.")
@click.option("--part-size", type=Size(), help="Size of parts, e.g. 16MiB [by the file's size].")
@click.option("--concurrency", type=click.IntRange(min=1), help="Most requests in flight [16].")
@click.option("--memory", type=Size(), help="Most memory for parts in flight [a quarter of the machine's].")
@click.option(
    "--checksum", type=click.Choice([AUTO, *(checksum.value for checksum in Checksum)]), default=AUTO,
    help="What the store checks the bytes against [the strongest that it takes].",
)  # fmt: skip
@click.option("--verify", "verify", type=click.Choice(["etag"]), help="Compare ETags with MD5s, where nobody checks.")
@click.option("--journal", "state_dir", type=click.Path(file_okay=False), metavar="DIR",
              help="Where journals and what stores take are kept [the platform's state directory].")  # fmt: skip
@click.option("--no-resume", is_flag=True, help="Keep no journal, and go on with no earlier upload.")
@click.option("--verify-resume", type=click.Choice(["sample", "all"]), default="sample",
              help="How much of what was sent before is read again [sample].")  # fmt: skip
@click.option("--probe", is_flag=True, help="Find out anew what the store takes.")
@click.option("--stall-timeout", type=click.FloatRange(min=1), default=STALL_TIMEOUT_S, metavar="SECONDS",
              help=f"End when nothing has moved for so long [{STALL_TIMEOUT_S:.0f}].")  # fmt: skip
@click.option("--storage-class", help="E.g. STANDARD_IA, GLACIER_IR.")
@click.option("--metadata", type=Pairs(), multiple=True, help="Metadata of the object: key=value[,key=value...].")
@click.option("--content-type", help="Content-Type of the object.")
@click.option("--tag", "tags", type=Pairs(), multiple=True, help="A tag of the object; repeatable.")
@click.option("--no-clobber", "-n", is_flag=True, help="Leave objects alone that are there already.")
@click.option("--dry-run", "--dryrun", is_flag=True, help="Say what would be sent; send nothing.")
@click.option("--receipt", type=click.Path(dir_okay=False), help="Append each receipt to FILE as a JSON line.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output; the last is the summary.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print more, and tracebacks of errors.")
@click.option("--no-progress", is_flag=True, help="No progress display.")
def put(sources: tuple[str, ...], uri: str, **options: Any) -> int:
    """Upload files, or standard input (-), to an S3 object or under a prefix.

    \b
    fastput put obs.fits s3://bucket/2026/obs.fits
    fastput put *.h5 s3://bucket/run7/
    tar c run7 | fastput put - s3://bucket/run7.tar
    """
    reporter = make_reporter(options["as_json"], options["quiet"], options["verbose"])
    _check_sources(sources, uri)
    attributes = ObjectAttributes(
        options["content_type"], options["storage_class"], _merge(options["metadata"]), _merge(options["tags"])
    )
    attributes.check()
    if options["dry_run"]:
        from fastput.cli.dry_run import dry_run

        memory_bytes = options["memory"] or default_memory_bytes()
        return dry_run(
            sources, uri, options["part_size"], options["concurrency"], memory_bytes, options["checksum"], reporter
        )
    receipts = _open_receipts(options["receipt"])
    keep_buffers()
    if options["no_verify_ssl"]:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # it was asked for
    display_notes = Notes(reporter)
    client = Client(
        endpoint_url=options["endpoint_url"],
        region=options["region"],
        profile=options["profile"],
        ca_bundle=options["ca_bundle"],
        verify=not options["no_verify_ssl"],
        concurrency=options["concurrency"],
        part_size=options["part_size"],
        memory=options["memory"],
        resume=not options["no_resume"],
        state_dir=options["state_dir"],
        probe=options["probe"],
        stall_timeout=options["stall_timeout"],
        on_stall=display_notes.say,
    )
    interruption = Interruption(client)
    tally = Tally(planned=len(sources))
    places: dict[Future[Receipt], tuple[int, str]] = {}
    for place, source in enumerate(sources):
        try:
            future = client.submit(
                _standard_input() if source == STDIN else source,
                uri,
                checksum=options["checksum"],
                content_type=attributes.content_type,
                storage_class=attributes.storage_class,
                metadata=attributes.metadata,
                tags=attributes.tags,
                no_clobber=options["no_clobber"],
                verify_etag=options["verify"] == "etag",
                verify_resume=options["verify_resume"],
                on_note=display_notes.say,
            )
        except FastputError as error:
            tally.note_failure(place, error)
            reporter.failed(source, error)
        else:
            places[future] = (place, source)
    # Beside JSON lines a bar is fine on a terminal; plain lines would end up in the same log.
    is_silent = options["no_progress"] or options["quiet"] or (options["as_json"] and not sys.stderr.isatty())
    display = make_display(client, _total_bytes(sources), not is_silent)
    display_notes.display = display
    _wait(client, places, tally, reporter, receipts, display)
    display.close()
    if tally.is_resumable:
        reporter.resumable(shlex.join(["fastput", *sys.argv[1:]]))
    reporter.summary(tally.planned, tally.receipts, tally.skipped, tally.failed, client.snapshot().resent_bytes)
    if interruption.has_come or tally.is_stalled:
        # Every upload has said how it ended; threads that still wait for a store or a pipe aren't waited for.
        sys.stdout.flush()
        os._exit(tally.exit_status)
    client.close()
    return tally.exit_status


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


class Interruption:
    """Ctrl-C and SIGTERM. The first cancels, and what is in flight ends in order; the second ends the process."""

    def __init__(self, client: Client) -> None:
        self.has_come = False
        self._client = client
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: object) -> None:
        if self.has_come:
            os._exit(130)
        self.has_come = True
        # Not through sys.stderr, which may be in the middle of a line of its own.
        os.write(2, b"fastput: stopping: ending what is in flight (Ctrl-C again to end at once)\n")
        self._client.cancel("interrupted")


def _wait(
    client: Client,
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
                    receipts.flush()
                display.pause()
                reporter.sent(receipt)
            elif isinstance(error, FastputError):
                tally.note_failure(place, error)
                display.pause()
                reporter.failed(source, error)
            else:
                raise error


def _check_sources(sources: tuple[str, ...], uri: str) -> None:
    """Everything that is wrong before anything is sent."""
    if len(sources) > 1:
        if STDIN in sources:
            raise UsageError("standard input (-) goes alone: it has one key")
        if not uri.endswith("/"):
            raise UsageError(f"{len(sources)} files need a prefix: end {uri} with a /")
    keys: dict[str, str] = {}
    for source in sources:
        target = str(resolve_uri(b"" if source == STDIN else source, uri))
        if target in keys:
            raise UsageError(f"{keys[target]} and {source} would both become {target}")
        keys[target] = source


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise SourceUnreadable("standard input is closed: pipe something into fastput put -")
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal: pipe something into fastput put -")
    return open(0, "rb", buffering=0, closefd=False)


def _open_receipts(path: str | None) -> BinaryIO | None:
    if path is None:
        return None
    try:
        return open(path, "ab")
    except OSError as error:
        raise UsageError(f"the receipt file {path} can't be written: {error.strerror}") from None


def _total_bytes(sources: tuple[str, ...]) -> int | None:
    """For the display; None when it can't be known."""
    try:
        return (
            sum(Path(source).stat().st_size for source in sources if source != STDIN) if STDIN not in sources else None
        )
    except OSError:
        return None


def _merge(pairs: tuple[dict[str, str], ...]) -> dict[str, str]:
    return {key: value for group in pairs for key, value in group.items()}
