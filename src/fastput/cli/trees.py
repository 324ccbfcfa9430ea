"""What `fastput put DIR` and `fastput sync` do and say: an account of every file, and an exit status."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import IO, Any

import click

from fastput.cli.common import merge
from fastput.cli.progress import Display
from fastput.cli.report import Reporter
from fastput.cli.session import carry_out
from fastput.client import Client
from fastput.client.trees import TreeEvents, TreeReport
from fastput.errors import FastputError, Interrupted, SourceError, StoreError, UsageError
from fastput.model import Receipt
from fastput.text import printable
from fastput.tree.decide import Send, Skip
from fastput.tree.roots import Root
from fastput.tree.transfer import TransferOptions
from fastput.units import format_duration, format_goodput, format_size

_READ_BYTES = 1 << 20


def run(root: Root, uri: str, transfer: TransferOptions, options: Mapping[str, Any], reporter: Reporter) -> int:
    """Transfers a tree and reports on it; returns the exit status.

    Raises:
        FastputError: it can't be done at all.
    """

    def work(client: Client, display: Display, receipts: IO[bytes] | None) -> TreeReport:
        shows_all = options["verbose"] or options["as_json"]
        return client.transfer(
            root, uri, transfer, _Events(reporter, receipts, display, shows_all),
            checksum=options["checksum"],
            content_type=options.get("content_type"),
            storage_class=options.get("storage_class"),
            metadata=merge(options.get("metadata", ())),
            tags=merge(options.get("tags", ())),
            no_clobber=bool(options.get("no_clobber")),
            verify_etag=options["verify"] == "etag",
            compress=options.get("compress"),
            frame_size=options.get("frame_size"),
        )  # fmt: skip

    def conclude(report: TreeReport, took_s: float, is_interrupted: bool) -> int:
        _summarize(report, options, took_s)
        return _status(report, is_interrupted)

    return carry_out(options, reporter, work, conclude)


class _Events(TreeEvents):
    """Prints, and writes receipts."""

    def __init__(
        self, reporter: Reporter, receipts: IO[bytes] | None, display: Display, shows_all: bool
    ) -> None:
        self._reporter = reporter
        self._receipts = receipts
        self._display = display
        self._shows_all = shows_all
        self._shown_s = 0.0

    def planned(self, send: Send) -> None:
        text = f"would send {os.fsdecode(send.found.path)} to {send.key}"
        self._line({"event": "planned", "path": _text(send.found.path), "key": send.key,
                    "size_bytes": send.found.entry.size_bytes, "reason": send.reason},
                   text + (f" ({send.reason})" if send.reason else ""))  # fmt: skip

    def sent(self, send: Send, receipt: Receipt) -> None:
        if self._receipts is not None:
            self._receipt({"event": "sent", "path": _text(send.found.key_path), **receipt.to_dict()})
        if self._shows_all:
            self._display.pause()
            self._reporter.sent(receipt)
        self._tick()

    def skipped(self, skip: Skip) -> None:
        if self._receipts is not None or self._shows_all:
            document = {"event": "skipped", "path": _text(skip.path), "reason": skip.reason}
            self._receipt(document)
            if self._shows_all:
                self._line(document, f"skipped {os.fsdecode(skip.path)}: {skip.reason}")
        self._tick()

    def failed(self, path: bytes, error: FastputError) -> None:
        self._receipt({"event": "failed", "path": _text(path), "error": type(error).__name__, "message": str(error)})
        self._display.pause()
        self._reporter.failed(os.fsdecode(path), error)

    def deleted(self, key: str, is_planned: bool) -> None:
        self._receipt({"event": "deleted", "key": key})
        word = "would delete" if is_planned else "deleted"
        if self._shows_all or is_planned:
            self._line({"event": word.replace(" ", "_"), "key": key}, f"{word} {key}")

    def not_deleted(self, key: str, error: FastputError) -> None:
        self._display.pause()
        self._reporter.failed(key, error)

    def note(self, text: str) -> None:
        self._display.pause()
        self._reporter.note(text)

    def _tick(self) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= self._display.interval_s:
            self._shown_s = now_s
            self._display.update()

    def _line(self, document: dict[str, Any], text: str) -> None:
        self._display.pause()
        self._reporter.line(document, text)

    def _receipt(self, document: dict[str, Any]) -> None:
        if self._receipts is not None:
            self._receipts.write(json.dumps(document).encode() + b"\n")


def _summarize(report: TreeReport, options: Mapping[str, Any], took_s: float) -> None:
    skipped = sum(report.skipped.values())
    if options["as_json"]:
        click.echo(json.dumps({
            "event": "summary", "planned": report.planned, "sent": report.sent, "skipped": skipped,
            "skipped_because": dict(report.skipped), "failed": report.failed, "deleted": report.deleted,
            "not_deleted": report.not_deleted, "hard_links": report.hard_links, "bytes": report.sent_bytes,
            "seconds": round(took_s, 3), "goodput_mbps": round(report.sent_bytes * 8e-6 / took_s, 3),
        }))  # fmt: skip
        return
    if options["quiet"]:
        return
    is_dry = options["dry_run"]
    words = ("would be sent", "would be skipped", "can't be") if is_dry else ("sent", "skipped", "failed")
    text = f"{report.sent:,} of {report.planned:,} {words[0]}, {skipped:,} {words[1]}, {report.failed:,} {words[2]}"
    if report.deleted or report.not_deleted:
        text += f"; {report.deleted:,} {'would be deleted' if is_dry else 'deleted'}"
        text += f", {report.not_deleted:,} could not be" if report.not_deleted else ""
    rate = "" if is_dry else f" in {format_duration(took_s)}, {format_goodput(report.sent_bytes / took_s)}"
    click.echo(f"{text}: {format_size(report.sent_bytes)}{rate}")
    for reason, count in report.skipped.items():
        click.echo(f"  {count:>9,} skipped: {printable(reason)}")
    if report.hard_links:
        click.echo(f"  {report.hard_links:>9,} have several names (hard links): each was sent")


def _status(report: TreeReport, is_interrupted: bool) -> int:
    if report.first_error is not None:
        return report.first_error.exit_status
    if is_interrupted:
        return Interrupted.exit_status
    return StoreError.exit_status if report.not_deleted else 0


def _text(path: bytes) -> str:
    """For JSON: bytes that aren't UTF-8 as surrogates, which it escapes."""
    return os.fsdecode(path)


