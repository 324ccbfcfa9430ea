"""Writes the journal of one upload while it runs: on the loop's thread, the disk's work on a control thread.

Parts that are confirmed while a transaction is being written go into the next one together. Nothing waits for the
journal: a part that was confirmed and not yet noted is found on the store by the next run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from fastput.engine.loop import Loop
from fastput.errors import FastputError
from fastput.model import ConfirmedPart
from fastput.state.journal import Journal


class Keeper:
    """
    Attributes:
        is_broken: the disk didn't take it; the upload goes on without.
    """

    def __init__(self, loop: Loop, journal: Journal, say: Callable[[str], None]) -> None:
        self.is_broken = False
        self._loop = loop
        self._journal = journal
        self._say = say
        self._pending: list[ConfirmedPart] = []
        self._is_writing = False
        self._then: Callable[[], None] | None = None

    def note(self, part: ConfirmedPart) -> None:
        """The store has this part."""
        self._pending.append(part)
        self._write()

    @property
    def is_idle(self) -> bool:
        """No transaction is being written."""
        return not self._is_writing

    def when_written(self, then: Callable[[], None]) -> None:
        """Calls when all that was noted is on the disk, or can't be; nobody uses the journal then."""
        self._then = then
        self._write()

    def broken(self, error: FastputError) -> None:
        """The journal can't be written."""
        if not self.is_broken:
            self.is_broken = True
            self._say(f"{error}: going on without a journal")

    def _write(self) -> None:
        if self._is_writing:
            return
        if self._pending and not self.is_broken:
            parts, self._pending = self._pending, []
            self._is_writing = True
            self._loop.control(lambda: self._journal.note(parts), self._written)
        elif self._then is not None:
            then, self._then = self._then, None
            then()

    def _written(self, done: Future[None]) -> None:
        self._is_writing = False
        try:
            done.result()
        except FastputError as error:
            self.broken(error)
        self._write()


class JournalEnd:
    """Ends an upload's journal once, whoever is first to: a store may hold the call that would have. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self._has_ended = False

    def holds(self, journal: Journal | None) -> None:
        """This is the journal. If the upload was let go meanwhile it ends at once."""
        with self._lock:
            self._journal = journal
            if self._has_ended and journal is not None:
                close_quietly(journal, removes=journal.entry is None)

    def end(self, removes: bool) -> None:
        with self._lock:
            has_ended, self._has_ended = self._has_ended, True
            if not has_ended and self._journal is not None:
                close_quietly(self._journal, removes)


def close_quietly(journal: Journal, removes: bool) -> None:
    """Ends a journal whose upload has ended; what can't be deleted is found and judged by the next run."""
    try:
        if removes:
            journal.remove()
        else:
            journal.close()
    except FastputError:
        pass
