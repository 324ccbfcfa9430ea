"""The credentials of the moment, on threads where nobody could be told that there are none."""

from __future__ import annotations

from collections.abc import Callable

from fastput.model import Credentials


class LastKnown:
    """Hands out credentials for each request anew: they may be renewed on the way.

    The first are fetched by the constructor, in a thread that may block and where an error is an error. Later, those
    that can't be renewed now are handed out once more, and the store says in words that they have expired.
    """

    def __init__(self, credentials: Callable[[], Credentials]) -> None:
        self._credentials = credentials
        self._given = credentials()

    def __call__(self) -> Credentials:
        try:
            self._given = self._credentials()
        except Exception:
            pass
        return self._given