def read_list(path: str, is_zero: bool) -> Iterator[bytes]:
    """The names in a list, one a line or with a zero behind each; `-` is standard input.

    Raises:
        SourceError: it can't be read.
    """
    try:
        file = open(0, "rb", closefd=False) if path == "-" else open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise SourceError(f"the list {path} can't be read: {error.strerror}") from None
    return _names(file, b"\0" if is_zero else b"\n")


def _names(file: IO[bytes], separator: bytes) -> Iterator[bytes]:
    with file:
        rest = b""
        while piece := file.read(_READ_BYTES):
            *whole, rest = (rest + piece).split(separator)
            yield from (name for name in whole if name)
        if rest:
            yield rest


def failed_before(path: str) -> set[bytes]:
    """The paths of files that failed, and haven't been sent since, in a file of receipts.

    Raises:
        UsageError: it can't be read.
    """
    failed: set[bytes] = set()
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    document = json.loads(line)
                    event, name = document["event"], os.fsencode(document.get("path", ""))
                except (ValueError, KeyError, TypeError, AttributeError):
                    raise UsageError(f"{path}, line {number}: not a receipt of a directory") from None
                if name and event == "failed":
                    failed.add(name)
                elif name and event == "sent":
                    failed.discard(name)
    except OSError as error:
        raise UsageError(f"the receipts {path} can't be read: {error.strerror}") from None
    return failed
