"""The CRC kernels against their definition, each other and two independent implementations."""

from __future__ import annotations

import json
import mmap
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.native import crc

CSRC = Path(__file__).parents[2] / "csrc"
VARIANTS_WORST_FIRST = ["portable", "sse42", "pclmul", "vpclmul", "vpclmul512", "armv8"]
MAX_SHORT_BYTES = 1100
# Beyond every block size of every kernel, and beyond what is done with the GIL held.
LONG_BYTES = [4095, 4096, 4097, 24_576, 70_001, 1 << 20, (3 << 20) + 13]


class Checksum(NamedTuple):
    """A CRC, by its independent definition and by the functions that are tested."""

    name: str
    width_bits: int
    reflected_poly: int
    check: int
    """The published CRC of b"123456789"."""
    update: Callable[..., int]
    update_with: Callable[..., int]
    combine: Callable[[int, int, int], int]

    @property
    def mask(self) -> int:
        return (1 << self.width_bits) - 1


CRC64NVME = Checksum(
    "crc64nvme", 64, 0x9A6C9329AC4BC9B5, 0xAE8B14860A799888,
    crc.crc64nvme, crc.crc64nvme_with, crc.crc64nvme_combine,
)  # fmt: skip
CRC32C = Checksum(
    "crc32c", 32, 0x82F63B78, 0xE3069283,
    crc.crc32c, crc.crc32c_with, crc.crc32c_combine,
)  # fmt: skip
CHECKSUMS = [CRC64NVME, CRC32C]
KERNELS = [(checksum, name) for checksum in CHECKSUMS for name in crc.available()[checksum.name]]

each_checksum = pytest.mark.parametrize("checksum", CHECKSUMS, ids=lambda checksum: checksum.name)
each_kernel = pytest.mark.parametrize(
    ("checksum", "variant"), KERNELS, ids=[f"{checksum.name}-{variant}" for checksum, variant in KERNELS]
)


def defined_crc(checksum: Checksum, data: bytes, value: int = 0) -> int:
    """The CRC bit by bit."""
    state = value ^ checksum.mask
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (checksum.reflected_poly if state & 1 else 0)
    return state ^ checksum.mask


def multiply(checksum: Checksum, a: int, b: int) -> int:
    """a * b mod P in the reflected form: the top bit stands for x^0."""
    product = 0
    for i in range(checksum.width_bits):
        if b >> (checksum.width_bits - 1 - i) & 1:
            product ^= a
        a = (a >> 1) ^ (checksum.reflected_poly if a & 1 else 0)
    return product


def defined_combination(checksum: Checksum, crc_a: int, crc_b: int, len_b: int) -> int:
    """crc_a * x^(8 * len_b) + crc_b, the power by squaring x."""
    power, square = 1 << (checksum.width_bits - 1), 1 << (checksum.width_bits - 2)
    exponent = 8 * len_b
    while exponent:
        if exponent & 1:
            power = multiply(checksum, power, square)
        square = multiply(checksum, square, square)
        exponent >>= 1
    return multiply(checksum, crc_a, power) ^ crc_b


@each_kernel
def test_published_value(checksum: Checksum, variant: str) -> None:
    assert checksum.update_with(variant, b"123456789") == checksum.check
    assert defined_crc(checksum, b"123456789") == checksum.check


@each_kernel
def test_every_short_length_against_the_definition(checksum: Checksum, variant: str) -> None:
    data = random.Random(1).randbytes(MAX_SHORT_BYTES)
    expected = 0
    for length in range(MAX_SHORT_BYTES + 1):
        assert checksum.update_with(variant, data[:length]) == expected, length
        if length < MAX_SHORT_BYTES:
            expected = defined_crc(checksum, data[length : length + 1], expected)


@each_kernel
def test_every_offset_and_length_against_portable(checksum: Checksum, variant: str) -> None:
    view = memoryview(random.Random(2).randbytes(64 + MAX_SHORT_BYTES))
    for offset in range(64):
        for length in range(MAX_SHORT_BYTES + 1):
            part = view[offset : offset + length]
            assert checksum.update_with(variant, part) == checksum.update_with("portable", part), (
                offset,
                length,
            )


