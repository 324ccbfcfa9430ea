"""Ctrl-C and SIGTERM: the first ends in order, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_EXIT_STATUS = 130


class Interruption:
    """In force from now on.

    Args:
        message: said at the first.
        stop: called at the first; on the main thread, anywhere in its work.
        last_words: said at the second, just before the process ends.
    """

    def __init__(self, message: str, stop: Callable[[], None], last_words: Callable[[], str] = lambda: "") -> None:
        self.has_come = False
        self._message = message
        self._stop = stop
        self._last_words = last_words
        for number in _SIGNALS:
            signal.signal(number, self._handle)

    def end(self) -> None:
        """From here on a signal ends the process."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    def _handle(self, number: int, frame: object) -> None:
        # Not through sys.stderr, which may be in the middle of a line of its own.
        if self.has_come:
            os.write(2, self._last_words().encode())
            os._exit(_EXIT_STATUS)
        self.has_come = True
        os.write(2, self._message.encode())
        self._stop()
