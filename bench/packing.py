"""What compressing and packing cost, beside what people do instead; each run a whole process, in turns.

python -m bench.packing pipeline                    the compressing alone, beside zstandard on one thread
python -m bench.packing compress --size 4GiB        a file, beside zstd -T0 | aws s3 cp - and | s5cmd pipe
python -m bench.packing pack --files 50000x4000     a directory as one object, beside s5cmd's plain upload of it
python -m bench.packing get --size 4GiB             an object to a file, beside awscrt's own GetObject
python -m bench.packing link --size 400MiB          through 200 Mbps (as root): noise, and random bytes with and without
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zstandard

from bench import peers, process
from bench.compare import counted, input_tree, size
from bench.lab.link import Link
from bench.lab.run import Command
from bench.lab.run import run as run_in_lab
from bench.lab.scenarios import DATA_SHARE, Scenario
from bench.servers import sink
from fastput.codec import ZstdCodec
from fastput.engine.encoded import EncodedSource
from fastput.engine.job import Compression
from fastput.model import Checksum, encode_crc
from fastput.native.allocator import keep_buffers
from fastput.native.crc import crc64nvme, crc64nvme_combine
from fastput.source import FileSource
from fastput.tuner.compression import LinkRate

MIB = 1 << 20
TIMEOUT_S = 600.0
LINK = Scenario("200m-20ms", Link(200e6, 0.02))
FASTPUT = f"{shlex.quote(sys.executable)} -m fastput put -q --no-progress"


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.packing", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=list(CASES))
    parser.add_argument("--size", type=size, default=1 << 30)
    parser.add_argument("--files", type=counted, default=counted("50000x4000"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where the input is made [/dev/shm]")
    parser.add_argument("--bin", type=Path, action="append", default=[], help="where s5cmd and aws are")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastput-packing-", dir=options.dir) as name:
        found = CASES[options.what](options, Path(name))
    print(json.dumps(found, indent=1))
    return 0


def noise(path: Path, size_bytes: int) -> Path:
    """16-bit samples, as an instrument has them: normal, with a deviation of 40."""
    source = np.random.default_rng(1)
    with path.open("wb") as file:
        for begin in range(0, size_bytes, 64 * MIB):
            count = min(64 * MIB, size_bytes - begin) // 2
            file.write(source.normal(0, 40, count).astype("<i2").tobytes())
    return path


def _pipeline(options: argparse.Namespace, directory: Path) -> Mapping[str, object]:
    """Reading, hashing and compressing, without sending, beside zstandard that has all in memory.

    Bare threads: one for each core, which do nothing but compress: what this machine gives at most.
    """
    keep_buffers()
    path = noise(directory / "noise", options.size)
    data = memoryview(path.read_bytes())
    cores = len(os.sched_getaffinity(0))
    share_bytes = -(-len(data) // (cores * MIB)) * MIB

    def bare(share: memoryview) -> None:
        compressor = zstandard.ZstdCompressor(level=1)
        for begin in range(0, len(share), MIB):
            compressor.compress(share[begin : begin + MIB])

    def alone() -> None:
        bare(data)

    def together() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(bare, (data[begin : begin + share_bytes] for begin in range(0, len(data), share_bytes))))

    def pipeline() -> None:
        source = EncodedSource(FileSource(path), ZstdCodec(), Compression(1), LinkRate)
        while not source.read(8 * MIB).is_last:
            pass
        source.close()

    ways = {"one thread": alone, "bare threads": together, "pipeline": pipeline}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.runs):
        for name, work in ways.items():
            begun_s = time.perf_counter()
            work()
            rates[name].append(len(data) / (time.perf_counter() - begun_s))
    one = rates.pop("one thread")
    return {
        "cores": cores,
        "one thread, MB/s": round(statistics.median(one) / 1e6),
        **{
            f"{name}, of cores x one thread": round(
                statistics.median(each / (cores * alone) for each, alone in zip(found, one, strict=True)), 3
            )
            for name, found in rates.items()
        },
    }


def _compress(options: argparse.Namespace, directory: Path) -> Mapping[str, object]:
    path = shlex.quote(str(noise(directory / "noise", options.size)))
    aws, s5cmd = (_program(name, options.bin) for name in ("aws", "s5cmd"))
    return _in_turns(
        {
            "fastput": f"exec {FASTPUT} --compress=1 {path} s3://bucket/key",
            "fastput auto": f"exec {FASTPUT} --compress {path} s3://bucket/key",
            "aws": f"zstd -q -T0 -1 -c {path} | {aws} s3 cp --only-show-errors - s3://bucket/key",
            "s5cmd": f"zstd -q -T0 -1 -c {path} | {s5cmd} pipe s3://bucket/key",
        },
        options.runs,
        directory,
    )


def _pack(options: argparse.Namespace, directory: Path) -> Mapping[str, object]:
    with input_tree(directory, options.files) as tree:
        root = shlex.quote(str(tree))
        return _in_turns(
            {
                "fastput": f"exec {FASTPUT} --pack {root} s3://bucket/key",
                "fastput, compressed": f"exec {FASTPUT} --pack --compress {root} s3://bucket/key",
                "s5cmd": f"exec {_program('s5cmd', options.bin)} --log error cp {root}/ s3://bucket/key/",
            },
            options.runs,
            directory,
        )


def _get(options: argparse.Namespace, directory: Path) -> Mapping[str, object]:
    """The object is a file of 64 MiB over and over. Each run writes a file that isn't there yet."""
    piece = directory / "piece"
    data = os.urandom(64 * MIB)
    piece.write_bytes(data)
    crc = 0
    for _ in range(options.size // len(data)):
        crc = crc64nvme_combine(crc, crc64nvme(data), len(data))
    held = sink.Held(piece, options.size // len(data) * len(data), encode_crc(crc, Checksum.CRC64NVME))
    get = shlex.quote(str(peers.SCRIPTS_DIR / "crt_get.py"))
    target = shlex.quote(str(directory / "got"))
    python = shlex.quote(sys.executable)
    return _in_turns(
        {
            "fastput": f"rm -f {target}; exec {python} -m fastput get -q s3://bucket/key {target}",
            "awscrt": f"rm -f {target}; exec {python} {get} {target} $AWS_ENDPOINT_URL bucket key 10",
        },
        options.runs,
        directory,
        held,
    )


def _in_turns(
    commands: Mapping[str, str], runs: int, directory: Path, held: sink.Held | None = None
) -> Mapping[str, object]:
    """Medians; the first round warms up. Ratios of fastput's wall to each, round by round."""
    costs: dict[str, list[process.Cost]] = {name: [] for name in commands}
    with sink.serve(held=held) as server:
        for number in range(runs + 1):
            for name, command in commands.items():
                cost = _cost(["/bin/sh", "-c", command], server.endpoint_url, directory)
                print(f"{name:<20} {cost.wall_s:7.2f} s", file=sys.stderr, flush=True)
                if number:
                    costs[name].append(cost)
    first = next(iter(commands))
    return {
        name: {
            "wall_s": round(statistics.median(cost.wall_s for cost in rows), 2),
            "cpu_s": round(statistics.median(cost.user_s + cost.sys_s for cost in rows), 2),
            "peak_MiB": round(max(cost.max_rss_bytes for cost in rows) / MIB),
            f"{first}'s share": round(
                statistics.median(a.wall_s / b.wall_s for a, b in zip(costs[first], rows, strict=True)), 3
            ),
        }
        for name, rows in costs.items()
    }


def _cost(command: Sequence[str], url: str, directory: Path) -> process.Cost:
    with tempfile.TemporaryDirectory(prefix="run-", dir=directory) as name:
        return process.cost_of(command, _environment(Path(name), url), Path(name, "run"), TIMEOUT_S)


def _environment(home: Path, url: str) -> dict[str, str]:
    more = {"AWS_ENDPOINT_URL": url, "S3_ENDPOINT_URL": url, "PATH": os.environ["PATH"]}
    return dict(peers.environment(home, peers.Target(url, "bucket", "key"))) | more


def _link(options: argparse.Namespace, directory: Path) -> Mapping[str, object]:
    """Bytes of content a second through the link, and its own."""
    paths = {"noise": noise(directory / "noise", options.size), "random": directory / "random"}
    with paths["random"].open("wb") as file:
        for _ in range(options.size // MIB):
            file.write(os.urandom(MIB))
    cases = {
        "noise --compress": ("noise", ["--compress"]),
        "random": ("random", []),
        "random --compress": ("random", ["--compress"]),
    }
    walls: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.runs):
        for name, (source, more) in cases.items():
            with tempfile.TemporaryDirectory(prefix="run-", dir=directory) as home:
                command = [sys.executable, "-m", "fastput", "put", "-q", "--no-progress", *more, str(paths[source]),
                           "s3://bucket/key"]  # fmt: skip
                result = run_in_lab(LINK, Command(command, _environment(Path(home), "{url}")), (), TIMEOUT_S)
            if result.error:
                raise RuntimeError(result.error + result.output)
            print(f"{name:<20} {result.wall_s:7.2f} s", file=sys.stderr, flush=True)
            walls[name].append(result.wall_s)
    assert LINK.link is not None
    line_rate = LINK.link.rate_bits_per_s / 8 * DATA_SHARE
    goodput = {name: options.size / statistics.median(rows) for name, rows in walls.items()}
    pairs = zip(walls["random"], walls["random --compress"], strict=True)
    return {
        **{f"{name}, of the link": round(each / line_rate, 3) for name, each in goodput.items()},
        "random --compress, of random": round(statistics.median(plain / other for plain, other in pairs), 3),
    }


def _program(name: str, bin_dirs: Sequence[Path]) -> str:
    found = peers.find(peers.BY_NAME[name], bin_dirs)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: give --bin")
    return shlex.quote(str(found.program))


CASES: Mapping[str, Callable[[argparse.Namespace, Path], Mapping[str, object]]] = {
    "pipeline": _pipeline,
    "compress": _compress,
    "pack": _pack,
    "get": _get,
    "link": _link,
}

if __name__ == "__main__":
    sys.exit(main())
