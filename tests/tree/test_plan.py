"""What a plan reckons, beside sums done the long way; and plans and prices as files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.limits import GIB, MIB
from fastput.timetable import Timetable
from fastput.tree.plan.estimate import Estimate, Link, Measured, Work, estimate
from fastput.tree.plan.file import PlanFile, dump_plan, load_plan
from fastput.tree.plan.prices import load_prices
from fastput.tree.plan.work import Counter
from fastput.tree.survey.facts import Share, Sizes
from fastput.tuner import Settings

PRICES = load_prices()
EMPTY = Share(0, 0)


def work_of(files: int, each_bytes: int) -> Work:
    """Files of one size, each in one request."""
    total = Share(files, files * each_bytes)
    powers = (*[EMPTY] * each_bytes.bit_length(), total)
    return Work(total, Sizes(each_bytes, each_bytes, 0.0, (each_bytes, "a"), (each_bytes, "b"), powers), 0, 0)


def reckon(
    work: Work,
    link: float | None = 125e6,
    timetable: str | None = None,
    starts_at_s: float = 0.0,
    hash_digits: int = 0,
    compression: Measured | None = None,
) -> Estimate:
    parsed = Timetable.parse(timetable) if timetable is not None else None
    way = Link(link, "as given") if link is not None else None
    return estimate(work, way, PRICES, parsed, starts_at_s, hash_digits, compression, cpus=2)


def test_time_on_the_link() -> None:
    large = reckon(work_of(10, 125_000_000_000))
    assert large.link_s == pytest.approx(10_000)
    assert large.takes_s == pytest.approx(10_000)


def test_many_small_objects_take_as_long_as_a_prefix_lets_them() -> None:
    small = reckon(work_of(3_500_000, 100))
    assert small.takes_s == pytest.approx(1_000)
    assert small.keys.is_recommended
    assert "--hash-prefix 1" in small.keys.reason
    hashed = reckon(work_of(3_500_000, 100), hash_digits=1)
    assert hashed.takes_s == pytest.approx(700)


def test_without_a_link_there_is_no_time() -> None:
    unknown = reckon(work_of(10, 1000), link=None)
    assert (unknown.link_s, unknown.takes_s, unknown.faster_devices) == (None, None, [])


@settings(max_examples=30, deadline=None)
@given(
    st.floats(1e6, 1e9), st.integers(0, 10**14), st.integers(0, 24 * 3600 - 1),
    st.sampled_from(["08:00-18:00=10Mbps,else=max", "22:00-06:00=max,else=100Mbps", "50Mbps"]),
)  # fmt: skip
def test_the_timetable(rate: float, size_bytes: int, starts_at_s: int, text: str) -> None:
    """Minute by minute, without the shortcut over whole days."""
    work = Work(Share(1, size_bytes), None, 0, 0)
    found = reckon(work, rate, text, float(starts_at_s)).takes_s
    timetable, left_bytes, seconds = Timetable.parse(text), float(size_bytes), 0.0
    while True:
        limit = timetable.at((starts_at_s + seconds) % (24 * 3600))
        now_bytes_per_s = rate if limit is None else min(rate, limit)
        if left_bytes <= 60 * now_bytes_per_s:
            break
        left_bytes -= 60 * now_bytes_per_s
        seconds += 60
        if seconds > 40 * 24 * 3600:
            return  # the long way is too long
    assert found == pytest.approx(max(seconds + left_bytes / now_bytes_per_s, 1 / 3_500), rel=1e-3, abs=61)


def test_posting_a_device() -> None:
    assert not reckon(work_of(1, 10**9)).faster_devices
    faster = reckon(work_of(100, 10**12), link=1.25e6).faster_devices
    assert faster
    device, takes_s = faster[0]
    assert takes_s == pytest.approx(device.days * 86_400 + 2 * 1e14 / device.bytes_per_s)
    assert takes_s == min(seconds for _, seconds in faster)


def test_packing_is_worth_it_for_many_small_files() -> None:
    many = reckon(work_of(100_000, 4_000)).pack
    assert many.is_recommended
    assert "100,000 files (100%)" in many.reason
    assert "0.50 USD" in many.reason  # 99,999 requests at 0.005 a thousand
    assert not reckon(work_of(500, 4_000)).pack.is_recommended
    assert not reckon(work_of(100_000, 4 * MIB)).pack.is_recommended
    assert not reckon(Work(EMPTY, None, 0, 0)).pack.is_recommended


@pytest.mark.parametrize(("ratio", "bytes_per_s", "is_worth_it"), [
    (2.0, 500e6, True), (1.05, 500e6, False), (2.0, 50e6, False), (3.0, 70e6, True),
])  # fmt: skip
def test_compressing(ratio: float, bytes_per_s: float, is_worth_it: bool) -> None:
    """Two cores and a link of 125 MB/s."""
    found = reckon(work_of(10, GIB), compression=Measured(ratio, bytes_per_s)).compress
    assert found.is_recommended is is_worth_it


# ---- costs


def test_a_month_of_storage_by_steps() -> None:
    """https://aws.amazon.com/s3/pricing/: 50 TiB at 0.023, 450 TiB at 0.022, the rest at 0.021."""
    standard = PRICES.classes["STANDARD"]
    assert standard.month(GIB) == pytest.approx(0.023)
    assert standard.month(50 * 1024 * GIB) == pytest.approx(51_200 * 0.023)
    expected = 51_200 * 0.023 + 460_800 * 0.022 + 100 * 0.021
    assert standard.month((512_000 + 100) * GIB) == pytest.approx(expected)


