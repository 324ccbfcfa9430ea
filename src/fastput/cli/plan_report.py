"""What `fastput plan` prints. Pure."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator

from fastput.text import printable
from fastput.tree.plan.estimate import Advice, Estimate
from fastput.tree.plan.prices import Prices
from fastput.tree.survey.facts import Survey
from fastput.units import format_duration, format_goodput, format_size


def lines(
    found: Survey, reckoned: Estimate, prices: Prices, uri: str, storage_class: str | None, now: datetime.datetime
) -> Iterator[str]:
    """The plan for people."""
    work, link = reckoned.work, reckoned.link
    yield f"{', '.join(map(printable, found.roots))} to {printable(uri)}"
    yield ""
    yield f"files      {work.total.files:,}, {format_size(work.total.size_bytes)}"
    if found.unreadable_count:
        yield f"           {found.unreadable_count:,} could not be read: see fastput survey"
    single = work.total.files - work.in_parts
    yield (f"requests   {work.requests:,}: {single:,} objects in one, {work.in_parts:,} in "
           f"{work.parts:,} parts")  # fmt: skip
    if link is None:
        yield "link       unknown: give --link RATE, or send something there first"
    else:
        yield f"link       {format_goodput(link.goodput_bytes_per_s)}: {link.source}"
        yield from _time(reckoned, now)
    yield ""
    for name, advice in (("keys", reckoned.keys), ("pack", reckoned.pack), ("compress", reckoned.compress)):
        yield f"{name:<9}  {_advice(advice)}"
    yield ""
    yield f"cost       {prices.currency}, {prices.region}, prices of {prices.as_of}; without transfer and retrieval"
    yield f"           {'class':<20}{'requests, once':>16}{'a month':>14}"
    for name, cost in reckoned.costs.items():
        mark = " <-" if name == (storage_class or "STANDARD") else ""
        least = f"  at least {cost.min_days} days" if cost.min_days else ""
        yield f"           {name:<20}{cost.requests:>16,.2f}{cost.month:>14,.2f}{least}{mark}"


def _time(reckoned: Estimate, now: datetime.datetime) -> Iterator[str]:
    assert reckoned.takes_s is not None and reckoned.link_s is not None
    try:
        ends = (now + datetime.timedelta(seconds=reckoned.takes_s)).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        ends = "in some thousand years"
    is_slower = reckoned.takes_s > 1.01 * reckoned.link_s
    slower = f" ({format_duration(reckoned.link_s)} for the bytes alone)" if is_slower else ""
    yield f"time       {format_duration(reckoned.takes_s)}{slower}; begun now, it ends {ends}"
    for device, takes_s in reckoned.faster_devices[:1]:
        count = max(1, math.ceil(reckoned.work.total.size_bytes / device.capacity_bytes))
        yield (f"           {device.name} would be faster: {format_duration(takes_s)} with both copies"
               f"{f', {count} of them' if count > 1 else ''}")  # fmt: skip


def _advice(advice: Advice) -> str:
    return f"{'yes' if advice.is_recommended else 'no'}: {advice.reason}"
