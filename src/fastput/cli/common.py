"""Options and kinds of values that several commands take."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from fastput.client import Client
from fastput.client.arguments import AUTO
from fastput.engine.engine import STALL_TIMEOUT_S
from fastput.errors import FastputError
from fastput.model import Checksum
from fastput.store import StoreOptions
from fastput.store.s3 import S3Store
from fastput.timetable import Timetable
from fastput.units import parse_duration, parse_size

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[_Command], _Command]

EPILOG = """
\b
Exit status: 0 every planned object was confirmed by the store; otherwise that of the first object that wasn't:
  1 anything else      2 usage or a limit      3 source unreadable   4 source changed     5 credentials
  6 store's refusal    7 checksum refused      8 object exists       9 no answer       10 interrupted, resumable
 11 nothing moved     12 journal in use      13 unproven         14 damaged archive    130 interrupted
"""


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """What people write, as a value. Defaults may be values already."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except FastputError as error:
            self.fail(str(error), parameter, context)


SIZE = Parsed("size", parse_size)
DURATION = Parsed("duration", parse_duration)
RATE = Parsed("rate", Timetable.parse)


class Pairs(click.ParamType):  # type: ignore[type-arg]
    """key=value[,key=value...], as aws s3 takes --metadata."""

    name = "key=value"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in value.split(",")]
        if any(not key or not separator for key, separator, _ in pairs):
            self.fail(f"{value!r} is not key=value", parameter, context)
        return {key.strip(): text for key, _, text in pairs}


def merge(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Of a repeated option: the later one decides."""
    return {key: value for group in pairs for key, value in group.items()}


def together(*options: Callable[[Any], Any]) -> _Decorator[Any]:
    """The options as one decorator; --help shows them in this order."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


# How the store is found.
connection_options = together(
    click.option("--endpoint-url", help="The store, if it isn't Amazon S3 or the profile's."),
    click.option("--profile", help="A profile of ~/.aws/config."),
    click.option("--region", help="The bucket's region."),
    click.option("--ca-bundle", type=click.Path(dir_okay=False), help="PEM file of certificate authorities to trust."),
    click.option("--no-verify-ssl", is_flag=True, help="Accept any certificate."),
)

journal_option = click.option(
    "--journal", "state_dir", type=click.Path(file_okay=False), metavar="DIR",
    help="Where journals and what stores take are kept [the platform's state directory].",
)  # fmt: skip

# How parts are made, protected and sent; together with the journal.
sending_options = together(
    click.option("--part-size", type=SIZE, help="Size of parts, e.g. 16MiB [by the file's size]."),
    click.option("--concurrency", type=click.IntRange(min=1), help="Requests in flight [as many as help]."),
    click.option("--memory", type=SIZE, help="Most memory for parts in flight [a quarter of the machine's]."),
    click.option(
        "--limit-rate", type=RATE,
        help="Send no more than e.g. 400Mbps or 50MB/s; by the time of day: 08:00-18:00=200Mbps,else=max.",
    ),
    click.option(
        "--verify", "verify", type=click.Choice(["etag"]), help="Compare ETags with MD5s, where nobody checks."
    ),
    click.option(
        "--trace", type=click.Path(dir_okay=False), metavar="FILE",
        help="Write what is measured and decided, ten JSON lines a second.",
    ),
    journal_option,
)  # fmt: skip

_CHECKSUMS: dict[str, Any] = {
    "type": click.Choice([AUTO, *(checksum.value for checksum in Checksum)], case_sensitive=False), "default": AUTO,
    "help": "What the store checks the bytes against [the strongest that it takes].",
}  # fmt: skip
checksum_option = click.option("--checksum", "--checksum-algorithm", "checksum", **_CHECKSUMS)
# Where --checksum says how files are compared.
algorithm_option = click.option("--checksum-algorithm", "checksum", **_CHECKSUMS)

patience_options = together(
    click.option("--probe", is_flag=True, help="Find out anew what the store takes."),
    click.option(
        "--stall-timeout", type=click.FloatRange(min=1), default=STALL_TIMEOUT_S, metavar="SECONDS",
        help=f"End when nothing has moved for so long [{STALL_TIMEOUT_S:.0f}].",
    ),
)  # fmt: skip

receipt_option = click.option(
    "--receipt", type=click.Path(dir_okay=False), help="Append each receipt to FILE as a JSON line."
)

# What is printed while objects are sent.
output_options = together(
    click.option("--json", "as_json", is_flag=True, help="JSON lines on standard output; the last is the summary."),
    click.option("--quiet", "-q", is_flag=True, help="Print errors only."),
    click.option("--verbose", "-v", is_flag=True, help="Print more, and tracebacks of errors."),
    click.option("--no-progress", is_flag=True, help="No progress display."),
)


def _allow_unverified(options: Mapping[str, Any]) -> None:
    """--no-verify-ssl was asked for: without a warning for each request."""
    if options["no_verify_ssl"]:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")


def make_store(options: Mapping[str, Any], **more: Any) -> S3Store:
    """The store of the connection options; more: other StoreOptions."""
    _allow_unverified(options)
    return S3Store(
        StoreOptions(
            options["endpoint_url"], options["region"], options["profile"], options["ca_bundle"],
            not options["no_verify_ssl"], **more,
        )
    )  # fmt: skip


def make_reading_client(options: Mapping[str, Any], **more: Any) -> Client:
    """A client with the connection options; more: other options of Client."""
    _allow_unverified(options)
    return Client(
        endpoint_url=options["endpoint_url"],
        region=options["region"],
        profile=options["profile"],
        ca_bundle=options["ca_bundle"],
        verify=not options["no_verify_ssl"],
        **more,
    )


def make_client(options: Mapping[str, Any], on_stall: Callable[[str], None]) -> Client:
    """A client with the options of a command that sends.

    Raises:
        UsageError: an option makes no sense.
    """
    return make_reading_client(
        options,
        concurrency=options["concurrency"],
        part_size=options["part_size"],
        memory=options["memory"],
        resume=not options["no_resume"],
        state_dir=options["state_dir"],
        probe=options["probe"],
        stall_timeout=options["stall_timeout"],
        on_stall=on_stall,
        limit_rate=options["limit_rate"],
        trace=options["trace"],
    )