def test_small_objects_are_paid_as_if_they_were_larger() -> None:
    costs = reckon(work_of(1_000_000, 10_000)).costs
    assert costs["STANDARD"].month == pytest.approx(1e10 / GIB * 0.023)
    assert costs["STANDARD_IA"].month == pytest.approx(1_000_000 * 131_072 / GIB * 0.0125)
    deep = 1_000_000 * (10_000 + 32_768) / GIB * 0.00099 + 1_000_000 * 8_192 / GIB * 0.023
    assert costs["DEEP_ARCHIVE"].month == pytest.approx(deep)
    assert costs["STANDARD"].requests == pytest.approx(5.0)
    assert costs["DEEP_ARCHIVE"].min_days == 180


def test_requests_of_parts() -> None:
    counter = Counter(Settings(part_bytes=16 * MIB), 1 << 30)
    counter.add(np.array([0, 1000, 16 * MIB, 16 * MIB + 1, 160 * MIB], dtype=np.int64))
    assert (counter.in_parts, counter.parts) == (2, 12)
    assert Work(Share(5, 1), None, 2, 12).requests == 3 + 12 + 2 * 2


@pytest.mark.parametrize(("text", "word"), [
    ("", "classes"), ("as_of = 1", "classes"), ("as_of = '1'\nregion='r'\ncurrency='c'\n[classes]\n", "STANDARD"),
    ("as_of = '1'\nregion='r'\ncurrency='c'\n[classes.STANDARD]\nstorage=[[0, 1]]\n", "requests"),
    ("as_of = '1'\nregion='r'\ncurrency='c'\n[classes.STANDARD]\nstorage=[[5, 1]]\nrequests=1\n", "ascend"),
    ("as_of = '1'\nregion='r'\ncurrency='c'\n[classes.STANDARD]\nstorage=[['a', 1]]\nrequests=1\n", "float"),
    ("not toml", "can't be read"),
])  # fmt: skip
def test_tables_that_are_none(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=word):
        load_prices(str(path))


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read: No such file"):
        load_prices(str(tmp_path / "none"))


# ---- plans as files

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plans = st.builds(
    PlanFile,
    sources=st.lists(texts, min_size=1, max_size=3).map(tuple),
    destination=texts,
    options=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True), st.one_of(texts, st.integers(0, 2**60), st.just(True)),
        max_size=4,
    ),
    rules=st.lists(st.tuples(st.sampled_from(["exclude", "include"]), texts), max_size=4).map(tuple),
    files=st.integers(0, 2**60),
    size_bytes=st.integers(0, 2**60),
)  # fmt: skip


@given(plans, st.lists(texts.filter(lambda text: text.isprintable()), max_size=3))
def test_a_plan_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, plan: PlanFile, said: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.plan"
    path.write_text(dump_plan(plan, said, {}), encoding="utf-8")
    assert load_plan(str(path)) == plan


def test_a_plan_is_a_command_line() -> None:
    options = {"storage-class": "STANDARD_IA", "hash-prefix": 2, "no-clobber": True, "quiet": False}
    plan = PlanFile(("/a", "-b"), "s3://b/p/", options, (("exclude", "*"), ("include", "*.h5")), 0, 0)
    assert plan.arguments() == [
        "--storage-class=STANDARD_IA", "--hash-prefix=2", "--no-clobber", "--exclude=*", "--include=*.h5", "--", "/a",
        "-b", "s3://b/p/",
    ]  # fmt: skip


@pytest.mark.parametrize(("text", "word"), [
    ("format = 2", "format 2"), ("", "'format'"), ("format = 1", "'sources'"),
    ("format = 1\nsources = []\ndestination = 's3://b/'", "no sources"),
    ("format = 1\nsources = ['a']", "'destination'"),
    ("format = 1\nsources = ['a']\ndestination = 'd'\nrules = [['only', 'x']]", "neither"),
    ("format = 1\nsources = ['a']\ndestination = 'd'\n[options]\n'a b' = 1", "'a b'"),
    ("format = 1\nsources = ['a']\ndestination = 'd'\n[options]\na = [1]", "'a'"),
    ("not toml", "can't be read"),
])  # fmt: skip
def test_files_that_are_no_plans(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "a.plan"
    path.write_text(text)
    with pytest.raises(UsageError, match=word):
        load_plan(str(path))


def test_what_is_advised_is_done_when_somebody_says_so(tmp_path: Path) -> None:
    plan = PlanFile(("/data",), "s3://bucket/p/", {"links": "skip"}, (), 1, 1)
    path = tmp_path / "plan"
    path.write_text(dump_plan(plan, [], {"pack": "10GiB", "compress": "auto"}), encoding="utf-8")
    assert load_plan(str(path)) == plan
    path.write_text(re.sub("^# (pack|compress)", r"\1", path.read_text(), flags=re.MULTILINE))
    assert load_plan(str(path)).arguments() == [
        "--links=skip", "--pack=10GiB", "--compress=auto", "--", "/data", "s3://bucket/p/"
    ]  # fmt: skip
