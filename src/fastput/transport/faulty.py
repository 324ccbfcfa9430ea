"""Another transport with faults of one's choosing. Ships for tests."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fastput.transport.base import Failure, Request, Response, Ticket, Traffic, Transport


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the first `times` requests of a part (None: of any request).

    corrupt flips a bit on the wire, after the checksum was taken; lose never sends and reports a closed connection;
    answer never sends and reports a status; hang never sends and never answers until it is cancelled.
    """

    kind: Literal["corrupt", "lose", "answer", "hang"]
    part: int | None = None
    times: int = 1
    status: int = 503
    body: bytes = b""


class FaultyTransport:
    """Wraps a transport. Faults are tried in order; a request meets the first that fits and isn't used up."""

    def __init__(self, inner: Transport, faults: Iterable[Fault]) -> None:
        self._inner = inner
        self._faults = list(faults)
        self._left = [fault.times for fault in self._faults]
        self._lock = threading.Lock()  # guards _left

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        fault = self._next_fault(request)
        if fault is None:
            return self._inner.send(request, on_done)
        if fault.kind == "corrupt":
            corrupted = replace(request, body=_Corrupted(request.body))  # type: ignore[arg-type]
            return self._inner.send(corrupted, on_done)
        if fault.kind == "answer":
            on_done(Response(status=fault.status, body=fault.body))
        elif fault.kind == "lose":
            on_done(Response(failure=Failure.CLOSED, reason="the connection was closed"))
        return _Hanging(on_done if fault.kind == "hang" else None)

    def traffic(self) -> Traffic | None:
        return self._inner.traffic()

    def catch(self, connections: int, within_s: float) -> None:
        self._inner.catch(connections, within_s)

    def pace(self, bytes_per_s: float | None) -> None:
        self._inner.pace(bytes_per_s)

    def close(self) -> None:
        self._inner.close()

    def _next_fault(self, request: Request) -> Fault | None:
        match = re.search(r"[?&]partNumber=(\d+)", request.path)
        part = int(match[1]) if match else None
        with self._lock:
            for place, fault in enumerate(self._faults):
                if self._left[place] > 0 and fault.part in (None, part):
                    self._left[place] -= 1
                    return fault
        return None


class _Hanging:
    def __init__(self, on_done: Callable[[Response], None] | None) -> None:
        self._on_done = on_done

    def cancel(self) -> None:
        on_done, self._on_done = self._on_done, None
        if on_done is not None:
            on_done(Response(failure=Failure.CANCELLED, reason="cancelled"))


class _Corrupted:
    """A body with one bit flipped in the middle of its first read."""

    def __init__(self, body: object) -> None:
        self._body = body
        self._is_flipped = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._body, name)

    def readinto(self, buffer: memoryview) -> int:
        got_bytes: int = self._body.readinto(buffer)  # type: ignore[attr-defined]
        if got_bytes and not self._is_flipped:
            self._is_flipped = True
            buffer[got_bytes // 2] ^= 1
        return got_bytes

    def read(self, size: int = -1) -> bytes:
        raise NotImplementedError("bodies are read by readinto")
