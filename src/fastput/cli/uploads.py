"""`fastput uploads`: multipart uploads that were begun and never ended, listed, gone on with, and ended."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from fastput.cli.common import (
    DURATION,
    EPILOG,
    checksum_option,
    connection_options,
    journal_option,
    make_store,
    output_options,
    patience_options,
    receipt_option,
    sending_options,
)
from fastput.cli.report import make_reporter
from fastput.cli.session import STDIN, send
from fastput.client import Client
from fastput.client.arguments import AUTO, resolve_uri
from fastput.client.uploads import OpenUpload, Uploads, resumable_checksum
from fastput.errors import FastputError, JournalError, StoreError, UsageError
from fastput.model import Checksum, ListedUpload, ObjectUri, Receipt
from fastput.state.directory import state_directory
from fastput.text import printable
from fastput.units import format_duration, format_size

_EPILOG = """
\b
Exit status: 0, also if there was none; otherwise that of the first error, as listed by fastput put --help:
  2 usage or a limit    5 credentials       6 store's refusal
  9 no answer          12 it is being sent  130 interrupted
"""


@click.group(epilog=_EPILOG)
def uploads() -> None:
    """Multipart uploads that were begun and never ended.

    They hold space that is paid for, and no list of objects shows them.
    """


json_option = click.option(
    "--json", "as_json", is_flag=True, help="JSON lines on standard output; the last is the summary."
)


@uploads.command("ls", no_args_is_help=True, epilog=_EPILOG)
@click.argument("uri", metavar="s3://BUCKET[/PREFIX]")
@click.option("--older-than", type=DURATION, metavar="AGE", help="Only those begun so long ago: 45s, 30m, 12h, 7d.")
@connection_options
@journal_option
@json_option
def list_uploads(uri: str, **options: Any) -> int:
    """List them: age, parts, size, key, upload ID, who knows them.

    By key, and of one key the oldest first.

    \b
    fastput uploads ls s3://bucket
    fastput uploads ls s3://bucket/2026/ --older-than 7d
    """
    target, lines = ObjectUri.parse(uri), _Lines(options["as_json"])
    total = _Total()
    with lines.ends_with(lambda: lines.listed(target, total, options["older_than"])), _opened(options, lines) as found:
        listed = found.listed(target, is_prefix=True, min_age_s=options["older_than"])
        for upload in found.measured(listed):
            lines.upload(upload)
            total.add(upload)
            if upload.error is not None and lines.status == 0:
                lines.failed(upload.uri, upload.upload_id, upload.error)  # once: it is the same for all of them
    return lines.status


@uploads.command("abort", no_args_is_help=True, epilog=_EPILOG)
@click.argument("uri", metavar="s3://BUCKET/KEY-OR-PREFIX/")
@click.option("--upload-id", metavar="ID", help="Only this one of the key's.")
@click.option("--older-than", type=DURATION, metavar="AGE",
              help="Only those begun so long ago: 45s, 30m, 7d. A bucket or a prefix needs it; 0s: all.")  # fmt: skip
@click.option("--dry-run", "--dryrun", is_flag=True, help="Say what would be aborted; abort nothing.")
@connection_options
@journal_option
@json_option
def abort(uri: str, **options: Any) -> int:
    """End them, and free what they hold.

    All uploads of exactly that key; of a bucket, or a prefix that ends in a /, those that are old enough. What a
    process on this machine is sending, with a journal, is left alone. A stream, and what is sent with --no-resume or
    from another machine, can't be known: choose an age that none of them reaches.

    \b
    fastput uploads abort s3://bucket/2026/obs.fits
    fastput uploads abort s3://bucket/2026/ --older-than 7d
    """
    target, upload_id, older_than_s = ObjectUri.parse(uri), options["upload_id"], options["older_than"]
    is_prefix = upload_id is None and (not target.key or target.key.endswith("/"))
    if upload_id is not None and not target.key:
        raise UsageError(f"{uri} names no key: whose upload is {upload_id}?")
    if is_prefix and older_than_s is None:
        raise UsageError(
            f"{uri} may name uploads that are being sent: give --older-than, e.g. --older-than 7d (0s for all)"
        )
    lines, total = _Lines(options["as_json"]), _Total()
    is_dry = options["dry_run"]
    with lines.ends_with(lambda: lines.aborted(target, total, older_than_s, is_dry)), _opened(options, lines) as found:
        if upload_id is not None and older_than_s is None:
            listed: Iterator[ListedUpload] = iter([ListedUpload(target, upload_id, 0.0)])
        else:
            listed = found.listed(target, is_prefix, older_than_s)
            listed = (upload for upload in listed if upload_id in (None, upload.upload_id))
        for upload, error in found.ended(listed, is_dry):
            if error is None:
                lines.ended(upload, is_dry)
                total.add(upload)
            else:
                total.left += 1
                lines.failed(upload.uri, upload.upload_id, error)
    return lines.status


@uploads.command("resume", no_args_is_help=True, epilog=EPILOG)
@click.argument("uri", metavar="s3://BUCKET/KEY")
@click.argument("source", metavar="SRC")
@click.option("--upload-id", metavar="ID", help="Go on with this one [the newest of the key].")
@connection_options
@sending_options
@checksum_option
@patience_options
@click.option("--no-clobber", "-n", is_flag=True, help="Leave an object alone that is there already.")
@receipt_option
@output_options
def resume(uri: str, source: str, **options: Any) -> int:
    """Go on with one that this machine doesn't know.

    It was begun on another machine, or by another program. Every part that the store has is compared with SRC; what
    differs or is missing is sent. An upload with a journal goes on when it is put again: fastput put needs no ID.

    \b
    fastput uploads resume s3://bucket/2026/obs.fits obs.fits
    """
    reporter = make_reporter(options["as_json"], options["quiet"], options["verbose"])
    if source == STDIN:
        raise UsageError("standard input can't be compared with what the store has: give a file")
    target = resolve_uri(source, uri)

    def submit(client: Client, say: Callable[[str], None], path: str) -> Future[Receipt]:
        upload = _chosen(options, target, say)
        checksum = resumable_checksum(upload, options["checksum"])

        def go_on(checksum: str) -> Future[Receipt]:
            return client.submit(
                path,
                str(target),
                checksum=checksum,
                no_clobber=options["no_clobber"],
                verify_etag=options["verify"] == "etag",
                upload_id=upload.upload_id,
                on_note=say,
            )

        return _or_with_md5(go_on, upload, say) if checksum == AUTO else go_on(checksum)

    return send({**options, "no_resume": False}, [source], submit, reporter)


def _chosen(options: Mapping[str, Any], target: ObjectUri, say: Callable[[str], None]) -> ListedUpload:
    """The upload to go on with."""
    if options["upload_id"] is not None:
        return ListedUpload(target, options["upload_id"], 0.0)
    found = _uploads(options, say)
    try:
        return found.newest(target)
    finally:
        found.close()


def _or_with_md5(
    go_on: Callable[[str], Future[Receipt]], upload: ListedUpload, say: Callable[[str], None]
) -> Future[Receipt]:
    """Tries the strongest checksum, which a store refuses whose upload was begun with another one, or with none.

    Few stores list what an upload was begun with; Amazon names the none in its refusal of a part.
    """
    outcome: Future[Receipt] = Future()
    outcome.set_running_or_notify_cancel()

    def settle(done: Future[Receipt]) -> None:
        if (error := done.exception()) is None:
            outcome.set_result(done.result())
            return
        if isinstance(error, StoreError) and error.code == "InvalidRequest":
            error = StoreError(
                f"{error.message}; an upload that was begun with other checksums, as boto3 and the AWS CLI do, can't "
                f"be gone on with: fastput uploads abort {upload.uri} --upload-id {upload.upload_id}, then fastput put",
                bucket=error.bucket, key=error.key, part=error.part, status=error.status, code=error.code,
                request_id=error.request_id,
            )  # fmt: skip
        outcome.set_exception(error)

    def first(done: Future[Receipt]) -> None:
        error = done.exception()
        if not isinstance(error, StoreError) or "checksum type: null" not in error.message.lower():
            settle(done)
            return
        say(f"{upload.uri}: the upload was begun without a checksum: going on with {Checksum.MD5.value}")
        try:
            go_on(Checksum.MD5.value).add_done_callback(settle)
        except FastputError as failure:  # the client is being closed
            outcome.set_exception(failure)

    go_on(AUTO).add_done_callback(first)
    return outcome


def _uploads(options: Mapping[str, Any], say: Callable[[str], None]) -> Uploads:
    store = make_store(options)
    directory: Path | None = None
    try:
        directory = state_directory(options["state_dir"])
    except JournalError as error:
        say(f"which uploads this machine knows of can't be told: {error.message}")
    return Uploads(store, directory, say)


@contextmanager
def _opened(options: Mapping[str, Any], lines: _Lines) -> Iterator[Uploads]:
    found = _uploads(options, lines.note)
    try:
        yield found
    except KeyboardInterrupt:
        # Threads that wait for a store aren't waited for.
        click.echo("fastput: interrupted", err=True)
        sys.stdout.flush()
        os._exit(130)
    finally:
        found.close()


class _Total:
    """What was listed or aborted. unknown: uploads whose size the store doesn't say; left: not aborted."""

    def __init__(self) -> None:
        self.uploads = self.parts = self.size_bytes = self.unknown = self.left = 0

    def add(self, upload: OpenUpload) -> None:
        self.uploads += 1
        self.parts += upload.parts or 0
        self.size_bytes += upload.size_bytes or 0
        self.unknown += upload.size_bytes is None

    def __str__(self) -> str:
        return f"{self.uploads:,} {'upload' if self.uploads == 1 else 'uploads'}, {format_size(self.size_bytes)}"

    @property
    def rest(self) -> str:
        return f"; the size of {self.unknown:,} isn't known" if self.unknown else ""


