"""`fastput sync`: what of a directory the store hasn't got."""

from __future__ import annotations

import os
from typing import Any

import click

from fastput.cli.common import (
    EPILOG,
    Pairs,
    algorithm_option,
    connection_options,
    output_options,
    patience_options,
    receipt_option,
    sending_options,
)
from fastput.cli.report import make_reporter
from fastput.cli.rules import OrderedRules
from fastput.cli.tree_options import make_options, tree_options
from fastput.errors import SourceNotFound, SourceUnreadable, UsageError
from fastput.model import ObjectUri


@click.command(cls=OrderedRules, no_args_is_help=True, epilog=EPILOG)
@click.argument("directory", metavar="DIR")
@click.argument("uri", metavar="s3://BUCKET/PREFIX/")
@click.option("--size-only", is_flag=True, help="The same size is enough.")
@click.option("--checksum", "compares_checksums", is_flag=True,
              help="Compare with the checksum that the store keeps; nothing is downloaded.")  # fmt: skip
@click.option("--exact-timestamps", is_flag=True, help="Send again what has no mtime with it, however young it is.")
@click.option("--delete", "deletes", is_flag=True, help="Delete objects that have no file.")
@click.option("--max-delete", type=click.IntRange(min=0), metavar="N", help="Delete nothing if it were more than N.")
@click.option("--force", is_flag=True, help="Delete even if the directory is empty.")
@click.option("--dry-run", "--dryrun", is_flag=True, help="Say what would be sent and deleted; do neither.")
@connection_options
@sending_options
@algorithm_option
@tree_options
@click.option("--no-resume", is_flag=True, help="Note nothing, and don't use what earlier runs have noted.")
@patience_options
@click.option("--storage-class", help="E.g. STANDARD_IA, GLACIER_IR.")
@click.option("--metadata", type=Pairs(), multiple=True, help="Metadata of the objects: key=value[,key=value...].")
@click.option("--content-type", help="Content-Type of the objects.")
@click.option("--tag", "tags", type=Pairs(), multiple=True, help="A tag of the objects; repeatable.")
@receipt_option
@output_options
def sync(directory: str, uri: str, **options: Any) -> int:
    """Bring a prefix up to date with a directory: send what is new or another, by size and mtime.

    \b
    fastput sync run7 s3://bucket/run7/
    fastput sync run7 s3://bucket/run7/ --delete --dry-run
    fastput sync run7 s3://bucket/run7/ --exclude '*' --include '*.fits'
    """
    # Here, because all commands load this module.
    from fastput.cli.trees import run
    from fastput.tree.compare import How
    from fastput.tree.roots import DirectoryRoot
    from fastput.tree.transfer import Deletion

    reporter = make_reporter(options["as_json"], options["quiet"], options["verbose"])
    if directory.startswith("s3://"):
        raise UsageError(f"{directory} comes last: fastput sync DIR s3://bucket/prefix/ sends, and fetches nothing")
    if not os.path.exists(directory):
        raise SourceNotFound(f"{directory}: no such directory")
    if not os.path.isdir(directory):
        raise SourceUnreadable(f"{directory}: not a directory: send a file with fastput put")
    ObjectUri.parse(uri)
    if options["size_only"] and options["compares_checksums"]:
        raise UsageError("--size-only and --checksum contradict each other: give one")
    if not options["deletes"] and (options["max_delete"] is not None or options["force"]):
        raise UsageError("--max-delete and --force are about deleting: give --delete with them")
    how = How.SIZES if options["size_only"] else How.CHECKSUMS if options["compares_checksums"] else How.TIMES
    deletes = Deletion(options["max_delete"], options["force"]) if options["deletes"] else None
    return run(DirectoryRoot(directory), uri, make_options(options, how, deletes), options, reporter)
