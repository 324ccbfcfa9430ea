"""Control calls that are tried again: blocking, for control threads."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from fastput.engine.retry import RetryPolicy
from fastput.errors import EndpointError, FastputError

_T = TypeVar("_T")


def persist(work: Callable[[], _T], policy: RetryPolicy, stop: threading.Event) -> _T:
    """Calls until it succeeds, fails for good, has been tried often enough, or `stop` is set.

    Only for work that may be repeated: an upload that is created twice is left over once, and Complete has
    completion.py.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return work()
        except FastputError as error:
            # An endpoint that never answered is more likely wrong than busy: fewer attempts.
            tried = attempt if not isinstance(error, EndpointError) else 2 * attempt
            delay_s = policy.delay_s(tried, random.random()) if error.is_temporary else None
            if delay_s is None or stop.wait(delay_s):
                raise
