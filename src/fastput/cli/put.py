"""`fastput put`: options in, uploads through a client, reports out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from fastput.cli.common import (
    EPILOG,
    SIZE,
    Pairs,
    checksum_option,
    connection_options,
    merge,
    output_options,
    patience_options,
    receipt_option,
    sending_options,
)
from fastput.cli.manifest import Manifests, manifest_option
from fastput.cli.report import make_reporter
from fastput.cli.rules import OrderedRules
from fastput.cli.session import STDIN, send
from fastput.cli.tree_options import make_options, tree_options
from fastput.client import Client
from fastput.client.arguments import parse_compression, resolve_uri
from fastput.client.memory import default_memory_bytes
from fastput.engine.job import COMPRESSED_SUFFIX
from fastput.errors import SourceUnreadable, UsageError
from fastput.model import ObjectAttributes, ObjectUri, Receipt

if TYPE_CHECKING:
    from fastput.tree.roots import Root


@click.command(cls=OrderedRules, no_args_is_help=True, epilog=EPILOG)
@click.argument("sources", nargs=-1, metavar="SRC...")
@click.argument("uri", metavar="s3://BUCKET/KEY-OR-PREFIX/")
@connection_options
@sending_options
@checksum_option
@tree_options
@click.option("--from-file", metavar="LIST", help="Send the files that LIST (- for standard input) names, one a line.")
@click.option("-0", "--null", "is_zero", is_flag=True, help="Names in LIST end with a zero instead.")
@click.option("--retry-failed", metavar="RECEIPT", help="Of a directory only what failed before, by its receipts.")
@click.option("--plan", expose_value=False, metavar="PLAN", help="Do what fastput plan --out PLAN has written.")
@click.option("--recursive", is_flag=True, hidden=True)  # aws's word: directories always are
@click.option("--compress", metavar="[auto|1..19]", help="Seekable zstd; auto: as hard as the link leaves time for.")
@click.option("--frame-size", type=SIZE, help="Of content that can be read by itself [1MiB].")
@click.option("--pack", metavar="[SIZE]", help="As one tar, or as several of at most SIZE, with an index.")
@click.option("--content-encoding", is_flag=True, help="Leave the key as it is: the object has Content-Encoding: zstd.")
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
    """Upload files, directories, or standard input (-), to an S3 object or under a prefix.

    What lies in one directory goes right below the prefix; of several sources each goes there under its own name.

    \b
    fastput put obs.fits s3://bucket/2026/obs.fits
    fastput put *.h5 s3://bucket/run7/
    fastput put run7 s3://bucket/run7/ --exclude '*.tmp' --last READY
    tar c run7 | fastput put - s3://bucket/run7.tar
    """
    reporter = make_reporter(options["as_json"], options["quiet"], options["verbose"])
    if (root := _tree(sources, options)) is not None:
        if options["manifests"]:
            raise UsageError("--manifest lists files that are named one by one: not yet what lies in directories")
        if options["content_encoding"]:
            raise UsageError("--content-encoding is for files that are named one by one")
        ObjectUri.parse(uri)
        if options["pack"] is not None:
            from fastput.cli.packs import run_pack

            return run_pack(root, uri, options, reporter)
        from fastput.cli.trees import run

        return run(root, uri, make_options(options, how=None), options, reporter)
    if not sources:
        raise UsageError("what is to be sent? give files, a directory, or - for standard input")
    if options["pack"] is not None:
        raise UsageError("--pack is for directories: name the one that holds the files, or give --from-file LIST")
    if options["compress"] is None and (options["frame_size"] or options["content_encoding"]):
        raise UsageError("--frame-size and --content-encoding are for what is compressed: give --compress, too")
    compression = parse_compression(options["compress"], options["frame_size"])
    suffix = COMPRESSED_SUFFIX if compression is not None and not options["content_encoding"] else ""
    _check_sources(sources, uri, suffix)
    attributes = ObjectAttributes(
        options["content_type"], options["storage_class"], merge(options["metadata"]), merge(options["tags"])
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
            compress=options["compress"],
            frame_size=options["frame_size"],
            content_encoding=options["content_encoding"],
            on_note=say,
        )
        return manifests.watch(source, future)

    return send(options, sources, submit, reporter, manifests.write)


def _tree(sources: tuple[str, ...], options: dict[str, Any]) -> Root | None:
    """What is to be walked; None: files, and standard input, that are named."""
    if options["is_zero"] and options["from_file"] is None:
        raise UsageError("-0 is about the names of a list: give --from-file LIST")
    if options["from_file"] is None and not any(os.path.isdir(source) for source in sources):
        if options["retry_failed"] is not None:
            raise UsageError("--retry-failed is for directories: give the one that was sent")
        return None
    # Only who sends directories pays for it.
    from fastput.cli.trees import failed_before, read_list
    from fastput.client.trees import root_of
    from fastput.tree.roots import ListRoot, SomeOf

    root: Root
    if options["from_file"] is not None:
        if len(sources) > 1:
            raise UsageError("--from-file takes one directory, to which the names are relative, or none")
        names = read_list(options["from_file"], options["is_zero"])
        root = ListRoot(sources[0] if sources else ".", names, options["from_file"])
    elif STDIN in sources:
        raise UsageError("standard input (-) goes alone: it has one key")
    else:
        root = root_of(sources)
    if options["retry_failed"] is not None:
        root = SomeOf(root, failed_before(options["retry_failed"]))
    return root


def _check_sources(sources: tuple[str, ...], uri: str, suffix: str) -> None:
    """Everything that is wrong before anything is sent."""
    if len(sources) > 1:
        if STDIN in sources:
            raise UsageError("standard input (-) goes alone: it has one key")
        if not uri.endswith("/"):
            raise UsageError(f"{len(sources)} files need a prefix: end {uri} with a /")
    keys: dict[str, str] = {}
    for source in sources:
        target = str(resolve_uri(b"" if source == STDIN else source, uri, suffix))
        if target in keys:
            raise UsageError(f"{keys[target]} and {source} would both become {target}")
        keys[target] = source


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise SourceUnreadable("standard input is closed: pipe something into fastput put -")
    if sys.stdin.isatty():
        raise UsageError("standard input is a terminal: pipe something into fastput put -")
    return open(0, "rb", buffering=0, closefd=False)
