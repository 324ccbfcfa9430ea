"""Control calls that are tried again: blocking, for control threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

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
