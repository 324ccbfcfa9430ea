"""Rates of emulated links and stores, looked at on machines that do other things as well."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

_P = ParamSpec("_P")
_TRIES = 3


def measured(test: Callable[_P, None]) -> Callable[_P, None]:
    """A rate that is wrong is wrong each time; one that was measured while the machine was busy is right the next."""

    @functools.wraps(test)
    def tried(*args: _P.args, **kwargs: _P.kwargs) -> None:
        for left in reversed(range(_TRIES)):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                if not left:
                    raise

    return tried
