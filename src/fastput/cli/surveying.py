"""Survey while people wait: how far it has come on a terminal, and Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from fastput.cli.interruption import Interruption
from fastput.errors import Interrupted

if TYPE_CHECKING:
    from fastput.tree.survey.facts import Survey
    from fastput.tree.survey.run import Seen, SurveyOptions

# To the beginning of the line, and the rest of it is erased.
_CLEAR = "\r\x1b[K"


def run_survey(
    roots: Sequence[str], options: SurveyOptions, is_quiet: bool, describe: Callable[[Seen], str]
) -> Survey:
    """A survey; interrupted, the process ends.

    Args:
        describe: how far it has come, in a line.

    Raises:
        SourceError: a root can't be read.
    """
    from fastput.tree.survey.run import survey

    def show(seen: Seen) -> None:
        click.echo(_CLEAR + describe(seen), nl=False, err=True)

    shows = sys.stderr.isatty() and not is_quiet
    stop = threading.Event()
    message = (_CLEAR if shows else "") + "fastput: stopping (Ctrl-C again to end at once)\n"
    interruption = Interruption(message, stop.set)
    try:
        found = survey(roots, options, stop, show if shows else None)
    except Interrupted as error:
        click.echo(f"fastput: {error}", err=True)
        sys.stderr.flush()
        os._exit(error.exit_status)  # a file server that doesn't answer isn't waited for
    finally:
        if shows:
            click.echo(_CLEAR, nl=False, err=True)
    interruption.end()
    return found
