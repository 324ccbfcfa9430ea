"""How fast the checksum kernels are, against awscrt's in the same run, on a buffer that stays in the cache.

python -m bench.kernels [--size-mib N] [--repeats N] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import mmap
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import awscrt
from awscrt import checksums

from bench import results
from fastput.limits import DEFAULT_WINDOW, MIB
from fastput.native import crc
from fastput.native.slicer import FileBody

DEFAULT_SIZE_MIB = 8
DEFAULT_REPEATS = 100
# Well above any cache, well below any memory.
FILE_BYTES = 320 * MIB


class Kernel(NamedTuple):
    """Something that goes over the whole buffer once a call."""

    checksum: str
    """What is computed; kernels of one checksum are compared with its reference."""
    name: str
    run: Callable[[], object]
    size_bytes: int
    is_reference: bool = False


class Measured(NamedTuple):
    """The speed of a kernel over all repeats, and how it compares with the reference of its checksum."""

    checksum: str
    name: str
    best_gb_per_second: float
    median_gb_per_second: float
    ratio_of_best: float
    median_ratio: float
    """Of the ratios repeat by repeat: what disturbs both alike cancels."""


def checksum_kernels(buffer: memoryview) -> list[Kernel]:
    """awscrt's kernels, those that fastput chose, and each other variant that runs here."""
    kernels = []
    for checksum, reference, chosen, with_variant in (
        ("crc64nvme", checksums.crc64nvme, crc.crc64nvme, crc.crc64nvme_with),
        ("crc32c", checksums.crc32c, crc.crc32c, crc.crc32c_with),
    ):
        kernels.append(
            Kernel(checksum, "awscrt", functools.partial(reference, buffer), buffer.nbytes, is_reference=True)
        )
        kernels.append(
            Kernel(checksum, f"fastput ({crc.variants()[checksum]})", functools.partial(chosen, buffer), buffer.nbytes)
        )
        kernels += [
            Kernel(checksum, f"  {variant}", functools.partial(with_variant, variant, buffer), buffer.nbytes)
            for variant in crc.available()[checksum]
        ]
    return kernels


class PartReader:
    """Parts of a file in the page cache, into one buffer after another, as many as an upload has in flight.

    The source of the bytes and where they go are thus out of the cache, as they are in an upload.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it ends with the process
        self._parts = max(2, FILE_BYTES // part_bytes)
        for _ in range(self._parts):
            self._file.write(os.urandom(part_bytes))
        self._file.flush()
        self._stat = os.fstat(self._file.fileno())
        buffers = max(2, min(DEFAULT_WINDOW, FILE_BYTES // part_bytes))
        self._buffers = [memoryview(mmap.mmap(-1, part_bytes)) for _ in range(buffers)]
        self._turns = itertools.count()

    def fused(self) -> None:
        part, buffer = self._next()
        FileBody(
            self._file.fileno(), part * self._part_bytes, self._part_bytes, self._stat.st_size, self._stat.st_mtime_ns
        ).readinto(buffer)

    def read_then_hash(self) -> None:
        crc.crc64nvme(self.read_only())

    def read_only(self) -> memoryview:
        part, buffer = self._next()
        os.preadv(self._file.fileno(), [buffer], part * self._part_bytes)
        return buffer

    def _next(self) -> tuple[int, memoryview]:
        turn = next(self._turns)
        return turn % self._parts, self._buffers[turn % len(self._buffers)]


def reading_kernels(buffer: memoryview) -> list[Kernel]:
    """The slicer's one pass beside two: by one thread, and by one a core, as an upload reads."""
    kernels = []
    for part_bytes in (buffer.nbytes, 8 * buffer.nbytes):
        reader = PartReader(part_bytes)
        for threads in sorted({1, len(os.sched_getaffinity(0))}):
            size_bytes = threads * part_bytes
            group = f"read+hash {part_bytes // MIB} MiB x {threads}"
            kernels += [
                Kernel(group, "read, then hash", Together(reader.read_then_hash, threads), size_bytes, True),
                Kernel(group, "fastput's slicer", Together(reader.fused, threads), size_bytes),
                Kernel(group, "  read alone", Together(reader.read_only, threads), size_bytes),
            ]
    return kernels


