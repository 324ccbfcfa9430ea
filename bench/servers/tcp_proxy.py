"""A TCP proxy with faults of a network: what no server can do to its clients by itself.

    with tcp_proxy.serve(server.port) as proxy:
        proxy.script(Fault(reset_after_bytes=1_000_000), connections=2)
        ... upload to proxy.endpoint_url ...
        proxy.flows.clear()      # from here on nothing passes any more, on any connection
        proxy.refuse()           # and new ones are refused, until accept()

Two threads a connection, one each way. Bytes that neither end has taken yet stay in the kernel's buffers: with
buffer_bytes they are small, as behind a narrow link, and the sender feels at once what the proxy doesn't read.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK_BYTES = 256 << 10
BACKLOG = 1024
END_WITHIN_S = 10.0
CONNECT_WITHIN_S = 10.0
TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one connection, counted in bytes from the client to the server. 0 is right away.

    reset: RST both ways. black_hole: nothing is read and nothing passes any more, either way. half_close: the server
    says goodbye, to the client, which may go on sending. bytes_per_s: how fast the client's bytes pass.
    """

    reset_after_bytes: int | None = None
    black_hole_after_bytes: int | None = None
    half_close_after_bytes: int | None = None
    bytes_per_s: float | None = None

    @property
    def after_bytes(self) -> int | None:
        """When it begins; None: from the start on."""
        cuts = (self.reset_after_bytes, self.black_hole_after_bytes, self.half_close_after_bytes)
        return min((cut for cut in cuts if cut is not None), default=None)


@dataclass(slots=True)
class _Connection:
    client: socket.socket
    server: socket.socket
    fault: Fault | None
    up_bytes: int = 0
    down_bytes: int = 0
    is_reset: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def reset(self) -> None:
        """RST instead of FIN: when the threads, which this wakes, have let go."""
        self.is_reset = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)

    def shut(self) -> None:
        """Wakes the threads; the last of them closes."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class TcpProxy:
    """One port in front of another.

    Attributes:
        flows: cleared, everything stands still in both directions; set again, it goes on where it was.
    """

    def __init__(
        self,
        target_port: int,
        delay_s: float = 0.0,
        buffer_bytes: int | None = None,
        host: str = HOST,
        port: int = 0,
    ) -> None:
        self.flows = threading.Event()
        self.flows.set()
        self._target = (HOST, target_port)
        self._delay_s = delay_s
        self._buffer_bytes = buffer_bytes
        self._lock = threading.Lock()  # guards _connections, _faults, _total_bytes, _event, _timers, _link_free_at
        self._connections: list[_Connection] = []
        self._faults: list[Fault] = []
        self._total_bytes = 0
        self._event: tuple[int, Callable[[], None]] | None = None
        self._timers: list[threading.Timer] = []
        self._bytes_per_s: float | None = None
        self._link_free_at = 0.0
        self._is_closed = threading.Event()
        self._listener: socket.socket | None = None
        self._accepting: threading.Thread | None = None
        self.host, self.port = host, port
        self.accept()

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def up_bytes(self) -> int:
        """From clients to the server."""
        with self._lock:
            return sum(connection.up_bytes for connection in self._connections)

    @property
    def down_bytes(self) -> int:
        """From the server to clients."""
        with self._lock:
            return sum(connection.down_bytes for connection in self._connections)

    @property
    def connections(self) -> int:
        """All that ever were."""
        with self._lock:
            return len(self._connections)

    def script(self, fault: Fault, connections: int = 1) -> None:
        """The next so many connections meet this fault."""
        with self._lock:
            self._faults += [fault] * connections

    def throttle(self, bytes_per_s: float | None) -> None:
        """All connections together send the server no more than this; None: whatever they like."""
        self._bytes_per_s = bytes_per_s

    def at(self, up_bytes: int, event: Callable[[], None]) -> None:
        """Calls when so many bytes have come from all clients together, before the next one passes."""
        self._event = (up_bytes, event)

    def later(self, delay_s: float, event: Callable[[], None]) -> None:
        """Calls after a while, unless the proxy is closed before."""
        timer = threading.Timer(delay_s, event)
        with self._lock:
            self._timers.append(timer)
        timer.start()

    def refuse(self) -> None:
        """New connections are refused. Those that are open stay; see cut()."""
        if self._listener is not None and self._accepting is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._accepting.join(END_WITHIN_S)
            self._listener.close()
            self._listener = None

    def accept(self) -> None:
        """New connections are taken, on the same port as before."""
        if self._listener is None:
            self._listener = socket.create_server((self.host, self.port), backlog=BACKLOG)
            if self._buffer_bytes is not None:
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
            self.port = self._listener.getsockname()[1]
            self._accepting = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
            self._accepting.start()

    def cut(self) -> None:
        """Resets every open connection."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.reset()

    def heal(self) -> None:
        """From here on it is a good network."""
        with self._lock:
            self._faults.clear()
            self._event = None
        self.throttle(None)
        self.flows.set()
        self.accept()

    def close(self) -> None:
        """Ends everything and waits for the threads."""
        with self._lock:
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()
            timer.join(END_WITHIN_S)
        self.refuse()
        self._is_closed.set()
        self.flows.set()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.shut()
        for thread in [thread for connection in connections for thread in connection.threads]:
            thread.join(END_WITHIN_S)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                # Connecting must not keep others from being accepted.
                threading.Thread(target=self._open, args=(client,), daemon=True).start()

    def _open(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(client)
            try:
                server = stack.enter_context(socket.create_connection(self._target, CONNECT_WITHIN_S))
            except OSError:
                return
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = _Connection(client, server, self._faults.pop(0) if self._faults else None)
                self._connections.append(connection)
            if self._is_closed.is_set():
                return
            down = threading.Thread(target=self._down, args=(connection,), daemon=True)
            connection.threads += [threading.current_thread(), down]
            down.start()
            self._up(connection)
            down.join()

    def _up(self, connection: _Connection) -> None:
        fault = connection.fault or Fault()
        end = fault.after_bytes
        with contextlib.suppress(OSError), _sender(connection.server, self._delay_s) as send:
            buffer = memoryview(bytearray(CHUNK_BYTES))
            while end is None or connection.up_bytes < end:
                most_bytes = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - connection.up_bytes)
                speed = min((s for s in (fault.bytes_per_s, self._bytes_per_s) if s is not None), default=None)
                if speed is not None:
                    most_bytes = min(most_bytes, max(1, int(speed * TICK_S)))
                got_bytes = connection.client.recv_into(buffer[:most_bytes])
                self._wait(got_bytes, fault.bytes_per_s)
                if connection.is_reset:
                    return
                if not got_bytes:
                    send(b"")
                    return
                self._count(got_bytes)
                send(buffer[:got_bytes])
                connection.up_bytes += got_bytes
            self._end(connection, fault, end)

    def _count(self, got_bytes: int) -> None:
        with self._lock:
            self._total_bytes += got_bytes
            event = self._event
            if event is None or self._total_bytes < event[0]:
                return
            self._event = None
        event[1]()

    def _end(self, connection: _Connection, fault: Fault, at_bytes: int) -> None:
        """What the fault has in store."""
        if fault.reset_after_bytes == at_bytes:
            connection.reset()
        elif fault.half_close_after_bytes == at_bytes:
            connection.client.shutdown(socket.SHUT_WR)
            while connection.client.recv(CHUNK_BYTES):
                pass
            connection.shut()
        else:
            connection.server.shutdown(socket.SHUT_RD)  # nothing comes back any more
            poll = select.poll()
            poll.register(connection.client, getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR)
            poll.poll()
            connection.shut()

    def _down(self, connection: _Connection) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        fault = connection.fault or Fault()
        with contextlib.suppress(OSError), _sender(connection.client, self._delay_s) as send:
            while got_bytes := connection.server.recv_into(buffer):
                self._wait(0, None)
                if fault.after_bytes is not None and connection.up_bytes >= fault.after_bytes:
                    return  # into the black hole, or behind the goodbye
                send(buffer[:got_bytes])
                connection.down_bytes += got_bytes
            if fault.black_hole_after_bytes is None and not connection.is_reset:
                send(b"")

    def _wait(self, sent_bytes: int, bytes_per_s: float | None) -> None:
        """Until the network lets so many bytes pass."""
        self.flows.wait()
        if bytes_per_s is not None:
            self._is_closed.wait(sent_bytes / bytes_per_s)
        if self._bytes_per_s is not None and sent_bytes:
            with self._lock:
                now = time.monotonic()
                self._link_free_at = max(self._link_free_at, now) + sent_bytes / self._bytes_per_s
                wait_s = self._link_free_at - now
            self._is_closed.wait(wait_s)


