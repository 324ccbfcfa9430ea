"""`fastput cat`: an object, or a member of an archive, on standard output."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import click

from fastput.cli.common import EPILOG, connection_options, make_store
from fastput.client.reading.uris import Location
from fastput.errors import UsageError


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("uri", metavar="s3://BUCKET/KEY[//MEMBER]")
@connection_options
@click.option("--range", "byte_range", metavar="A-B", help="Bytes A to B; A-: to the end; -N: the last N.")
@click.option("--raw", is_flag=True, help="A compressed object as it is stored.")
def cat(uri: str, byte_range: str | None, **options: Any) -> int:
    """Write an object, or a member of an archive, to standard output: of compressed ones the content.

    \b
    fastput cat s3://bucket/run7.csv.zst | head
    fastput cat s3://bucket/obs.tar.zst//2026/a.fits --range 0-2879

    What was written before an error isn't good: look at the exit status.
    """
    return pour(Location.parse(uri), options, byte_range)


def pour(location: Location, options: Mapping[str, Any], byte_range: str | None) -> int:
    """Content to standard output.

    Args:
        options: of the connection, and raw.
        byte_range: None: all of it.

    Raises:
        UsageError: standard output is closed, there is no such range, or more than one object is named.
        DamagedArchive, StoreError, EndpointError, CredentialsError: it can't be read.
    """
    from fastput.client.reading.archive import Archives
    from fastput.client.reading.file import open_span
    from fastput.client.reading.ranges import parse_range

    if location.is_prefix:
        raise UsageError(f"{location}: names what lies below it: standard output takes one object or one member")
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    store = make_store(options)
    with closing(store), closing(Archives(store)) as archives:
        archive, span = open_span(archives, location, options["raw"])
        if byte_range is not None:
            begin_bytes, length_bytes = parse_range(byte_range, span.length_bytes)
            is_all = length_bytes == span.length_bytes
            crc = span.crc64nvme if is_all else None
            offset_bytes = span.offset_bytes + begin_bytes
            span = replace(span, offset_bytes=offset_bytes, length_bytes=length_bytes, crc64nvme=crc)
        with closing(archive.stream(span)) as content:
            for view in content:
                sys.stdout.buffer.write(view)
        sys.stdout.buffer.flush()
    return 0
