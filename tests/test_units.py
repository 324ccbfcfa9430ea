"""Sizes, rates and durations as people write and read them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.units import format_duration, format_goodput, format_size, parse_duration, parse_size

BINARY = {"": 1, "B": 1, "K": 2**10, "KiB": 2**10, "Mi": 2**20, "m": 2**20, "MiB": 2**20, "G": 2**30, "TiB": 2**40}
DECIMAL = {"kB": 10**3, "MB": 10**6, "gb": 10**9, "TB": 10**12}


@given(st.integers(0, 2**16), st.sampled_from(sorted(BINARY | DECIMAL)), st.sampled_from(["", " "]))
def test_whole_sizes(number: int, unit: str, space: str) -> None:
    assert parse_size(f"{number}{space}{unit}") == number * (BINARY | DECIMAL)[unit]


@given(st.integers(0, 2**63 - 1))
def test_bytes_are_exact(size_bytes: int) -> None:
    """Was a bug: above 2^53 the float in between rounded. (No object is that large.)"""
    assert parse_size(str(size_bytes)) == size_bytes


@given(st.integers(0, 9999), st.integers(1, 3), st.sampled_from(sorted(BINARY | DECIMAL)))
def test_fractions_are_exact(digits: int, places: int, unit: str) -> None:
    """Was a bug: 1.001kB was refused as "not a whole number of bytes": 1.001 * 1000 isn't 1001 in
    binary floating point."""
    text = f"{digits / 10**places:.{places}f}{unit}"
    exact = Fraction(digits, 10**places) * (BINARY | DECIMAL)[unit]
    if exact.denominator == 1:
        assert parse_size(text) == exact
    else:
        with pytest.raises(UsageError, match="whole number"):
            parse_size(text)


@pytest.mark.parametrize(
    "text", ["", " ", "-1", "+1", "1e3", "0x10", "MiB", "1 2", "1.MiB", ".5M", "8MiBs", "nan", "inf"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        assert parse_size(text) >= 0
    except UsageError:
        pass


def test_a_size_beyond_all_bounds() -> None:
    """Was a bug: OverflowError, and a traceback on the command line."""
    try:
        assert parse_size("9" * 400) == int("9" * 400)
    except UsageError:
        pass


@given(st.integers(0, 2**50))
@example(299_776)
def test_what_is_written_can_be_read(size_bytes: int) -> None:
    text = format_size(size_bytes)
    number, unit = text.split()
    unit_bytes = BINARY[{"MiB": "MiB", "GiB": "G"}.get(unit, unit)]
    # Half of the digit that is written, and what a float loses: 299,776 bytes are 292.75 KiB.
    assert abs(float(number) - size_bytes / unit_bytes) <= (0.05 if unit != "B" else 0) + 1e-9


def test_for_people() -> None:
    sizes = [format_size(size_bytes) for size_bytes in (0, 1023, 1024, 8 << 20, 3 << 39, 49 << 40)]
    assert sizes == ["0 B", "1023 B", "1.0 KiB", "8.0 MiB", "1.5 TiB", "49.0 TiB"]
    assert format_goodput(1_234_500_000) == "1,234.5 MB/s"
    durations = [format_duration(duration_s) for duration_s in (0, 3.21, 59.9, 60, 245, 7380, 86_400, 619_000)]
    assert durations == ["0.0 s", "3.2 s", "59.9 s", "1m00s", "4m05s", "2h03m", "1d00h", "7d03h"]


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("0s", 0), ("45s", 45), ("30m", 1800), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("1.5h", 5400),
     (" 7 D ", 604_800), ("0.25s", 0.25)],
)  # fmt: skip
def test_durations(text: str, duration_s: float) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-7d", "+7d", "7 days", "7dd", "1d12h", "1e3s", "nan", "inf s", "\u0667d", ".5h", "5.h", "9" * 99 + "s"],  # noqa: E501
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError, match="7d"):
        parse_duration(text)


@given(st.text() | st.from_regex(r"[0-9.]+ ?[smhdw]"))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert 0 <= parse_duration(text) < 1e18
    except UsageError:
        pass
