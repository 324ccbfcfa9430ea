"""Builds the CRC kernels and their C test with the sanitizers, and runs them.

Two tests are of the test itself: a read of one byte too far and a wrong constant must be found.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fastput.native import crc

CSRC = Path(__file__).parents[2] / "csrc"
SOURCES = ["cpu.c", "crc32c.c", "crc64nvme.c", "crc_combine.c", "crc_dispatch.c", "tests/test_crc.c"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


@pytest.fixture(scope="session")
def compiler() -> str:
    """A C compiler."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no C compiler")


@pytest.fixture(scope="session")
def sanitizing_compiler(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A C compiler that has both sanitizers, with their libraries."""
    folder = tmp_path_factory.mktemp("sanitizers")
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    for command in (
        [compiler, *SANITIZE, "-o", str(folder / "empty"), str(folder / "empty.c")],
        [str(folder / "empty")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            pytest.skip(f"{compiler} lacks the sanitizers: {(done.stderr.splitlines() or ['?'])[-1]}")
    return compiler


def build(compiler: str, program: Path, *flags: str, csrc: Path = CSRC) -> Path:
    """Build the C test."""
    subprocess.run(
        [compiler, "-std=c11", "-g", "-O1", *WARNINGS, *flags, f"-I{csrc}", "-o", str(program)]
        + [str(csrc / source) for source in SOURCES],
        check=True,
        timeout=300,
    )
    return program


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the C test."""
    return subprocess.run(
        [program, *arguments],
        # Leak detection needs rights that some containers don't give; it is not what is tested.
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_kernels_are_clean(sanitizing_compiler: str, tmp_path: Path) -> None:
    done = run(build(sanitizing_compiler, tmp_path / "test_crc", *SANITIZE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failures" in done.stdout


@pytest.fixture(scope="module")
def overrunning(sanitizing_compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C test with kernels that are asked for one byte too many."""
    program = tmp_path_factory.mktemp("overrun") / "test_crc"
    return build(sanitizing_compiler, program, "-DFP_TEST_OVERRUN", *SANITIZE)


@pytest.mark.parametrize("variant", crc.available()["crc32c"])
def test_a_byte_too_far_would_be_found(overrunning: Path, variant: str) -> None:
    done = run(overrunning, variant)
    assert done.returncode != 0
    # The block is one byte shorter than what was asked for; old compilers name the error otherwise.
    assert "ERROR: AddressSanitizer" in done.stderr
    assert "1087-byte region" in done.stderr


@pytest.mark.parametrize(
    "constant",
    ["CRC64NVME_FOLD_16 ", "CRC64NVME_BARRETT_P ", "CRC64NVME_X8_POWERS ", "CRC32C_FOLD_128 ", "CRC32C_POLY "],
)
def test_a_wrong_constant_would_be_found(compiler: str, constant: str, tmp_path: Path) -> None:
    csrc = shutil.copytree(CSRC, tmp_path / "csrc")
    header = csrc / "crc_constants.h"
    before, name, after = header.read_text().partition(constant)
    digit = after.index("0x") + 2
    after = after[:digit] + format(int(after[digit], 16) ^ 1, "x") + after[digit + 1 :]
    header.write_text(before + name + after)
    done = run(build(compiler, tmp_path / "test_crc", csrc=csrc))
    assert done.returncode != 0
    assert "fail" in done.stderr or "crc" in done.stderr


def test_the_slicer_is_clean(sanitizing_compiler: str, tmp_path: Path) -> None:
    program = tmp_path / "slicer"
    sources = [str(CSRC / "slicer.c"), str(CSRC / "tests" / "test_slicer.c")]
    command = [sanitizing_compiler, "-std=c11", "-D_GNU_SOURCE", "-g", "-O1", *SANITIZE, f"-I{CSRC}"]
    subprocess.run([*command, "-o", str(program), *sources], check=True, timeout=300)
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "0 failures" in done.stdout
