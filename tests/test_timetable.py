"""--limit-rate: rates and times of day as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.timetable import DAY_S, Timetable
from fastput.units import format_rate, parse_rate

RATES = {
    "400Mbps": 50e6, "400 Mbit/s": 50e6, "400mbits/s": 50e6, "50MB/s": 50e6, "50MiB/s": 50 * 2**20,
    "1.5Gbps": 187.5e6, "8000kbps": 1e6, "0.5GB/s": 5e8, "1GiB/s": 2**30, "8000000bps": 1e6, "50MBps": 50e6,
}  # fmt: skip


@pytest.mark.parametrize("text", RATES)
def test_rates(text: str) -> None:
    assert parse_rate(text) == RATES[text]


@pytest.mark.parametrize("text", ["", "400", "400M", "400MB", "400Mibps", "-1Mbps", "1e3Mbps", "Mbps", "max", "nan"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a rate.*400Mbps"):
        parse_rate(text)


@given(st.text(max_size=20))
def test_any_text_is_a_timetable_or_refused(text: str) -> None:
    try:
        Timetable.parse(text)
    except UsageError:
        pass


def test_formatted() -> None:
    assert [format_rate(rate) for rate in (125e3, 50e6, 187.5e6, 10)] == ["1 Mbps", "400 Mbps", "1.5 Gbps", "80 bps"]


def clock(hour: int, minute: int = 0, second: int = 0) -> int:
    return hour * 3600 + minute * 60 + second


def test_a_timetable() -> None:
    table = Timetable.parse("08:00-18:00=200Mbps, 22:00-06:00=1Gbps, else=max")
    assert table.at(clock(7, 59, 59)) is None
    assert table.at(clock(8)) == table.at(clock(17, 59, 59)) == 25e6
    assert table.at(clock(18)) is table.at(clock(21, 59, 59)) is None
    assert table.at(clock(22)) == table.at(clock(0)) == table.at(clock(5, 59, 59)) == 125e6
    assert table.at(clock(6)) is None


def test_one_rate_and_none() -> None:
    assert Timetable.parse("10Mbps").at(0) == Timetable.parse("else=10Mbps").at(0) == 1.25e6
    assert Timetable.parse("max").at(0) is None
    assert Timetable.parse("8:00-18:00=10Mbps").at(0) is None
    assert Timetable.parse("00:00-24:00=10Mbps,else=max").at(DAY_S - 1) == 1.25e6


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, DAY_S - 1))
def test_a_span_and_its_complement_make_a_day(start: int, end: int, second: int) -> None:
    if start == end:
        return
    times = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in (start, end)]
    table = Timetable.parse(f"{times[0]}-{times[1]}=10Mbps,{times[1]}-{times[0]}=20Mbps,else=30Mbps")
    is_inside = (second - 60 * start) % DAY_S < (60 * end - 60 * start) % DAY_S
    assert table.at(second) == (1.25e6 if is_inside else 2.5e6)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("500kbps", "below 1 Mbps"),
        ("0Mbps", "below 1 Mbps"),
        ("08:00-18:00=0.9Mbps,else=max", "below 1 Mbps"),
        ("08:00-18:00", "is not a rate"),
        ("08:00-18:00=fast", "is not a rate"),
        ("08:00=200Mbps", "is not a span of the day"),
        ("8-18=200Mbps", "is not a span of the day"),
        ("08:00-25:00=200Mbps", "00:00 to 24:00"),
        ("08:60-18:00=200Mbps", "00:00 to 24:00"),
        ("24:01-18:00=200Mbps", "00:00 to 24:00"),
        ("08:00-08:00=200Mbps", "empty span"),
        ("08:00-18:00=200Mbps,17:00-19:00=1Gbps", "overlap"),
        ("22:00-06:00=200Mbps,05:00-07:00=1Gbps", "overlap"),
        ("08:00-18:00=200Mbps,1Gbps", "doesn't say when"),
        ("else=1Gbps,else=max", "twice"),
        ("1Gbps,", "doesn't say when"),
    ],
)
def test_what_is_no_timetable(text: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Timetable.parse(text)
