"""The `fastput` command: its group, --version, and how errors become one line and an exit status."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import click

from fastput.cli.bench import bench
from fastput.cli.cat import cat
from fastput.cli.common import EPILOG
from fastput.cli.get import get
from fastput.cli.ls import ls
from fastput.cli.plan import plan
from fastput.cli.put import put
from fastput.cli.survey import survey
from fastput.cli.sync import sync
from fastput.cli.uploads import uploads
from fastput.cli.verify import verify
from fastput.errors import FastputError
from fastput.text import printable
from fastput.version import __version__


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    click.echo(f"fastput {__version__}")
    # Click handles eager options first, in the order they were given: look at the command line itself.
    if {"--verbose", "-v"} & set(sys.argv):
        from importlib.metadata import version

        from fastput.native import crc

        chosen = crc.variants()
        click.echo(f"kernels: crc64nvme {chosen['crc64nvme']}, crc32c {chosen['crc32c']}")
        click.echo(f"python {sys.version.split()[0]}, awscrt {version('awscrt')}, botocore {version('botocore')}")
    context.exit()


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
    help="Print the version and exit; with --verbose also the chosen kernels.",
)  # fmt: skip
@click.option("--verbose", "-v", is_flag=True, hidden=True, expose_value=False)
def cli() -> None:
    """Fast, verified uploads to Amazon S3 and S3-compatible stores."""


cli.add_command(put)
cli.add_command(put, "cp")
cli.add_command(sync)
cli.add_command(get)
cli.add_command(ls)
cli.add_command(cat)
cli.add_command(survey)
cli.add_command(plan)
cli.add_command(verify)
cli.add_command(uploads)
cli.add_command(bench)


def run() -> int:
    """Runs the command line and returns its exit status."""
    try:
        status: Any = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
            error.show()
        else:
            command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "fastput"
            click.echo(f"fastput: {printable(error.format_message())} (see {command} --help)", err=True)
        status = error.exit_code
    except FastputError as error:
        click.echo(f"fastput: {error}", err=True)
        if "--verbose" in sys.argv:
            for line in traceback.format_exc().split("\n"):
                click.echo(printable(line), err=True)
        status = error.exit_status
    except BrokenPipeError:
        status = 1  # whoever read our output has gone
    return int(status or 0)
