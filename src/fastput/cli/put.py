"""`fastput put`: options in, uploads through a client, reports out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, BinaryIO

import click

from fastput.cli.common import (
    EPILOG,
    Pairs,
    connection_options,
    output_options,
    patience_options,
    receipt_option,
    sending_options,
)
from fastput.cli.manifest import Manifests, manifest_option
from fastput.cli.report import make_reporter
from fastput.cli.session import STDIN, send
from fastput.client import Client
from fastput.client.client import resolve_uri
from fastput.client.memory import default_memory_bytes
from fastput.errors import SourceUnreadable, UsageError
from fastput.model import ObjectAttributes, Receipt


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SRC...")
@click.argument("uri", metavar="s3://BUCKET/KEY-OR-PREFIX/")
@connection_options
@sending_options
@click.option("--no-resume", is_flag=True, help="Keep no journal, and go on with no earlier upload.")
@click.option("--verify-resume", type=click.Choice(["sample", "all"]), default="sample",
              help="How much of what was sent before is read again [sample].")  # fmt: skip
@patience_options
@click.option("--storage-class", help="E.g. STANDARD_IA, GLACIER_IR.")
@click.option("--metadata", type=Pairs(), multiple=True, help="Metadata of the object: key=value[,key=value...].")
@click.option("--content-type", help="Content-Type of the object.")
@click.option("--tag", "tags", type=Pairs(), multiple=True, help="A tag of the object; repeatable.")
@click.option("--no-clobber", "-n", is_flag=True, help="Leave objects alone that are there already.")
@click.option("--dry-run", "--dryrun", is_flag=True, help="Say what would be sent; send nothing.")
@receipt_option
@manifest_option
@output_options
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

    manifests = Manifests(options["manifests"], sources, uri)

    def submit(client: Client, say: Callable[[str], None], source: str) -> Future[Receipt]:
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
            digests=manifests.digests,
            on_note=say,
        )
        return manifests.watch(source, future)

    return send(options, sources, submit, reporter, manifests.write)


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


def _merge(pairs: tuple[dict[str, str], ...]) -> dict[str, str]:
    return {key: value for group in pairs for key, value in group.items()}
