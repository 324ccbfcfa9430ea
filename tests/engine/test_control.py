"""Control calls that are tried again: how often, and what ends them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fastput.engine.control import persist
from fastput.engine.retry import RetryPolicy
from fastput.errors import CredentialsError, EndpointError, FastputError, NoSuchBucket, StoreError, UploadGone
from tests.engine.harness import SECONDS

POLICY = RetryPolicy(max_attempts=6, base_s=0.0)


class Failing:
    """Fails so many times, then says so."""

    def __init__(self, times: int, error: Callable[[], BaseException]) -> None:
        self.calls = 0
        self._times = times
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error()
        return "done"


def ill() -> StoreError:
    return StoreError("ill", status=500, code="InternalError", is_temporary=True)


def slow_down() -> StoreError:
    return StoreError("less", status=503, code="SlowDown", is_temporary=True)


def silent() -> EndpointError:
    return EndpointError("silent", is_temporary=True)


@pytest.mark.parametrize(
    ("error", "has_answered", "attempts"),
    [
        (ill, False, 6),
        (ill, True, 6),
        (slow_down, False, 24),
        (slow_down, True, 24),
        (silent, False, 3),
        (silent, True, 12),
    ],
)
def test_how_often(error: Callable[[], FastputError], has_answered: bool, attempts: int) -> None:
    for times in (0, 1, attempts - 1):
        work = Failing(times, error)
        assert persist(work, POLICY, threading.Event(), has_answered) == "done"
        assert work.calls == times + 1
    work = Failing(1000, error)
    with pytest.raises(FastputError):
        persist(work, POLICY, threading.Event(), has_answered)
    assert work.calls == attempts


@pytest.mark.parametrize(
    "error",
    [
        NoSuchBucket("none", status=404),
        UploadGone("gone", status=404),
        StoreError("denied", status=403),
        CredentialsError("none"),
        EndpointError("TLS"),
        ValueError("a mistake of ours"),
    ],
)
def test_what_stays_as_it_is_is_said_once(error: Exception) -> None:
    work = Failing(1, lambda: error)
    with pytest.raises(type(error)) as caught:
        persist(work, POLICY, threading.Event())
    assert caught.value is error
    assert work.calls == 1


def test_the_last_error_is_the_one_that_is_raised() -> None:
    errors = [ill(), StoreError("then it said why", status=403)]
    work = Failing(2, lambda: errors.pop(0))
    with pytest.raises(StoreError, match="then it said why"):
        persist(work, POLICY, threading.Event())


def test_nothing_is_tried_again_after_the_end() -> None:
    stop = threading.Event()
    stop.set()
    work = Failing(1, ill)
    with pytest.raises(StoreError):
        persist(work, POLICY, stop)
    assert work.calls == 1


def test_a_delay_ends_with_everything_else() -> None:
    """An hour's delay, and a Ctrl-C: the control thread has to come back."""
    stop, failed, ended = threading.Event(), threading.Event(), threading.Event()
    failing = Failing(1000, ill)

    def work() -> None:
        failed.set()
        failing()

    def run() -> None:
        with pytest.raises(StoreError):
            persist(work, RetryPolicy(base_s=1e6, cap_s=1e6), stop)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert failed.wait(SECONDS)
    stop.set()
    assert ended.wait(SECONDS)
    assert failing.calls == 1
