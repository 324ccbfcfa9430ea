"""Control calls that are tried again: blocking, for control threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from fastput.answers import asks_for_less
from fastput.engine.retry import RetryPolicy
from fastput.errors import EndpointError, FastputError

_T = TypeVar("_T")


def persist(
    work: Callable[[], _T], policy: RetryPolicy, stop: threading.Event, has_answered: bool = False
) -> _T:
    """Calls until it succeeds, fails for good, has been tried often enough, or `stop` is set.

    Only for work that may be repeated: an upload that is created twice is left over once, and Complete has
    completion.py.

    Args:
        has_answered: the endpoint has answered before.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return work()
        except FastputError as error:
            if isinstance(error, EndpointError):
                patience = policy.lost_link if has_answered else policy.first_contact
            else:
                patience = policy.throttled if asks_for_less(error) else policy
            delay_s = patience.delay_s(attempt, random.random()) if error.is_temporary else None
            if delay_s is None or stop.wait(delay_s):
                raise


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Runs blocking work side by side and waits for all of it. What the first of them raises is raised.

    Daemon threads: a store may keep them waiting for minutes, and that must not keep the process from ending.
    """
    if len(works) < 2:
        return [work() for work in works]
    ended: list[Future[Any]] = [Future() for _ in works]

    def carry_out(work: Callable[[], Any], end: Future[Any]) -> None:
        try:
            end.set_result(work())
        except BaseException as error:
            end.set_exception(error)

    for work, end in zip(works, ended, strict=True):
        threading.Thread(target=carry_out, args=(work, end), name="fastput-question", daemon=True).start()
    wait(ended)
    return [end.result() for end in ended]
