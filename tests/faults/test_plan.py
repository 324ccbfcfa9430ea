"""Which uploads meet which faults is decided by the seed alone."""

from __future__ import annotations

import pytest

import fastput.errors
from bench import fault_cases
from bench.fault_cases import OBJECT, PART_BYTES, Case, Expected
from bench.fault_plan import MOST_BYTES, plan

CASES = fault_cases.load()


def test_the_same_seed_is_the_same_plan() -> None:
    assert plan(CASES, 300, seed=5) == plan(CASES, 300, seed=5)
    assert plan(CASES, 300, seed=5) != plan(CASES, 300, seed=6)
    assert plan(CASES, 300, seed=5)[:100] == plan(CASES, 100, seed=5)


def test_everything_is_drawn() -> None:
    work = plan(CASES, 2000, seed=1)
    assert {case.name for planned in work for case in planned.cases} == {case.name for case in CASES}
    assert {planned.source for planned in work} == {"file", "buffer", "stream"}
    sizes = [planned.size_bytes for planned in work]
    assert min(sizes) == 0
    assert 29_000_000 < max(sizes) <= MOST_BYTES
    assert {planned.has_own_client for planned in work} == {True, False}
    assert {len(planned.cases) for planned in work} == {0, 1, 2, 3}


def test_a_case_gets_a_size_that_it_is_about() -> None:
    for planned in plan(CASES, 2000, seed=1):
        if len(planned.cases) == 1:
            (case,) = planned.cases
            assert planned.size in case.expected
            assert planned.outcomes == case.expected[planned.size].outcomes
            assert (planned.size_bytes > PART_BYTES) == (planned.size == "large")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_can_happen(case: Case) -> None:
    """It has a fault, a reason and errors that there are."""
    assert case.rules or case.network
    assert case.why.endswith(".")
    for expected in case.expected.values():
        assert isinstance(expected, Expected)
        assert all(name == OBJECT or hasattr(fastput.errors, name) for name in expected.outcomes)