class Together:
    """Runs something in several threads at once, and waits for all."""

    def __init__(self, run: Callable[[], object], threads: int) -> None:
        self._run = run
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def __call__(self) -> None:
        if self._threads == 1:
            self._run()
        else:
            for future in [self._pool.submit(self._run) for _ in range(self._threads)]:
                future.result()


# Each is called with the buffer and returns kernels; their checksum names the group with one reference.
GROUPS: list[Callable[[memoryview], list[Kernel]]] = [checksum_kernels, reading_kernels]


def seconds_of_each(kernels: list[Kernel], repeats: int) -> list[list[float]]:
    """Run all kernels once a repeat, in another order each time."""
    seconds: list[list[float]] = [[] for _ in kernels]
    order = list(range(len(kernels)))
    rng = random.Random(0)
    for kernel in kernels:
        kernel.run()
    for _ in range(repeats):
        rng.shuffle(order)
        for i in order:
            start = time.perf_counter()
            kernels[i].run()
            seconds[i].append(time.perf_counter() - start)
    return seconds


def measure(kernels: list[Kernel], repeats: int) -> list[Measured]:
    """Measure all kernels, interleaved."""
    seconds = seconds_of_each(kernels, repeats)
    reference = {kernel.checksum: taken for kernel, taken in zip(kernels, seconds, strict=True) if kernel.is_reference}
    return [
        Measured(
            kernel.checksum,
            kernel.name,
            kernel.size_bytes / min(taken) / 1e9,
            kernel.size_bytes / statistics.median(taken) / 1e9,
            min(reference[kernel.checksum]) / min(taken),
            statistics.median(theirs / ours for theirs, ours in zip(reference[kernel.checksum], taken, strict=True)),
        )
        for kernel, taken in zip(kernels, seconds, strict=True)
    ]


def check_agreement(kernels: list[Kernel]) -> None:
    """A wrong result is no result, however fast."""
    for checksum in {kernel.checksum for kernel in kernels}:
        results = {kernel.name: kernel.run() for kernel in kernels if kernel.checksum == checksum}
        if len(set(results.values())) != 1:
            sys.exit(f"the results for {checksum} differ: {results}")


def print_table(rows: list[Measured]) -> None:
    print(f"{'checksum':<20} {'kernel':<22} {'best GB/s':>10} {'median':>8} {'x best':>8} {'x median':>9}")
    for row in rows:
        print(
            f"{row.checksum:<20} {row.name:<22} {row.best_gb_per_second:>10.2f}"
            f" {row.median_gb_per_second:>8.2f} {row.ratio_of_best:>8.2f} {row.median_ratio:>9.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.kernels", description=__doc__.splitlines()[0])
    parser.add_argument("--size-mib", type=int, default=DEFAULT_SIZE_MIB)
    parser.add_argument("--repeats", type=int, default=DEFAULT_REPEATS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    arguments = parser.parse_args()

    size_bytes = arguments.size_mib * MIB
    # Whole pages and no file behind them, as the buffers that are uploaded from.
    with mmap.mmap(-1, size_bytes) as buffer:
        buffer.write(os.urandom(size_bytes))
        with memoryview(buffer) as view:
            rows: list[Measured] = []
            for group in GROUPS:  # one after another: reading files empties the cache that checksums are measured in
                kernels = group(view)
                check_agreement(kernels)
                rows += measure(kernels, arguments.repeats)
                del kernels  # they hold on to the view
    print(f"{arguments.size_mib} MiB, {arguments.repeats} repeats, awscrt {awscrt.__version__}")
    print_table(rows)
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {
                    "size_bytes": size_bytes,
                    "repeats": arguments.repeats,
                    "awscrt": awscrt.__version__,
                    "machine": results.machine(),
                    "kernels": [row._asdict() for row in rows],
                },
                indent=2,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