@each_kernel
def test_long_data_in_pieces_against_portable(checksum: Checksum, variant: str) -> None:
    rng = random.Random(3)
    for length in LONG_BYTES:
        view = memoryview(rng.randbytes(length))
        expected = checksum.update_with("portable", view)
        assert checksum.update_with(variant, view) == expected
        cut = rng.randrange(length)
        assert checksum.update_with(variant, view[cut:], checksum.update_with(variant, view[:cut])) == expected


@each_checksum
def test_chosen_kernel_runs_on(checksum: Checksum) -> None:
    data = random.Random(4).randbytes(10_000)
    value = 0
    for start in range(0, len(data), 777):
        value = checksum.update(data[start : start + 777], value)
    assert value == checksum.update(data) == checksum.update_with(crc.variants()[checksum.name], data)
    assert checksum.update(b"", value) == value


@each_kernel
def test_against_awscrt(checksum: Checksum, variant: str) -> None:
    awscrt_checksums = pytest.importorskip("awscrt.checksums")
    independent = getattr(awscrt_checksums, checksum.name)
    rng = random.Random(5)
    for length in [*(rng.randrange(5000) for _ in range(200)), *LONG_BYTES]:
        data = rng.randbytes(length)
        start = independent(rng.randbytes(9))
        assert checksum.update_with(variant, data, start) == independent(data, start), length


@pytest.mark.parametrize("variant", crc.available()["crc32c"])
def test_against_google_crc32c(variant: str) -> None:
    google_crc32c = pytest.importorskip("google_crc32c")
    rng = random.Random(6)
    for length in [*(rng.randrange(5000) for _ in range(200)), *LONG_BYTES]:
        data = rng.randbytes(length)
        assert crc.crc32c_with(variant, data) == google_crc32c.value(data), length


@each_checksum
@given(a=st.binary(max_size=3000), b=st.binary(max_size=3000))
def test_combination_is_the_crc_of_both(checksum: Checksum, a: bytes, b: bytes) -> None:
    assert checksum.combine(checksum.update(a), checksum.update(b), len(b)) == checksum.update(a + b)


crc_values = st.integers(0, 2**64 - 1)
lengths = st.integers(0, 2**50)


@each_checksum
@given(crc_a=crc_values, crc_b=crc_values, len_b=lengths)
def test_combination_over_any_length_is_as_defined(checksum: Checksum, crc_a: int, crc_b: int, len_b: int) -> None:
    crc_a, crc_b = crc_a & checksum.mask, crc_b & checksum.mask
    expected = defined_combination(checksum, crc_a, crc_b, len_b)
    assert checksum.combine(crc_a, crc_b, len_b) == expected


@each_checksum
@given(crc_a=crc_values, crc_b=crc_values, crc_c=crc_values, len_b=lengths, len_c=lengths)
def test_combination_is_associative(
    checksum: Checksum, crc_a: int, crc_b: int, crc_c: int, len_b: int, len_c: int
) -> None:
    crc_a, crc_b, crc_c = (value & checksum.mask for value in (crc_a, crc_b, crc_c))
    left = checksum.combine(checksum.combine(crc_a, crc_b, len_b), crc_c, len_c)
    right = checksum.combine(crc_a, checksum.combine(crc_b, crc_c, len_c), len_b + len_c)
    assert left == right


@each_checksum
def test_combination_at_the_ends_of_its_range(checksum: Checksum) -> None:
    assert checksum.combine(0x1234, 0x5678, 0) == 0x1234 ^ 0x5678
    longest = 2**64 - 1
    assert checksum.combine(0x1234, 0x5678, longest) == defined_combination(checksum, 0x1234, 0x5678, longest)


