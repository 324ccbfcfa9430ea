"""The bar of `fastput get`: what has arrived, on a terminal only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from fastput.cli.progress import BarDisplay, Display, Meter, Moved, NoDisplay

if TYPE_CHECKING:
    from fastput.client.reading.got import Got


class Arriving:
    """Draws from a thread of its own while it is entered.

    Args:
        is_shown: there is a terminal, and somebody wants it.
        is_one: there is one file, so its size is all there is.
    """

    def __init__(self, is_shown: bool, is_one: bool) -> None:
        self._is_shown = is_shown
        self._is_one = is_one
        self._got_bytes = 0
        self._under_way: dict[str, int] = {}  # what has arrived of files that aren't whole
        self._total_bytes: int | None = None
        self._display: Display = BarDisplay(Meter(self._look)) if is_shown else NoDisplay()
        self._lock = threading.Lock()  # guards the terminal
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="fastput-bar", daemon=True)

    def note(self, source: str, arrived_bytes: int, size_bytes: int) -> None:
        """More of a file has arrived."""
        self._under_way[source] = arrived_bytes
        if self._is_one:
            self._total_bytes = size_bytes

    def ended(self, got: Got) -> None:
        """A file is whole, or won't be."""
        self._under_way.pop(got.source, None)
        self._got_bytes += got.size_bytes

    @contextmanager
    def room(self) -> Iterator[None]:
        """For lines of text."""
        with self._lock:
            self._display.pause()
            yield

    def __enter__(self) -> Arriving:
        if self._is_shown:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._is_shown:
            self._thread.join()
        self._display.close()

    def _draw(self) -> None:
        while not self._ending.wait(self._display.interval_s):
            with self._lock:
                self._display.update()

    def _look(self) -> Moved:
        return Moved(self._got_bytes + sum(list(self._under_way.values())), self._total_bytes)
