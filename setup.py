"""Builds the Cython extensions over the C kernels in csrc/; everything else is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

NATIVE = "src/fastput/native"
CHECKSUMS = ["csrc/cpu.c", *sorted(str(path) for path in Path("csrc").glob("crc*.c"))]
# Baseline flags only: instruction sets above the baseline are chosen per function, at run time.
COMPILE_ARGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"]


def extension(name: str, c_sources: list[str]) -> Extension:
    return Extension(
        f"fastput.native.{name}",
        [f"{NATIVE}/{name}.pyx", *c_sources],
        include_dirs=["csrc"],
        depends=[str(path) for path in Path("csrc").glob("*.h")],
        extra_compile_args=COMPILE_ARGS,
        define_macros=[("_GNU_SOURCE", "1"), ("CYTHON_USE_SYS_MONITORING", "0")],
    )


setup(
    ext_modules=cythonize(
        [
            extension("crc", CHECKSUMS),
            extension("slicer", ["csrc/slicer.c"]),
            extension("allocator", ["csrc/allocator.c"]),
            extension("connections", ["csrc/connections.c"]),
            extension("scan", ["csrc/scan.c"]),
            extension("landing", ["csrc/landing.c"]),
            extension("put", ["csrc/put.c", "csrc/answer.c", "csrc/slicer.c"]),
            extension("pack", ["csrc/pack.c", "csrc/slicer.c"]),
        ],
        build_dir="build/cython",
        include_path=["src"],
        compiler_directives={"language_level": "3"},
    )
)
