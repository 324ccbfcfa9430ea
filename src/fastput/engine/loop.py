"""One thread that owns all state of the transfers, and the threads that wait for disks and stores on its behalf.

Whatever happens elsewhere (a request was answered, a boto call returned, a stream was read, somebody submitted a
file) becomes a callable in one queue, and the loop's thread calls them one after another. So the engine's state
needs no lock. Timers are a heap that bounds how long the queue is waited for.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")

# Control calls are few: some for an object in parts, opening for a small one.
_CONTROL_THREADS = 8
# Threads that a store keeps waiting beyond the end of everything are left behind.
_JOIN_S = 1.0


class Loop:
    """call() may be used on any thread; everything else belongs to the loop's own thread."""

    def __init__(self, on_crash: Callable[[BaseException], None]) -> None:
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._on_crash = on_crash
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="fastput-loop", daemon=True)
        self._thread.start()

    def call(self, event: Callable[[], None]) -> None:
        """Has the loop's thread call it soon. Never blocks: safe on the runtime's callback threads."""
        self._events.put(event)

    def call_later(self, delay_s: float, event: Callable[[], None]) -> None:
        """Has the loop's thread call it after a delay."""
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._order), event))

    def control(self, work: Callable[[], _T], then: Callable[[Future[_T]], None]) -> None:
        """Runs blocking work on a control thread, then calls back on the loop's thread.

        Daemon threads: botocore may wait minutes for an answer, and that must not keep the process from ending.
        """
        self._work.put(lambda: self._carry_out(work, then))
        if not self._idle.acquire(blocking=False) and len(self._workers) < _CONTROL_THREADS:
            worker = threading.Thread(target=self._serve, name=f"fastput-control-{len(self._workers)}", daemon=True)
            self._workers.append(worker)
            worker.start()

    def read(self, work: Callable[[], _T], then: Callable[[Future[_T]], None]) -> None:
        """As control(), for reads that may take as long as whoever writes the other end of a pipe.

        A thread a read.
        """
        threading.Thread(target=self._carry_out, args=(work, then), name="fastput-reader", daemon=True).start()

    def stop(self) -> None:
        """Ends the threads when everything before it in the queue was done."""
        self._events.put(None)
        self._thread.join()
        for _ in self._workers:
            self._work.put(None)
        ends_at_s = time.monotonic() + _JOIN_S
        for worker in self._workers:
            worker.join(max(0.0, ends_at_s - time.monotonic()))

    def _carry_out(self, work: Callable[[], _T], then: Callable[[Future[_T]], None]) -> None:
        done: Future[_T] = Future()
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)
        self.call(lambda: then(done))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # it holds an upload, and that a buffer
            self._idle.release()

    def _run(self) -> None:
        while True:
            delay_s = self._next_timer_s()
            try:
                if delay_s == 0.0:
                    event: Callable[[], None] | None = heapq.heappop(self._timers)[2]
                else:
                    event = self._events.get(timeout=delay_s)
            except queue.Empty:
                continue
            if event is None:
                return
            try:
                event()
            except BaseException as error:
                self._on_crash(error)

    def _next_timer_s(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
