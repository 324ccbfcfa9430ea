"""When to try again: bounds, and what the jitter may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.engine.again import Sending, retry_delay_s
from fastput.engine.links import Link
from fastput.engine.retry import RetryPolicy
from fastput.engine.verdict import Verdict
from fastput.errors import EndpointError
from fastput.model import Part
from fastput.transport import Failure, Response
from fastput.transport.memory import MemoryTransport

uniforms = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 50), st.integers(1, 60), uniforms)
def test_it_ends_and_stays_within_its_bounds(max_attempts: int, attempt: int, uniform: float) -> None:
    policy = RetryPolicy(max_attempts, base_s=0.25, cap_s=20.0)
    delay_s = policy.delay_s(attempt, uniform)
    if attempt >= max_attempts:
        assert delay_s is None
    else:
        assert delay_s is not None
        assert 0 <= delay_s <= min(20.0, 0.25 * 2 ** (attempt - 1))


def test_the_bound_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(max_attempts=100, base_s=0.5, cap_s=3.0)
    assert [policy.delay_s(attempt, 0.5) for attempt in range(1, 6)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    assert policy.delay_s(99, 0.0) == 0.0


def test_one_attempt_is_no_retry() -> None:
    assert RetryPolicy(max_attempts=1).delay_s(1, 0.0) is None


@pytest.mark.parametrize(("is_reached", "failure", "attempts"), [
    (False, Failure.CONNECT, 3), (True, Failure.CONNECT, 12), (True, Failure.NAME, 12), (True, Failure.TLS, 3),
])  # fmt: skip
def test_an_endpoint_of_which_only_create_was_answered(is_reached: bool, failure: Failure, attempts: int) -> None:
    """It may be restarting; but a certificate that isn't trusted stays so."""
    link, sending = Link(MemoryTransport(lambda *_: (200, {}, b""))), Sending(Part(1, 0, 1))
    link.is_reached = is_reached
    verdict = Verdict(EndpointError("refused", is_temporary=True))
    for attempt in range(1, 100):
        sending.attempt = attempt
        response = Response(failure=failure)
        if retry_delay_s(sending, response, verdict, link, RetryPolicy(), 1000.0, 0.5) is None:
            assert attempt == attempts
            return
    pytest.fail("it never ends")
