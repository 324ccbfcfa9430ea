"""Reserved bytes: never above the limit, never below nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.engine.budget import Budget


@given(st.integers(0, 100), st.lists(st.integers(0, 60)))
def test_reserving_and_releasing(limit_bytes: int, sizes: list[int]) -> None:
    budget, held = Budget(limit_bytes), list[int]()
    for size_bytes in sizes:
        if budget.reserve(size_bytes):
            held.append(size_bytes)
        else:
            assert sum(held) + size_bytes > limit_bytes
            if held:
                budget.release(held.pop(0))
        assert budget.reserved_bytes == sum(held) <= limit_bytes
    for size_bytes in held:
        budget.release(size_bytes)
    assert budget.reserved_bytes == 0


def test_releasing_what_was_not_reserved_is_a_mistake() -> None:
    budget = Budget(10)
    assert budget.reserve(10)
    assert not budget.reserve(1)
    with pytest.raises(AssertionError):
        budget.release(11)
