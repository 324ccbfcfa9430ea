"""`fastput survey`: what trees hold, before a byte is sent."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.common import EPILOG
from fastput.cli.surveying import run_survey
from fastput.errors import SourceError

if TYPE_CHECKING:
    from fastput.tree.survey.run import Seen


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("roots", nargs=-1, required=True, metavar="DIR...", type=click.Path())
@click.option("--sample", "sample_mib", type=click.IntRange(0, 4096), default=64, metavar="MIB",
              help="How much is read and compressed, chosen at random [64; 0: nothing].")  # fmt: skip
@click.option("--duplicates", is_flag=True, help="Read all files that have the same size as another, and compare.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False), metavar="OUT.png", help="Draw it, too.")
@click.option("--quiet", "-q", is_flag=True, help="Print the result only.")
@click.option("--verbose", "-v", is_flag=True, help="Print tracebacks of errors.")
def survey(roots: tuple[str, ...], **options: Any) -> int:
    """Look at directories: how many files, of what sizes, kinds and ages, and how well they compress.

    \b
    fastput survey /data/run7
    fastput survey /data/run7 --sample 0 --json       # metadata only
    """
    from fastput.cli.survey_report import lines
    from fastput.tree.survey.run import SurveyOptions

    if options["plot_path"] is not None:
        from fastput.client.plotting import check_plotting

        check_plotting(options["plot_path"])
    found = run_survey(
        roots, SurveyOptions(options["sample_mib"], options["duplicates"]), options["quiet"], _describe
    )
    if options["as_json"]:
        click.echo(json.dumps(found.to_dict()))
    else:
        encoding = sys.stdout.encoding or "ascii"
        for line in lines(found, "█" if encoding.lower().replace("-", "") == "utf8" else "#"):
            click.echo(line)
    if options["plot_path"] is not None:
        from fastput.client.survey_plot import draw_survey

        draw_survey(found, options["plot_path"])
    return SourceError.exit_status if found.unreadable_count else 0


def _describe(seen: Seen) -> str:
    from fastput.units import format_size

    read = f", {format_size(seen.read_bytes)} read" if seen.read_bytes else ""
    return f"{seen.doing}: {seen.files:,} files, {format_size(seen.size_bytes)}, {seen.directories:,} directories{read}"
