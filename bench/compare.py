"""Compare upload clients against a discarding sink on this machine.

python -m bench.compare put --size 4GiB --runs 5 --peers fastput,crt-native,s5cmd,rclone,obstore,boto3,aws
python -m bench.compare put-tree --files 1x2GiB,200x20MiB,20000x16KiB --runs 5 --peers fastput,crt-loop,s5cmd
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import peers, results
from bench.measure import Job, Row, measure
from bench.servers import sink, tls

RESULTS_DIR = Path(__file__).resolve().parent / "results"
BASELINE = "fastput"
UNITS_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
BLOCK_BYTES = 1 << 20
BUCKET, KEY = "bucket", "key"


def main() -> int:
    """Returns the exit status: 1 if a run failed, 2 if there was nothing to run."""
    # So that being ended is cleaned up after like any other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = parse_arguments()
    extra = {peer.name: shlex.split(getattr(options, argument_name(peer))) for peer in peers.PEERS}
    bin_dirs = [*options.bin, *peers.default_bin_dirs()]
    found = []
    for name in options.peers:
        peer = peers.BY_NAME[name]
        if not (peer.arguments if options.files is None else peer.tree_arguments):
            say(f"{name} is left out: it can't do this")
            continue
        installed = peers.find(peer, bin_dirs, extra[name])
        if installed:
            found.append(installed)
        else:
            say(f"{name} is left out: the package {peer.package} is not installed")
    if not found:
        return 2
    try:
        rows = put(found, options)
    except tls.TLSUnavailableError as error:
        say(f"{error}; nothing was measured")
        return 2
    print(results.table(rows, BASELINE))
    write_json(options, found, rows)
    failures = [row for row in rows if row.error]
    for row in failures:
        say(f"{row.peer}, run {row.run}: {row.error}")
    return 1 if failures else 0


def put(found: Sequence[peers.Installed], options: argparse.Namespace) -> list[Row]:
    """Warm-up round and measured rounds, interleaved: A B C A B C ..."""
    rows = []
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastput-home-")))
        server = stack.enter_context(sink.serve())
        target = peers.Target(server.endpoint_url, BUCKET, KEY)
        if options.tls:
            proxy = stack.enter_context(tls.serve(server.ports[0]))
            target = peers.Target(proxy.endpoint_url, BUCKET, KEY, proxy.ca_bundle)
        if options.files is None:
            file, objects, object_bytes = stack.enter_context(input_file(options.dir, options.size)), 1, options.size
        else:
            file = stack.enter_context(input_tree(options.dir, options.files))
            objects = sum(count for count, _ in options.files)
            object_bytes = sum(count * size_bytes for count, size_bytes in options.files)
        environment = peers.environment(home, target)
        for run in range(options.runs + 1):
            for each in found:
                command = each.command(file, target)
                job = Job(each.peer.name, run, command, environment, object_bytes, options.timeout, objects)
                rows.append(measure(job, server))
                say(f"{run or 'warm-up'}: {each.peer.name} {rows[-1].error or f'{rows[-1].wall_s:.2f} s'}")
    return rows


@contextlib.contextmanager
def input_file(directory: Path | None, size_bytes: int) -> Iterator[Path]:
    """A file of random bytes that is in the page cache. It is kept, and found again, in a given directory."""
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastput-input-")))
        file = directory / f"random-{size_bytes}"
        if not file.exists() or file.stat().st_size != size_bytes:
            say(f"writing {file}")
            with file.open("wb") as out:
                for start in range(0, size_bytes, BLOCK_BYTES):
                    out.write(os.urandom(min(BLOCK_BYTES, size_bytes - start)))
                # Else the kernel writes it back while the first runs are measured.
                os.fsync(out)
        block = bytearray(BLOCK_BYTES)
        with file.open("rb", buffering=0) as source:
            while source.readinto(block):
                pass
        yield file


@contextlib.contextmanager
def input_tree(directory: Path | None, files: Sequence[tuple[int, int]]) -> Iterator[Path]:
    """A directory with so many files of such sizes, a thousand in each of its own, in the page cache."""
    with contextlib.ExitStack() as stack:
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastput-input-")))
        root = directory / "-".join(["tree", *(f"{count}x{size_bytes}" for count, size_bytes in files)])
        if not root.exists():
            say(f"writing {root}")
            beside = root.with_name(root.name + ".part")
            number = 0
            for count, size_bytes in files:
                for _ in range(count):
                    path = beside / f"{number // 1000:04d}" / f"{number:07d}.dat"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as out:
                        for start in range(0, size_bytes, BLOCK_BYTES):
                            out.write(os.urandom(min(BLOCK_BYTES, size_bytes - start)))
                    number += 1
            beside.rename(root)
            os.sync()  # else the kernel writes it back while the first runs are measured
        yield root


def write_json(options: argparse.Namespace, found: Sequence[peers.Installed], rows: Sequence[Row]) -> None:
    """All there is to know about the comparison, except where on this machine it was made."""
    now = datetime.datetime.now(datetime.UTC)
    document = {
        "date": now.isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "bench.compare", *public_arguments(sys.argv[1:])]),
        "machine": results.machine(),
        "size_bytes": options.size,
        "files": options.files,
        "tls": options.tls,
        "peers": {
            each.peer.name: {"package": each.peer.package, "version": each.version, "extra": each.extra_arguments}
            for each in found
        },
        "ratios": {
            each.peer.name: {
                column.title: results.ratio(rows, BASELINE, each.peer.name, column) for column in results.RATIOS
            }
            for each in found
        },
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    what = options.size or "-".join(f"{count}x{size_bytes}" for count, size_bytes in options.files)
    name = f"{now:%Y%m%dT%H%M%SZ}-put-{what}{'-tls' if options.tls else ''}.json"
    path = options.json or RESULTS_DIR / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
    say(f"written: {path}")


def public_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line without the options whose values are paths of this machine."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith(("--dir=", "--bin=", "--json=")):
            skip = False
        elif argument in {"--dir", "--bin", "--json"}:
            skip = True
        else:
            kept.append(argument)
    return kept


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("put", help="upload one file", allow_abbrev=False)
    command.add_argument("--size", type=size, default=size("4GiB"), help="of the file, such as 512MiB")
    command.set_defaults(files=None)
    _add_common(command, peers.PEERS)
    command = commands.add_parser("put-tree", help="upload a directory", allow_abbrev=False)
    command.add_argument("--files", type=counted, default=counted("8000x190000"), help="such as 1x2GiB,200x20MiB")
    command.set_defaults(size=None)
    _add_common(command, [peer for peer in peers.PEERS if peer.tree_arguments])
    return parser.parse_args()


def _add_common(command: argparse.ArgumentParser, possible: Sequence[peers.Peer]) -> None:
    command.add_argument("--runs", type=positive, default=5, help="measured rounds after one to warm up")
    command.add_argument("--peers", type=names, default=[peer.name for peer in possible])
    command.add_argument("--tls", action="store_true", help="over TLS, through haproxy")
    command.add_argument("--dir", type=Path, help="scratch directory for the file, which is kept there")
    command.add_argument("--json", type=Path, help="result file, instead of a dated one in bench/results")
    command.add_argument("--timeout", type=float, default=600.0, help="seconds for a run")
    command.add_argument("--bin", type=Path, action="append", default=[], help="another bin directory to find peers in")
    for peer in peers.PEERS:
        command.add_argument(f"--{peer.name}-args", dest=argument_name(peer), default="", metavar="ARGS")


def argument_name(peer: peers.Peer) -> str:
    return f"args_{peer.name}"


def size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]iB)?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 4GiB")
    return int(match[1]) * UNITS_BYTES[match[2] or ""]


def counted(text: str) -> list[tuple[int, int]]:
    """ "1x2GiB,200x20MiB": (count, bytes) of each."""
    pairs = [part.partition("x") for part in text.split(",")]
    return [(positive(count), size(size_text)) for count, _, size_text in pairs]


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def names(text: str) -> list[str]:
    chosen = text.split(",")
    unknown = [name for name in chosen if name not in peers.BY_NAME]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(peers.BY_NAME)}")
    return chosen


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
