"""Options for directories, and what a transfer is told by them. What carries it out is loaded when it is needed."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.common import DURATION, SIZE, together
from fastput.cli.rules import read_rules, rule_options
from fastput.errors import UsageError
from fastput.tree.keys import MAX_HASH_DIGITS
from fastput.tree.links import LinkPolicy
from fastput.tree.order import Order
from fastput.tree.select import Selection
from fastput.tree.times import Preserve

if TYPE_CHECKING:
    from fastput.tree.compare import How
    from fastput.tree.transfer import Deletion, TransferOptions


tree_options = together(
    rule_options,
    click.option("--min-age", type=DURATION, help="Leave out what was modified less than e.g. 10m ago."),
    click.option("--max-age", type=DURATION, help="Leave out what was modified more than e.g. 7d ago."),
    click.option("--min-size", type=SIZE, help="Leave out smaller files."),
    click.option("--max-size", type=SIZE, help="Leave out larger files."),
    click.option("--links", type=click.Choice([policy.value for policy in LinkPolicy]), default="skip",
                 help="Symbolic links: skip them, follow them, or record them as rclone does [skip]."),
    click.option("--follow", is_flag=True, help="The same as --links follow."),
    click.option("--preserve", type=click.Choice([kind.value for kind in Preserve]), default="mtime",
                 help="What of a file goes into its object's metadata [mtime]."),
    click.option("--hash-prefix", type=click.IntRange(0, MAX_HASH_DIGITS), default=0, metavar="N",
                 help="Put N digits of a hash of the path before it: spreads the keys."),
    click.option("--order", type=click.Choice([order.value for order in Order]), default="largest",
                 help="Which of the files that are known goes first [largest]."),
    click.option("--last", "last", multiple=True, metavar="PATTERN",
                 help="Send these when all others are there, e.g. a sentinel. Repeatable."),
    click.option("--fail-fast", is_flag=True, help="Begin nothing more after the first file that failed."),
    click.option("--max-errors", type=click.IntRange(min=1), metavar="N",
                 help="Begin nothing more after N files that failed."),
)  # fmt: skip


def make_options(options: Mapping[str, Any], how: How | None, deletes: Deletion | None = None) -> TransferOptions:
    """
    Raises:
        UsageError: options contradict each other.
    """
    from fastput.tree.ship import ShipOptions
    from fastput.tree.transfer import TransferOptions

    if options["follow"] and options["links"] == "record":
        raise UsageError("--follow and --links record contradict each other: give one")
    if options["fail_fast"] and options["max_errors"] is not None:
        raise UsageError("--fail-fast and --max-errors contradict each other: give one")
    last = tuple(options["last"])
    return TransferOptions(
        links=LinkPolicy.FOLLOW if options["follow"] else LinkPolicy(options["links"]),
        selection=Selection(
            read_rules(options["rules"]),
            min_age_s=options["min_age"],
            max_age_s=options["max_age"],
            min_size_bytes=options["min_size"],
            max_size_bytes=options["max_size"],
        ),
        how=how,
        is_exact=bool(options.get("exact_timestamps")),
        preserve=Preserve(options["preserve"]),
        hash_digits=options["hash_prefix"],
        deletes=deletes,
        is_dry=options["dry_run"],
        ship=ShipOptions(
            order=Order(options["order"]),
            most_errors=1 if options["fail_fast"] else options["max_errors"],
            is_last=lambda path: any(_matches(path, pattern) for pattern in last),
        ),
    )


def _matches(path: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(os.path.basename(path), pattern)
