"""What the command line prints: lines for people, or JSON lines for programs."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Sequence
from typing import Any, Protocol

import click

from fastput.errors import FastputError, ObjectExists
from fastput.model import Receipt
from fastput.text import printable
from fastput.units import format_duration, format_goodput, format_size


class Reporter(Protocol):
    """Called once for each object, then once with the summary."""

    def sent(self, receipt: Receipt) -> None: ...

    def failed(self, source: str, error: FastputError) -> None: ...

    def planned(self, source: str, uri: str, size_bytes: int | None, parts: int | None, part_bytes: int) -> None: ...

    def summary(
        self, planned: int, receipts: Sequence[Receipt], skipped: int, failed: int, resent_bytes: int
    ) -> None: ...

    def plan_summary(self, planned: int, failed: int) -> None:
        """After planned() alone: nothing was sent."""

    def note(self, text: str) -> None:
        """Something that was found on the way."""

    def line(self, document: dict[str, Any], text: str) -> None:
        """What became of a file that wasn't sent: for programs, and for people."""

    def resumable(self, command: str) -> None:
        """Before the summary: this command goes on with what has failed."""


def make_reporter(as_json: bool, is_quiet: bool, is_verbose: bool) -> Reporter:
    """The reporter for these options."""
    return JsonReporter() if as_json else TextReporter(is_quiet, is_verbose)


class TextReporter:
    """One line an object on standard output; errors on standard error."""

    def __init__(self, is_quiet: bool, is_verbose: bool) -> None:
        self._is_quiet = is_quiet
        self._is_verbose = is_verbose
        self._started_at = time.monotonic()

    def sent(self, receipt: Receipt) -> None:
        size = format_size(receipt.size_bytes)
        if (content := receipt.content) is not None and content.size_bytes:
            size += f" of {format_size(content.size_bytes)} ({receipt.size_bytes / content.size_bytes:.0%})"
        self._line(f"{receipt.uri}  {size}  crc64nvme {receipt.crc64nvme}  {receipt.protection}")
        if self._is_verbose:
            parts = f"{len(receipt.parts)} parts" if receipt.upload_id else "one request"
            again = f"{format_size(receipt.resent_bytes)} sent again"
            before = f", {format_size(receipt.resumed_bytes)} sent by an earlier run" if receipt.resumed_bytes else ""
            self._line(f"    etag {receipt.etag}  {parts}  {again}{before}")

    def failed(self, source: str, error: FastputError) -> None:
        click.echo(f"fastput: {error}", err=True)
        if self._is_verbose:
            details = {name: getattr(error, name) for name in ("status", "code", "request_id", "part")}
            shown = ", ".join(f"{k}={v}" for k, v in details.items() if v is not None)
            click.echo(f"    {printable(shown)}", err=True)
            for line in "".join(traceback.format_exception(error)).split("\n"):
                click.echo(printable(line), err=True)

    def planned(self, source: str, uri: str, size_bytes: int | None, parts: int | None, part_bytes: int) -> None:
        size = "of unknown length" if size_bytes is None else format_size(size_bytes)
        how = f"{parts:,} parts of {format_size(part_bytes)}" if parts else "one request"
        if size_bytes is None:
            how = f"parts from {format_size(part_bytes)}, growing"
        self._line(f"would send {source} ({size}) to {uri} in {how}")

    def summary(self, planned: int, receipts: Sequence[Receipt], skipped: int, failed: int, resent_bytes: int) -> None:
        if planned == 1 and not receipts:
            return  # the error's line has said it
        duration_s = time.monotonic() - self._started_at
        size_bytes = sum(receipt.size_bytes for receipt in receipts)
        text = f"{len(receipts)} of {planned} sent, {skipped} skipped, {failed} failed: {format_size(size_bytes)}"
        self._line(f"{text} in {format_duration(duration_s)}, {format_goodput(size_bytes / duration_s)}")

    def plan_summary(self, planned: int, failed: int) -> None:
        pass  # the lines have said it

    def note(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(f"fastput: {printable(text)}", err=True)

    def line(self, document: dict[str, Any], text: str) -> None:
        self._line(text)

    def resumable(self, command: str) -> None:
        click.echo(f"fastput: to go on: {printable(command)}", err=True)

    def _line(self, text: str) -> None:
        if not self._is_quiet:
            click.echo(printable(text))


class JsonReporter:
    """One JSON object a line on standard output, and nothing else there."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()

    def sent(self, receipt: Receipt) -> None:
        self._line({"event": "sent", **receipt.to_dict()})

    def failed(self, source: str, error: FastputError) -> None:
        fields = ("bucket", "key", "part", "status", "code", "request_id", "upload_id")
        kind = "skipped" if isinstance(error, ObjectExists) else "failed"
        details = {name: getattr(error, name) for name in fields}
        self._line({"event": kind, "source": source, "error": type(error).__name__, "message": str(error),
                    "exit_status": error.exit_status, "is_resumable": error.hint is not None, **details})  # fmt: skip

    def planned(self, source: str, uri: str, size_bytes: int | None, parts: int | None, part_bytes: int) -> None:
        self._line({"event": "planned", "source": source, "uri": uri, "size_bytes": size_bytes, "parts": parts,
                    "part_bytes": part_bytes})  # fmt: skip

    def summary(self, planned: int, receipts: Sequence[Receipt], skipped: int, failed: int, resent_bytes: int) -> None:
        duration_s = time.monotonic() - self._started_at
        size_bytes = sum(receipt.size_bytes for receipt in receipts)
        self._line(
            {
                "event": "summary",
                "planned": planned,
                "sent": len(receipts),
                "skipped": skipped,
                "failed": failed,
                "bytes": size_bytes,
                "seconds": round(duration_s, 3),
                "goodput_mbps": round(size_bytes * 8 / 1e6 / duration_s, 3),
                "resent_bytes": resent_bytes,
            }
        )

    def plan_summary(self, planned: int, failed: int) -> None:
        self.summary(planned, (), planned - failed, failed, 0)

    def note(self, text: str) -> None:
        self._line({"event": "note", "message": text})

    def line(self, document: dict[str, Any], text: str) -> None:
        self._line(document)

    def resumable(self, command: str) -> None:
        self._line({"event": "resumable", "command": command})

    def _line(self, document: dict[str, Any]) -> None:
        click.echo(json.dumps(document))
