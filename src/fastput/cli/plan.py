"""`fastput plan`: what sending directories will take and cost, and a file that does it."""

from __future__ import annotations

import datetime
import json
import os
import time
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.common import DURATION, EPILOG, RATE, SIZE, connection_options, journal_option, make_store
from fastput.cli.rules import OrderedRules, read_rules, rule_options
from fastput.cli.surveying import run_survey
from fastput.errors import SourceError, UsageError
from fastput.model import ObjectUri
from fastput.tree.keys import MAX_HASH_DIGITS
from fastput.tree.links import LinkPolicy

if TYPE_CHECKING:
    from fastput.tree.survey.run import Seen

# Headers of Ethernet, IP, TCP and HTTP, acknowledgements, and a little room.
_LINK_SHARE = 0.94
# What a plan hands on to `fastput put`.
_HANDED_ON = ("storage_class", "hash_prefix", "limit_rate", "part_size", "links", "min_age", "max_size")


@click.command(cls=OrderedRules, no_args_is_help=True, epilog=EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="DIR...")
@click.argument("uri", metavar="s3://BUCKET/PREFIX/")
@click.option("--link", type=RATE, metavar="RATE", help="The link's rate, e.g. 1Gbps [what transfers settled on].")
@click.option("--limit-rate", metavar="RATE", help="As for fastput put, also by the time of day.")
@click.option("--storage-class", help="The plan's; costs are told of all.")
@click.option("--hash-prefix", type=click.IntRange(0, MAX_HASH_DIGITS), default=0, metavar="N",
              help="As for fastput put.")  # fmt: skip
@click.option("--part-size", type=SIZE, help="As for fastput put.")
@rule_options
@click.option("--min-age", type=DURATION, help="As for fastput put.")
@click.option("--max-size", type=SIZE, help="As for fastput put.")
@click.option("--links", type=click.Choice([policy.value for policy in LinkPolicy]), default="skip",
              help="As for fastput put.")  # fmt: skip
@click.option("--sample", "sample_mib", type=click.IntRange(0, 4096), default=64, metavar="MIB",
              help="How much is read and compressed, chosen at random [64; 0: nothing].")  # fmt: skip
@click.option("--prices", type=click.Path(dir_okay=False), metavar="FILE", help="Another table of prices.")
@click.option("--out", type=click.Path(dir_okay=False), metavar="PLAN", help="Write a plan for fastput put --plan.")
@connection_options
@journal_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print the result only.")
@click.option("--verbose", "-v", is_flag=True, help="Print tracebacks of errors.")
def plan(sources: tuple[str, ...], uri: str, **options: Any) -> int:
    """Reckon objects, requests, time and cost of sending directories, before a byte is sent.

    \b
    fastput plan run7 s3://bucket/run7/ --link 1Gbps
    fastput plan run7 s3://bucket/run7/ --out run7.plan && fastput put --plan run7.plan
    """
    from fastput.cli.plan_report import lines
    from fastput.client.memory import default_memory_bytes
    from fastput.timetable import Timetable
    from fastput.tree.plan.estimate import Measured, estimate
    from fastput.tree.plan.prices import load_prices
    from fastput.tree.plan.work import Counter
    from fastput.tree.select import Selection
    from fastput.tree.survey.run import SurveyOptions
    from fastput.tuner import Settings

    destination = ObjectUri.parse(uri)
    rules = read_rules(options["rules"])
    selection = Selection(rules, min_age_s=options["min_age"], max_size_bytes=options["max_size"])
    timetable = Timetable.parse(options["limit_rate"]) if options["limit_rate"] else None
    prices = load_prices(options["prices"])
    if options["storage_class"] is not None and options["storage_class"] not in prices.classes:
        raise UsageError(f"no prices of {options['storage_class']!r}; there are {', '.join(prices.classes)}")
    counter = Counter(Settings(part_bytes=options["part_size"]), default_memory_bytes())
    surveyed = SurveyOptions(options["sample_mib"], selection=selection, on_sizes=counter.add)
    found = run_survey(sources, surveyed, options["quiet"], _describe)
    link = _link(options, destination)
    now = datetime.datetime.now()
    starts_at_s = now.hour * 3600 + now.minute * 60 + now.second
    sample = found.compression
    reckoned = estimate(
        counter.work(found), link, prices, timetable, starts_at_s, options["hash_prefix"],
        Measured(sample.ratio, sample.bytes_per_s) if sample is not None else None, len(os.sched_getaffinity(0)),
    )  # fmt: skip
    text = list(lines(found, reckoned, prices, uri, options["storage_class"], now))
    if options["as_json"]:
        click.echo(json.dumps(_document(reckoned, found, prices)))
    else:
        for line in text:
            click.echo(line)
    if options["out"] is not None:
        advised: dict[str, str | int | bool] = {}
        if reckoned.pack.is_recommended:
            advised["pack"] = "10GiB"
        if reckoned.compress.is_recommended:
            advised["compress"] = "auto"
        _write(options, sources, uri, rules, found.total.files, found.total.size_bytes, text, advised)
    return SourceError.exit_status if found.unreadable_count else 0