class _Lines:
    """What these commands print: a line an upload, for people or as JSON. status is the first error's."""

    def __init__(self, as_json: bool) -> None:
        self.status = 0
        self._as_json = as_json

    @contextmanager
    def ends_with(self, summary: Callable[[], None]) -> Iterator[None]:
        """The summary at the end; as JSON after an error too."""
        try:
            yield
        except FastputError as error:
            self.failed(None, None, error)
        summary()

    def upload(self, upload: OpenUpload) -> None:
        if self._as_json:
            self._json({"event": "upload", **_details(upload)})
            return
        age = "age ?" if upload.age_s is None else format_duration(upload.age_s)
        known = f"  {upload.sender} is sending this key now" if upload.sender else ""
        known += f"  begun here from {upload.source}" if upload.source else ""
        self._print(f"{age:>8}  {_held(upload)}  {upload.uri}  {upload.upload_id}{known}")

    def ended(self, upload: OpenUpload, is_dry: bool) -> None:
        if self._as_json:
            self._json({"event": "would abort" if is_dry else "aborted", **_details(upload)})
            return
        self._print(f"{'would abort' if is_dry else 'aborted'}  {_held(upload)}  {upload.uri}  {upload.upload_id}")

    def failed(self, uri: ObjectUri | None, upload_id: str | None, error: FastputError) -> None:
        self.status = self.status or error.exit_status
        if self._as_json:
            self._json(
                {
                    "event": "failed", "uri": str(uri) if uri else None, "upload_id": upload_id,
                    "error": type(error).__name__, "message": str(error), "exit_status": error.exit_status,
                    "status": error.status, "code": error.code, "request_id": error.request_id,
                }
            )  # fmt: skip
            return
        click.echo(f"fastput: {error}", err=True)

    def note(self, text: str) -> None:
        if self._as_json:
            self._json({"event": "note", "message": text})
        else:
            click.echo(f"fastput: {printable(text)}", err=True)

    def listed(self, target: ObjectUri, total: _Total, older_than_s: float | None) -> None:
        if self._as_json:
            self._json(
                {"event": "summary", "uploads": total.uploads, "parts": total.parts, "bytes": total.size_bytes,
                 "unknown": total.unknown}
            )  # fmt: skip
        elif total.uploads:
            self._print(f"{total} that are paid for{total.rest}")
        elif self.status == 0:
            self._print(_nothing(target, older_than_s))

    def aborted(self, target: ObjectUri, total: _Total, older_than_s: float | None, is_dry: bool) -> None:
        if self._as_json:
            self._json(
                {"event": "summary", "aborted": 0 if is_dry else total.uploads, "would_abort": total.uploads,
                 "left": total.left, "bytes": total.size_bytes, "unknown": total.unknown}
            )  # fmt: skip
        elif total.uploads:
            self._print(f"{total} {'would be freed' if is_dry else 'freed'}{total.rest}")
        elif self.status == 0:
            self._print(_nothing(target, older_than_s))

    def _json(self, document: dict[str, Any]) -> None:
        click.echo(json.dumps(document))

    def _print(self, text: str) -> None:
        click.echo(printable(text))


def _held(upload: OpenUpload) -> str:
    if upload.parts is None:
        return f"{'parts ?':>12}  {'size ?':>10}"
    parts = f"{upload.parts:,} {'part' if upload.parts == 1 else 'parts'}"
    return f"{parts:>12}  {format_size(upload.size_bytes or 0):>10}"


def _nothing(target: ObjectUri, older_than_s: float | None) -> str:
    age = "" if not older_than_s else f" begun {format_duration(older_than_s)} ago or before"
    return f"{target}: no multipart uploads{age}"


def _details(upload: OpenUpload) -> dict[str, Any]:
    return {
        "bucket": upload.uri.bucket, "key": upload.uri.key, "upload_id": upload.upload_id,
        "age_s": None if upload.age_s is None else round(upload.age_s, 3), "parts": upload.parts,
        "size_bytes": upload.size_bytes, "source": upload.source, "sender": upload.sender,
    }  # fmt: skip
