"""Compile the sink on demand."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parent
BUILD_DIR = SOURCE_DIR.parents[1] / "build" / "bench"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-pthread")


def build(build_dir: Path = BUILD_DIR) -> Path:
    """Path of the sink's executable, compiled again only if a source is newer."""
    program = build_dir / "sink"
    inputs = [path for path in SOURCE_DIR.iterdir() if path.suffix in {".c", ".h"}]
    if program.exists() and program.stat().st_mtime >= max(p.stat().st_mtime for p in inputs):
        return program
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        raise RuntimeError("the sink needs a C compiler: install gcc or clang")
    build_dir.mkdir(parents=True, exist_ok=True)
    # A name of its own, then a rename: two builds at once do not disturb each other.
    fresh = build_dir / f"sink.{os.getpid()}"
    sources = sorted(str(path) for path in inputs if path.suffix == ".c")
    subprocess.run([compiler, *FLAGS, "-o", str(fresh), *sources], check=True)
    fresh.replace(program)
    return program


if __name__ == "__main__":
    print(build())