class _Send:
    """Sends bytes, at once; none are the end of the stream."""

    def __init__(self, target: socket.socket) -> None:
        self._target = target

    def __call__(self, data: memoryview | bytes) -> None:
        if data:
            self._target.sendall(data)
        else:
            self._target.shutdown(socket.SHUT_WR)


class _SendLater(_Send):
    """Sends bytes when they have been on their way for a while, as on a long link."""

    def __init__(self, target: socket.socket, delay_s: float) -> None:
        super().__init__(target)
        self._delay_s = delay_s
        self._queue: queue.Queue[tuple[float, bytes] | None] = queue.Queue(maxsize=1024)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __call__(self, data: memoryview | bytes) -> None:
        self._queue.put((time.monotonic() + self._delay_s, bytes(data)))

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            due_at, data = item
            time.sleep(max(0.0, due_at - time.monotonic()))
            with contextlib.suppress(OSError):
                super().__call__(data)


@contextlib.contextmanager
def _sender(target: socket.socket, delay_s: float) -> Iterator[_Send]:
    if not delay_s:
        yield _Send(target)
        return
    later = _SendLater(target, delay_s)
    try:
        yield later
    finally:
        later.close()


@contextlib.contextmanager
def serve(target_port: int, delay_s: float = 0.0, buffer_bytes: int | None = None) -> Iterator[TcpProxy]:
    """A proxy on a free port in front of a port of this machine. delay_s is one way."""
    proxy = TcpProxy(target_port, delay_s, buffer_bytes)
    try:
        yield proxy
    finally:
        proxy.close()