def _link(options: dict[str, Any], destination: ObjectUri) -> Any:
    """The goodput to reckon with, and where it is from; None: nobody knows."""
    from fastput.engine.links import PROFILE_KEPT_S, window_name
    from fastput.state import profiles
    from fastput.state.directory import state_directory
    from fastput.tree.plan.estimate import Link
    from fastput.tuner import Settled
    from fastput.units import format_rate

    if options["link"] is not None:
        rate = options["link"].at(0)
        if rate is None:
            raise UsageError("--link max says nothing: give a rate, e.g. 1Gbps")
        return Link(_LINK_SHARE * rate, f"{format_rate(rate)} as given, {100 * _LINK_SHARE:.0f}% of it for data")
    endpoint = make_store(options).endpoint(destination)
    directory = state_directory(options["state_dir"])
    document = profiles.load(directory, window_name(endpoint), time.time(), PROFILE_KEPT_S)
    if document is None:
        return None
    try:
        settled = Settled.from_dict(document)
    except ValueError:
        return None
    return Link(settled.goodput_bytes_per_s, f"what the last transfer to {endpoint.url} settled on")


def _describe(seen: Seen) -> str:
    from fastput.units import format_size

    return f"{seen.doing}: {seen.files:,} files, {format_size(seen.size_bytes)}"


def _document(reckoned: Any, found: Any, prices: Any) -> dict[str, Any]:
    from dataclasses import asdict

    document = asdict(reckoned)
    document["requests"] = reckoned.work.requests
    document["faster_devices"] = [{"device": asdict(device), "takes_s": s} for device, s in reckoned.faster_devices]
    document["prices_as_of"], document["region"], document["currency"] = prices.as_of, prices.region, prices.currency
    document["survey"] = found.to_dict()
    return document


def _write(
    options: dict[str, Any],
    sources: tuple[str, ...],
    uri: str,
    rules: Any,
    files: int,
    size_bytes: int,
    text: list[str],
    advised: dict[str, str | int | bool],
) -> None:
    from fastput.tree.plan.file import PlanFile, dump_plan

    kept = {name.replace("_", "-"): options[name] for name in _HANDED_ON if options[name]}
    if "min-age" in kept:
        kept["min-age"] = f"{kept['min-age']:.0f}s"
    given = {name: options[name] for name in ("endpoint_url", "profile", "region") if options[name]}
    kept |= {name.replace("_", "-"): value for name, value in given.items()}
    plan_file = PlanFile(
        sources=tuple(os.path.abspath(source) for source in sources),
        destination=uri,
        options=kept,
        rules=tuple(("include" if rule.is_include else "exclude", rule.pattern) for rule in rules),
        files=files,
        size_bytes=size_bytes,
    )
    try:
        with open(options["out"], "w", encoding="utf-8") as file:
            file.write(dump_plan(plan_file, text, advised))
    except OSError as error:
        raise UsageError(f"the plan {options['out']} can't be written: {error.strerror}") from None
    except UnicodeEncodeError:
        raise UsageError("a plan is UTF-8, and a name of what is to be sent isn't: name it otherwise") from None
