"""A transport that hands each request to a callable, in a thread pool. Ships for tests, and needs no network."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fastput.transport.base import Failure, Request, Response, Ticket, WithoutConnections, framing_headers


class MemoryTransport(WithoutConnections):
    """receive(request, body) answers each request, e.g. fastput.store.memory.MemoryStore.receive."""

    def __init__(self, receive: Callable[[str, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]) -> None:
        self._receive = receive
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="fastput-memory")

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        exchange = _Exchange()
        self._pool.submit(self._serve, request, exchange, on_done)
        return exchange

    def close(self) -> None:
        self._pool.shutdown()

    def _serve(self, request: Request, exchange: _Exchange, on_done: Callable[[Response], None]) -> None:
        if exchange.is_cancelled:
            on_done(Response(failure=Failure.CANCELLED, reason="cancelled"))
            return
        body = bytearray(request.body.body_bytes)
        if request.body.readinto(body) < len(body):
            on_done(Response(failure=Failure.BODY, reason="the body ended early"))
            return
        headers = dict([*request.headers, *framing_headers(request)])
        try:
            status, headers, answer = self._receive(request.path, headers, bytes(body))
        except Exception as error:
            on_done(Response(failure=Failure.OTHER, reason=repr(error)))
            return
        on_done(Response(status=status, headers=headers, body=answer))


class _Exchange:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
