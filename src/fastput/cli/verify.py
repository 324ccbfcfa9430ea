"""`fastput verify`: whether objects are the files that they should be, or what their receipts say."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

import click

from fastput.cli.common import EPILOG, connection_options, make_store
from fastput.cli.report import make_reporter
from fastput.cli.rules import OrderedRules, rule_options
from fastput.client.arguments import resolve_uri
from fastput.errors import FastputError, UsageError
from fastput.model import ObjectUri
from fastput.source import FileSource
from fastput.text import printable
from fastput.tree.keys import MAX_HASH_DIGITS
from fastput.units import format_duration, format_goodput, format_size

if TYPE_CHECKING:
    from fastput.cli.verify_trees import Task
    from fastput.client.verifier import Verification, Verifier
    from fastput.formats.receipt import Place, Receipts

_CONCURRENCY = 8
_OUTCOMES = ("same", "differs", "missing", "unproven")


@click.command(cls=OrderedRules, no_args_is_help=True, epilog=EPILOG)
@click.argument("arguments", nargs=-1, metavar="[SRC... s3://BUCKET/KEY-OR-PREFIX/]")
@click.option("--receipt", type=click.Path(dir_okay=False), metavar="FILE",
              help="Receipts of `put`: verify all objects in them; with SRC: heed how its object was cut.")  # fmt: skip
@click.option("--deep", is_flag=True, help="Download the objects, rather than believe what the store keeps of them.")
@rule_options
@click.option("--follow", is_flag=True, help="Follow symbolic links in directories.")
@click.option("--hash-prefix", type=click.IntRange(0, MAX_HASH_DIGITS), default=0, metavar="N",
              help="The keys were given N digits of a hash by `put` or `sync`.")  # fmt: skip
@connection_options
@click.option("--concurrency", type=click.IntRange(1, 64), default=_CONCURRENCY,
              help=f"Most pieces that are read or downloaded at a time [{_CONCURRENCY}].")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output; the last is the summary.")
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
@click.option("--verbose", "-v", is_flag=True, help="Print each file of a directory, and tracebacks of errors.")
def verify(arguments: tuple[str, ...], **options: Any) -> int:
    """Prove that objects are the files that they should be, without downloading them where the store keeps a checksum.

    \b
    fastput verify obs.fits s3://bucket/2026/obs.fits
    fastput verify *.h5 s3://bucket/run7/
    fastput verify run7/ s3://bucket/run7/          # all that lies in a directory
    fastput verify run7/ s3://bucket/run7.tar.zst   # the same, packed
    fastput verify --receipt shipment.jsonl         # a whole shipment, later; the files needn't exist

    Each object is the same, differs, is missing, or is unproven: then --deep downloads it. What put has compressed or
    packed is compared by its content; of what an archive has and the directory hasn't, there is no such file.
    """
    # Here, because `fastput put` imports this module and needs none of them.
    from fastput.cli.verify_trees import archive_of, of_archive, of_trees
    from fastput.client.verifier import Verifier
    from fastput.formats.receipt import Receipts

    receipts = Receipts(options["receipt"]) if options["receipt"] else None
    is_tree = bool(options["hash_prefix"]) or any(os.path.isdir(source) for source in arguments[:-1])
    archive = archive_of(arguments[-1]) if is_tree and not options["hash_prefix"] else None
    if not arguments:
        tasks = _of_receipts(receipts, options["deep"])
    elif not is_tree:
        tasks = _of_files(arguments, receipts, options["deep"])
    elif archive is None:
        tasks = of_trees(arguments, _comparing(receipts, options["deep"]), options)
    store = make_store(options)
    shows_all = options["verbose"] or not is_tree
    reporter: _Lines = _JsonLines(options) if options["as_json"] else _TextLines(options, shows_all)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    verifier = Verifier(store, options["concurrency"])
    if archive is not None:
        tasks = of_archive(arguments[:-1], archive, verifier, options)
    status = 0
    for source, outcome in _in_order(verifier, tasks, options["concurrency"]):
        if isinstance(outcome, FastputError):
            reporter.failed(source, outcome)
            status = status or outcome.exit_status
        else:
            reporter.verified(outcome)
            status = status or outcome.to_dict()["exit_status"]
    reporter.summary()
    verifier.close()
    store.close()
    return status


def _interrupted(number: int, frame: object) -> None:
    # Nothing is written anywhere, so that nothing has to be waited for; each line is out when it was printed.
    os.write(2, b"fastput: interrupted\n")
    os._exit(130)


def _in_order(
    verifier: Verifier, tasks: Iterator[Task], concurrency: int
) -> Iterator[tuple[str, Verification | FastputError]]:
    """What becomes of each task, in their order, several under way."""
    from fastput.client.hashing import in_order

    def run(task: Task) -> tuple[str, Verification | FastputError]:
        source, work = task
        try:
            return source, work(verifier)
        except FastputError as error:
            return source, error

    with ThreadPoolExecutor(concurrency, thread_name_prefix="fastput-object") as pool:
        yield from in_order(pool, run, tasks, 2 * concurrency)


def _of_files(arguments: Sequence[str], receipts: Receipts | None, deep: bool) -> Iterator[Task]:
    """
    Raises:
        UsageError: they are no files and a URI.
    """
    *sources, uri = arguments
    if not sources:
        raise UsageError(f"what is to be compared with {uri}? write fastput verify FILE {uri}, or give --receipt alone")
    if "-" in sources:
        raise UsageError("standard input can't be read twice: give a file")
    if len(sources) > 1 and not uri.endswith("/"):
        raise UsageError(f"{len(sources)} files need a prefix: end {uri} with a /")
    ObjectUri.parse(uri)
    task = _comparing(receipts, deep)
    return (task(source, resolve_uri(source, uri)) for source in sources)


def _comparing(receipts: Receipts | None, deep: bool) -> Callable[[str, ObjectUri], Task]:
    """What compares a file with an object."""
    lock = threading.Lock()  # guards the file of receipts

    def task(source: str, target: ObjectUri) -> Task:
        def compare(verifier: Verifier) -> Verification:
            with lock:
                shipped = receipts.find(target) if receipts is not None else None
            with closing(FileSource(source)) as opened:
                return verifier.verify(opened, target, deep, shipped)

        return source, compare

    return task


def _of_receipts(receipts: Receipts | None, deep: bool) -> Iterator[Task]:
    """
    Raises:
        UsageError: there are no receipts.
    """
    if receipts is None:
        raise UsageError("what is to be verified? write fastput verify FILE s3://bucket/key, or give --receipt FILE")
    places = receipts.places
    if not places:
        raise UsageError("there are no receipts in the file: nothing to verify")
    lock = threading.Lock()  # guards the file of receipts

    def task(place: Place) -> Task:
        def compare(verifier: Verifier) -> Verification:
            if place.error is not None:
                raise place.error
            with lock:
                shipped = receipts.at(place)
            return verifier.verify_shipped(shipped, deep)

        return f"line {place.line}", compare

    return (task(place) for place in places)


class _Lines(Protocol):
    """Called once for each object, in their order, then once for the summary."""

    def verified(self, verification: Verification) -> None: ...

    def failed(self, source: str, error: FastputError) -> None: ...

    def summary(self) -> None: ...


class _Counts:
    """verified = same + differs + missing + unproven + failed."""

    def __init__(self) -> None:
        self.of = dict.fromkeys((*_OUTCOMES, "failed"), 0)
        self.size_bytes = 0
        self._started_s = time.monotonic()

    def note(self, outcome: str, size_bytes: int | None = None) -> None:
        self.of[outcome] += 1
        self.size_bytes += size_bytes or 0

    @property
    def total(self) -> int:
        return sum(self.of.values())

    @property
    def seconds(self) -> float:
        return max(time.monotonic() - self._started_s, 1e-3)


class _TextLines:
    """A line an object: on standard output if it is the same, and shown at all then, otherwise on standard error."""

    def __init__(self, options: dict[str, Any], shows_all: bool) -> None:
        self._shows_all = shows_all
        self._is_quiet = options["quiet"]
        self._errors = make_reporter(False, options["quiet"], options["verbose"])
        self._counts = _Counts()

    def verified(self, verification: Verification) -> None:
        self._counts.note(verification.outcome.value, verification.size_bytes)
        error = verification.error()
        if error is not None:
            click.echo(f"fastput: {error}", err=True)
        elif self._shows_all:
            size = format_size(verification.size_bytes or 0)
            self._line(f"{verification.uri}  {size}  same, by {verification.proof}")

    def failed(self, source: str, error: FastputError) -> None:
        self._counts.note("failed")
        self._errors.failed(source, error)

    def summary(self) -> None:
        counts = self._counts
        if counts.total == 1 and self._shows_all:
            return  # its line has said it
        text = ", ".join(f"{number} {outcome}" for outcome, number in counts.of.items())
        text = text.replace(" same", f" of {counts.total} same", 1)
        duration = format_duration(counts.seconds)
        goodput = format_goodput(counts.size_bytes / counts.seconds)
        self._line(f"{text}: {format_size(counts.size_bytes)} in {duration}, {goodput}")

    def _line(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(printable(text))


class _JsonLines:
    """One JSON object a line on standard output, and nothing else there."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._errors = make_reporter(True, options["quiet"], options["verbose"])
        self._counts = _Counts()

    def verified(self, verification: Verification) -> None:
        self._counts.note(verification.outcome.value, verification.size_bytes)
        click.echo(json.dumps({"event": "verified", **verification.to_dict()}))

    def failed(self, source: str, error: FastputError) -> None:
        self._counts.note("failed")
        self._errors.failed(source, error)

    def summary(self) -> None:
        counts = self._counts
        numbers = {"bytes": counts.size_bytes, "seconds": round(counts.seconds, 3)}
        click.echo(json.dumps({"event": "summary", "verified": counts.total, **counts.of, **numbers}))
