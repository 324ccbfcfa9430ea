"""`fastput bench`: what a link, a store and this machine give, and which of them limits."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from fastput.cli.common import DURATION, EPILOG, SIZE, connection_options, make_store
from fastput.cli.interruption import Interruption
from fastput.errors import Interrupted, StoreError, UsageError
from fastput.text import printable

if TYPE_CHECKING:
    from fastput.client.measure.facts import Report
    from fastput.client.measure.run import Survey

_FORMS = "s3://BUCKET/PREFIX, http://HOST:PORT, --sink PORT, or plot TRACE OUT.png"
# To the beginning of the line, and the rest of it is erased.
_CLEAR = "\r\x1b[K"


@click.command(no_args_is_help=True, epilog=EPILOG)
@click.argument("arguments", nargs=-1, metavar="[s3://BUCKET/PREFIX | http://HOST:PORT | plot TRACE OUT.png]")
@click.option("--budget", type=SIZE, default="4GB", help="The most that is sent [4GB].")
@click.option("--time", "time_s", type=DURATION, default="60s", help="How long it may measure [60s].")
@click.option("--file", type=click.Path(dir_okay=False), metavar="FILE", help="Measure reading this file, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--plot", "plot_path", type=click.Path(dir_okay=False), metavar="OUT.png", help="Draw it, too.")
@click.option("--sink", type=click.IntRange(0, 65535), metavar="PORT",
              help="Be the other end: take what comes on this port (0: a free one) and throw it away.")  # fmt: skip
@click.option("--bind", default=None, metavar="ADDRESS", help="Where --sink listens [127.0.0.1; 0.0.0.0: everywhere].")
@connection_options
@click.option("--quiet", "-q", is_flag=True, help="Print the result only.")
@click.option("--verbose", "-v", is_flag=True, help="Print tracebacks of errors.")
def bench(arguments: tuple[str, ...], **options: Any) -> int:
    """Measure the way to a store: set-up, goodput by requests in flight and by part size, this machine's own ceilings.

    \b
    fastput bench s3://bucket/prefix                 # sends random bytes, leaves nothing behind
    fastput bench s3://bucket/ --file obs.fits --plot link.png
    fastput bench --sink 9000 --bind 0.0.0.0         # there, for a path without a store
    fastput bench http://there:9000                  # here
    fastput bench plot trace.jsonl out.png           # what fastput put --trace has written
    """
    if options["sink"] is not None:
        if arguments:
            raise UsageError("--sink is the other end: it measures nothing; run fastput bench http://HOST:PORT here")
        return _serve(options["bind"] or "127.0.0.1", options["sink"])
    if options["bind"] is not None:
        raise UsageError("--bind says where --sink listens: give --sink PORT with it")
    if not arguments:
        raise UsageError(f"what is to be measured? give {_FORMS}")
    if arguments[0] == "plot":
        return _plot_trace(arguments[1:])
    if len(arguments) > 1:
        raise UsageError(f"one at a time: give {_FORMS}")
    return _survey(arguments[0], options)


def _survey(target: str, options: dict[str, Any]) -> int:
    # Here, because `fastput put` imports this module and needs none of them.
    from fastput.cli.bench_report import lines
    from fastput.client.measure.facts import Plan
    from fastput.client.measure.run import Survey
    from fastput.client.memory import default_memory_bytes
    from fastput.native.allocator import keep_buffers

    if options["plot_path"] is not None:
        from fastput.client.plotting import check_plotting

        check_plotting(options["plot_path"])
    keep_buffers()
    shows = sys.stderr.isatty() and not options["quiet"]
    plan = Plan(options["budget"], options["time_s"], default_memory_bytes(), options["file"])
    uploads, uri = _target(target, options)
    survey = Survey(uploads, target, uri, plan, lambda text: _show(text) if shows else None)
    message = "fastput: stopping: aborting the upload (Ctrl-C again to end at once)\n"
    interruption = Interruption((_CLEAR if shows else "") + message, survey.stop, lambda: _last_words(survey))
    try:
        report = survey.run()
    except Interrupted as error:
        click.echo(f"fastput: {error}", err=True)
        sys.stderr.flush()
        os._exit(error.exit_status)  # threads that still wait for a store aren't waited for
    finally:
        if shows:
            click.echo(_CLEAR, nl=False, err=True)
    interruption.end()
    uploads.close()
    if options["as_json"]:
        click.echo(json.dumps(report.to_dict()))
    else:
        encoding = sys.stdout.encoding or "ascii"
        for line in lines(report, "█" if encoding.lower().replace("-", "") == "utf8" else "#"):
            click.echo(line)
    if options["plot_path"] is not None:
        from fastput.client.measure.plot import draw_report

        draw_report(report, options["plot_path"])
    return _left(report)


def _left(report: Report) -> int:
    if report.left_upload_id is None:
        return 0
    raise StoreError(
        f"{report.target}: the measurement is done, but the store didn't abort its upload: "
        "fastput uploads abort does it later",
        upload_id=report.left_upload_id,
    )


def _target(target: str, options: dict[str, Any]) -> Any:
    """Whom to send to, and under which prefix."""
    from fastput.client.measure.target import OpenServer
    from fastput.model import ObjectUri, TlsOptions

    if target.partition("://")[0].lower() in ("http", "https"):
        if options["endpoint_url"] is not None:
            raise UsageError(f"{target} is an endpoint already: leave --endpoint-url out, or give s3://bucket/prefix")
        tls = TlsOptions(options["ca_bundle"], not options["no_verify_ssl"])
        return OpenServer(target, tls), ObjectUri("fastput-bench", "")
    if "://" not in target or not target.lower().startswith("s3://"):
        raise UsageError(f"{target!r} can't be measured: give {_FORMS}")
    uri = ObjectUri.parse(target)
    return make_store(options, read_timeout_s=20.0), uri


def _last_words(survey: Survey) -> str:
    return f"fastput: {printable(survey.left)} is left on the store\n" if survey.left is not None else ""


def _show(text: str) -> None:
    click.echo(_CLEAR + text, nl=False, err=True)


def _serve(address: str, port: int) -> int:
    from fastput.client.measure.sink import Sink

    with Sink(address, port) as sink:
        try:
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
            click.echo(f"listening on {sink.url} (Ctrl-C ends it)")
            sys.stdout.flush()
            sink.serve()
        except KeyboardInterrupt:
            pass
    return 0


def _plot_trace(arguments: tuple[str, ...]) -> int:
    from fastput.client.measure.plot import draw_trace
    from fastput.client.plotting import check_plotting

    if len(arguments) != 2:
        raise UsageError("write fastput bench plot TRACE OUT.png; fastput put --trace FILE writes a trace")
    trace, out = arguments
    check_plotting(out)
    draw_trace(trace, out)
    return 0
