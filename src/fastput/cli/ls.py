"""`fastput ls`: objects under a prefix, members of an archive."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.common import EPILOG, connection_options, make_reading_client
from fastput.text import printable

if TYPE_CHECKING:
    from fastput.client.reading.listing import Listed


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("uri", metavar="s3://BUCKET/PREFIX/ | s3://BUCKET/ARCHIVE//[DIRECTORY/]")
@connection_options
@click.option("--long", "-l", "is_long", is_flag=True, help="With size and time; of archives also where links lead.")
@click.option("--recursive", "-R", is_flag=True, help="Also what lies below the next slash; archives always.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def ls(uri: str, is_long: bool, recursive: bool, as_json: bool, **options: Any) -> int:
    """List the objects under a prefix, or the members of an archive that fastput has packed.

    \b
    fastput ls -l s3://bucket/2026/
    fastput ls s3://bucket/obs.tar.zst//
    fastput ls s3://bucket/obs.tar.zst//2026/
    """
    with closing(make_reading_client(options)) as client:
        for listed in client.list(uri, recursive):
            if as_json:
                click.echo(json.dumps(listed.to_dict()))
            else:
                click.echo(_long(listed) if is_long else printable(listed.name))
    return 0


def _long(listed: Listed) -> str:
    size = "-" if listed.size_bytes is None else str(listed.size_bytes)
    moment = "-"
    if listed.modified_at is not None:
        try:
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(listed.modified_at))
        except (OverflowError, ValueError, OSError):
            moment = f"{listed.modified_at:.0f}"  # no year that a calendar has
    link = f" -> {listed.link}" if listed.link else ""
    bad = "" if listed.is_ok else "  (zeros: it couldn't be read when the archive was made)"
    return printable(f"{size:>15}  {moment:<20}  {listed.name}{link}") + bad
