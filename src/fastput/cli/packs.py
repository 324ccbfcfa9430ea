"""What `fastput put --pack` does and says: archives, an account of every file, and an exit status."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import IO, Any

import click

from fastput.cli.common import merge
from fastput.cli.progress import Display
from fastput.cli.report import Reporter
from fastput.cli.session import carry_out
from fastput.cli.tree_options import make_options
from fastput.client import Client
from fastput.client.packing import PackEvents, PackOptions, PackReport
from fastput.errors import FastputError, Interrupted, UsageError
from fastput.model import Receipt
from fastput.text import printable
from fastput.tree.links import LinkPolicy
from fastput.tree.roots import Root
from fastput.units import format_duration, format_goodput, format_size, parse_size

_ONE = "one"


def run_pack(root: Root, uri: str, options: Mapping[str, Any], reporter: Reporter) -> int:
    """Packs a tree and reports on it; returns the exit status.

    Raises:
        FastputError: it can't be done at all.
    """
    for name in ("last", "hash_prefix", "retry_failed", "content_type"):
        if options[name]:
            raise UsageError(f"--{name.replace('_', '-')} is for files that become objects each: not with --pack")
    tree = make_options(options, how=None)
    source = click.get_current_context().get_parameter_source("links")
    is_given = options["follow"] or source is click.core.ParameterSource.COMMANDLINE
    pack = PackOptions(
        most_bytes=None if options["pack"] == _ONE else parse_size(options["pack"]),
        links=tree.links if is_given else LinkPolicy.RECORD,
        selection=tree.selection,
        is_dry=options["dry_run"],
    )

    def work(client: Client, display: Display, receipts: IO[bytes] | None) -> PackReport:
        shows_all = options["verbose"] or options["as_json"]
        return client.pack(
            root, uri, pack, _Events(reporter, receipts, display, shows_all),
            checksum=options["checksum"],
            storage_class=options["storage_class"],
            metadata=merge(options["metadata"]),
            tags=merge(options["tags"]),
            no_clobber=options["no_clobber"],
            verify_etag=options["verify"] == "etag",
            compress=options["compress"],
            frame_size=options["frame_size"],
        )  # fmt: skip

    def conclude(report: PackReport, took_s: float, is_interrupted: bool) -> int:
        _summarize(report, options, took_s)
        status = 0 if report.first_error is None else report.first_error.exit_status
        return status or (Interrupted.exit_status if is_interrupted else 0)

    return carry_out(options, reporter, work, conclude)


class _Events(PackEvents):
    """Prints, and writes receipts."""

    def __init__(self, reporter: Reporter, receipts: IO[bytes] | None, display: Display, shows_all: bool) -> None:
        self._reporter = reporter
        self._receipts = receipts
        self._display = display
        self._shows_all = shows_all

    def planned(self, uri: str, members: int, size_bytes: int) -> None:
        text = f"would send {uri}: {members:,} members, {format_size(size_bytes)}"
        self._line({"event": "planned", "uri": uri, "members": members, "size_bytes": size_bytes}, text)

    def sent(self, receipt: Receipt) -> None:
        if self._receipts is not None:
            self._receipts.write(json.dumps({"event": "sent", **receipt.to_dict()}).encode() + b"\n")
        self._display.pause()
        self._reporter.sent(receipt)

    def skipped(self, path: bytes, reason: str) -> None:
        if self._shows_all:
            name = os.fsdecode(path)
            self._line({"event": "skipped", "path": name, "reason": reason}, f"skipped {name}: {reason}")

    def failed(self, path: bytes, error: FastputError) -> None:
        if self._receipts is not None:
            document = {"event": "failed", "path": os.fsdecode(path), "message": str(error)}
            self._receipts.write(json.dumps(document).encode() + b"\n")
        self._display.pause()
        self._reporter.failed(os.fsdecode(path), error)

    def note(self, text: str) -> None:
        self._display.pause()
        self._reporter.note(text)

    def _line(self, document: dict[str, Any], text: str) -> None:
        self._display.pause()
        self._reporter.line(document, text)


def _summarize(report: PackReport, options: Mapping[str, Any], took_s: float) -> None:
    skipped = sum(report.skipped.values())
    sent_bytes = sum(receipt.size_bytes for receipt in report.archives)
    if options["as_json"]:
        click.echo(json.dumps({
            "event": "summary", "planned": report.planned, "packed": report.packed, "skipped": skipped,
            "skipped_because": report.skipped, "failed": report.failed, "archives": len(report.archives),
            "bytes": report.packed_bytes, "sent_bytes": sent_bytes, "seconds": round(took_s, 3),
            "goodput_mbps": round(report.packed_bytes * 8e-6 / took_s, 3),
        }))  # fmt: skip
        return
    if options["quiet"]:
        return
    is_dry = options["dry_run"]
    words = ("would be packed", "would be skipped", "can't be") if is_dry else ("packed", "skipped", "failed")
    text = f"{report.packed:,} of {report.planned:,} {words[0]}, {skipped:,} {words[1]}, {report.failed:,} {words[2]}"
    rate = "" if is_dry else f" in {format_duration(took_s)}, {format_goodput(report.packed_bytes / took_s)}"
    count = f", in {len(report.archives):,} archives" if len(report.archives) > 1 else ""
    click.echo(f"{text}: {format_size(report.packed_bytes)}{count}{rate}")
    for reason, number in report.skipped.items():
        click.echo(f"  {number:>9,} skipped: {printable(reason)}")
