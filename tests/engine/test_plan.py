"""The part planner against S3's own limits, written out again here and not imported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.engine.plan import Plan, make_plan, next_part
from fastput.errors import UsageError
from fastput.model import Part
from fastput.tuner import Settings

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
PLENTY_BYTES = 64 * GIB


def parts_of(plan: Plan, wanted_bytes: int | None = None) -> list[Part]:
    parts: list[Part] = []
    offset_bytes = 0
    while (part := next_part(plan, len(parts) + 1, offset_bytes, wanted_bytes)) is not None:
        parts.append(part)
        offset_bytes += part.length_bytes
    return parts


def check_parts(parts: list[Part], size_bytes: int) -> None:
    assert len(parts) <= 10_000
    offset_bytes = 0
    for number, part in enumerate(parts, start=1):
        assert (part.number, part.offset_bytes) == (number, offset_bytes)
        assert 0 < part.length_bytes <= 5 * GIB
        if number < len(parts):
            assert part.length_bytes >= 5 * MIB
        offset_bytes += part.length_bytes
    assert offset_bytes == size_bytes


sizes = st.one_of(
    st.integers(0, 64 * MIB),
    st.integers(0, 10_000 * 5 * GIB),
    st.builds(
        lambda border, more: max(0, border + more),
        st.sampled_from([5 * MIB, 8 * MIB, 16 * MIB, 80_000 * MIB]),
        st.integers(-2, 2),
    ),
)


@given(sizes, st.integers(1, 300), st.none() | st.integers(5 * MIB, 5 * GIB))
def test_parts_cover_the_file_within_the_limits(size_bytes: int, window: int, part_bytes: int | None) -> None:
    plan = make_plan(size_bytes, Settings(window, part_bytes), PLENTY_BYTES)
    if plan.is_multipart:
        parts = parts_of(plan)
        check_parts(parts, size_bytes)
        # Some stores take only parts of one size, but the last.
        assert len({part.length_bytes for part in parts[:-1]}) <= 1
    else:
        assert size_bytes <= (part_bytes or 16 * MIB)


@given(st.integers(17 * MIB, 48 * TIB), st.data())
def test_a_part_size_that_changes_on_the_way_still_fits(size_bytes: int, data: st.DataObject) -> None:
    plan = make_plan(size_bytes, Settings(), PLENTY_BYTES)
    wanted = data.draw(st.lists(st.integers(5 * MIB, 5 * GIB), min_size=1, max_size=8))
    parts: list[Part] = []
    offset_bytes = 0
    while (part := next_part(plan, len(parts) + 1, offset_bytes, wanted[len(parts) % len(wanted)])) is not None:
        parts.append(part)
        offset_bytes += part.length_bytes
    check_parts(parts, size_bytes)


def test_48_tib_are_planned_and_more_than_the_limit_is_refused() -> None:
    check_parts(parts_of(make_plan(48 * TIB, Settings(), PLENTY_BYTES)), 48 * TIB)
    limit_bytes = 10_000 * 5 * GIB
    check_parts(parts_of(make_plan(limit_bytes, Settings(), PLENTY_BYTES)), limit_bytes)
    with pytest.raises(UsageError, match="above the store's limit"):
        make_plan(limit_bytes + 1, Settings(), PLENTY_BYTES)


@pytest.mark.parametrize("first_bytes", [None, 5 * MIB, 64 * MIB])
def test_a_stream_of_48_tib_fits_its_part_numbers(first_bytes: int | None) -> None:
    plan = make_plan(None, Settings(part_bytes=first_bytes), PLENTY_BYTES)
    offset_bytes = 0
    for number in range(1, 10_001):
        part = next_part(plan, number, offset_bytes)
        assert part is not None
        assert 5 * MIB <= part.length_bytes <= 5 * GIB
        assert part.length_bytes <= max(first_bytes or 8 * MIB, offset_bytes // 20 + MIB), "grows too fast"
        offset_bytes += part.length_bytes
    assert offset_bytes >= 48 * TIB
    probe = next_part(plan, 10_001, offset_bytes)
    assert probe is not None
    assert probe.length_bytes == 1


@given(st.integers(1, 48 * TIB), st.integers(10 * MIB, 8 * GIB), st.integers(1, 2))
def test_no_part_is_larger_than_the_memory(size_bytes: int, memory_bytes: int, copies: int) -> None:
    try:
        plan = make_plan(size_bytes, Settings(), memory_bytes, copies)
    except UsageError:
        assert size_bytes > 10_000 * (memory_bytes // copies - 2 * MIB) or memory_bytes < copies * 5 * MIB + MIB
        return
    largest_bytes = next_part(plan, 1, 0).length_bytes if plan.is_multipart else plan.size_bytes  # type: ignore[union-attr]
    assert largest_bytes is not None
    assert largest_bytes * copies <= memory_bytes


def test_a_small_file_is_cut_so_that_the_window_is_used() -> None:
    assert len(parts_of(make_plan(100 * MIB, Settings(window=16), PLENTY_BYTES))) == 20  # of the least size
    assert len(parts_of(make_plan(400 * MIB, Settings(window=16), PLENTY_BYTES))) == 58
    assert len(parts_of(make_plan(1 * GIB, Settings(window=16), PLENTY_BYTES))) == 128


@pytest.mark.parametrize("part_bytes", [5 * MIB - 1, 5 * GIB + 1])
def test_a_part_size_outside_the_limits_is_refused(part_bytes: int) -> None:
    with pytest.raises(UsageError, match="outside the store's"):
        make_plan(1 * GIB, Settings(part_bytes=part_bytes), PLENTY_BYTES)