@each_checksum
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_takes_any_contiguous_buffer(checksum: Checksum, kind: Callable[[bytes], object]) -> None:
    assert checksum.update(kind(b"123456789")) == checksum.check
    with mmap.mmap(-1, 9) as mapped:
        mapped[:] = b"123456789"
        assert checksum.update(mapped) == checksum.check


@each_checksum
def test_refuses_what_is_no_contiguous_buffer(checksum: Checksum) -> None:
    with pytest.raises(TypeError):
        checksum.update("123456789")
    with pytest.raises(BufferError):
        checksum.update(memoryview(b"123456789")[::2])
    with pytest.raises(TypeError):
        checksum.update(b"", crc=1)


@each_checksum
def test_refuses_integers_out_of_range(checksum: Checksum) -> None:
    for value in (-1, checksum.mask + 1):
        with pytest.raises(OverflowError):
            checksum.update(b"", value)
        with pytest.raises(OverflowError):
            checksum.update_with("portable", b"", value)
        with pytest.raises(OverflowError):
            checksum.combine(value, 0, 0)
        with pytest.raises(OverflowError):
            checksum.combine(0, value, 0)
    for length in (-1, 2**64):
        with pytest.raises(OverflowError):
            checksum.combine(0, 0, length)


@each_checksum
@pytest.mark.parametrize("name", ["", "no such", "portable\0", "vpclmul1024"])
def test_refuses_unknown_variants(checksum: Checksum, name: str) -> None:
    with pytest.raises(ValueError, match="available: portable"):
        checksum.update_with(name, b"")


@each_checksum
def test_refuses_names_that_are_no_text(checksum: Checksum) -> None:
    with pytest.raises(UnicodeEncodeError):
        checksum.update_with("\udc80", b"")
    with pytest.raises(TypeError):
        checksum.update_with(None, b"")


def test_sse42_has_no_crc64nvme() -> None:
    with pytest.raises(ValueError, match="sse42"):
        crc.crc64nvme_with("sse42", b"")


@each_checksum
def test_other_threads_run_meanwhile(checksum: Checksum) -> None:
    data = bytes(128 << 20)
    started, ended = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        checksum.update_with("portable", data)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    turns = 0
    while not ended.is_set():
        time.sleep(0.001)
        turns += 1
    thread.join()
    # With the GIL held there would be the turn before the call and the one that waits for its end.
    assert turns > 5


def import_with(demanded: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import json; from fastput.native import crc; print(json.dumps(crc.variants()))",
        ],
        env={**os.environ, "FASTPUT_CRC": demanded},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("demanded", crc.available()["crc32c"])
def test_environment_variable_is_honoured(demanded: str) -> None:
    done = import_with(demanded)
    assert done.returncode == 0, done.stderr
    not_above = VARIANTS_WORST_FIRST[: VARIANTS_WORST_FIRST.index(demanded) + 1]
    best_crc64nvme = [name for name in crc.available()["crc64nvme"] if name in not_above][-1]
    assert json.loads(done.stdout) == {"crc64nvme": best_crc64nvme, "crc32c": demanded}


def test_empty_environment_variable_demands_nothing() -> None:
    done = import_with("")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: available_names[-1] for name, available_names in crc.available().items()}


@pytest.mark.parametrize(
    "demanded",
    ["no such", "PORTABLE", *(set(VARIANTS_WORST_FIRST) - set(crc.available()["crc32c"]))],
)
def test_environment_variable_is_a_demand(demanded: str) -> None:
    done = import_with(demanded)
    assert done.returncode != 0
    assert done.stdout == ""
    last_line = done.stderr.strip().splitlines()[-1]
    assert last_line.startswith(f"ImportError: FASTPUT_CRC={demanded!r} ")
    assert last_line.endswith(f"(available: {', '.join(crc.available()['crc32c'])})")


def test_committed_constants_are_what_the_generator_prints() -> None:
    printed = subprocess.run(
        [sys.executable, CSRC / "gen_constants.py"], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert (CSRC / "crc_constants.h").read_text() == printed
