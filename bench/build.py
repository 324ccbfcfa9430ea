"""Compile the C programs of the benchmarks on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

BENCH_DIR = Path(__file__).resolve().parent
BUILD_DIR = BENCH_DIR.parent / "build" / "bench"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-pthread")
# The directory and the sources in it.
PROGRAMS = {
    "sink": ("sink", ("sink.c", "connection.c", "shape.c", "inflow.c", "stats.c", "s3.c", "http.c")),
    "timed": ("sink", ("timed.c",)),
    "wire": ("lab", ("wire.c", "direction.c", "packet.c", "namespaces.c")),
}


def build(name: str, build_dir: Path = BUILD_DIR) -> Path:
    """Path of a program, compiled again only if a source is newer."""
    directory, sources = PROGRAMS[name]
    source_dir = BENCH_DIR / directory
    program = build_dir / name
    newest = max(p.stat().st_mtime for p in source_dir.iterdir() if p.suffix in {".c", ".h"})
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    compiler = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if compiler is None:
        raise RuntimeError("the benchmarks need a C compiler: install gcc or clang")
    build_dir.mkdir(parents=True, exist_ok=True)
    # A name of its own, then a rename: two builds at once do not disturb each other.
    fresh = build_dir / f"{name}.{os.getpid()}"
    paths = [str(source_dir / source) for source in sources]
    subprocess.run([compiler, *FLAGS, "-o", str(fresh), *paths, "-lm"], check=True)
    return fresh.replace(program)


if __name__ == "__main__":
    for each in PROGRAMS:
        print(build(each))
