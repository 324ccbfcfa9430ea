"""An engine over a store in memory, with transports that can be looked at, held and broken."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastput.engine.engine import Engine
from fastput.engine.job import Job
from fastput.engine.retry import RetryPolicy
from fastput.limits import StoreLimits
from fastput.model import Checksum, ObjectAttributes, ObjectUri, Progress
from fastput.profile import AMAZON, StoreProfile
from fastput.source import BufferSource, FileSource, Source, StreamSource
from fastput.store.memory import MemoryStore
from fastput.transport import Request, Response, Ticket, Transport
from fastput.transport.base import WithoutConnections
from fastput.transport.faulty import Fault, FaultyTransport
from fastput.transport.memory import MemoryTransport
from fastput.tuner import Settings
from tests.support.content import MIB, crc32c_base64, crc64nvme_base64, decode_aws_chunked

URI = ObjectUri("bucket", "key")
SECONDS = 10  # the most that anything here may take before it counts as hanging
PART = MIB
SMALL_PARTS = StoreLimits(min_part_bytes=64 * 1024, max_parts=100)
AT_ONCE = RetryPolicy(max_attempts=4, base_s=0.0, silence_s=0.0)
_CHECKSUMS = {"x-amz-checksum-crc64nvme": crc64nvme_base64, "x-amz-checksum-crc32c": crc32c_base64}


class CheckingStore(MemoryStore):
    """Decodes and checks bodies with others than fastput's code."""

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        refused = 400, {"x-amz-request-id": "request-1"}, b"<Error><Code>BadDigest</Code><Message>No.</Message></Error>"
        if body.endswith(b"\r\n\r\n") or b"x-amz-checksum" in body[-100:]:
            try:
                framed = decode_aws_chunked(body)
            except (AssertionError, ValueError):
                return refused
            expected = {name: _CHECKSUMS[name](framed.data) for name in _CHECKSUMS if name in framed.trailers}
            if framed.trailers != expected:
                return refused
            body = framed.data
            headers = {name: value for name, value in headers.items() if name != "x-amz-trailer"}
        for name, checksum in _CHECKSUMS.items():
            if headers.get(name, checksum(body)) != checksum(body):
                return refused
        return super().receive(path, headers, body)


class WatchingTransport(WithoutConnections):
    """Notes how much is under way at most: requests, and bytes of their parts."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.most_requests = 0
        self.most_bytes = 0
        self.requests: list[Request] = []
        self._requests = 0
        self._bytes = 0
        self._lock = threading.Lock()

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        size_bytes = request.body.length_bytes
        with self._lock:
            self.requests.append(request)
            self._requests += 1
            self._bytes += size_bytes
            self.most_requests = max(self.most_requests, self._requests)
            self.most_bytes = max(self.most_bytes, self._bytes)

        def done(response: Response) -> None:
            with self._lock:
                self._requests -= 1
                self._bytes -= size_bytes
            on_done(response)

        return self.inner.send(request, done)

    def close(self) -> None:
        self.inner.close()


class HoldingTransport(WithoutConnections):
    """Holds answers back until it is told to hand them on."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._held: list[Callable[[], None]] = []
        self._is_open = False
        self._changed = threading.Condition()

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        def done(response: Response) -> None:
            with self._changed:
                if not self._is_open:
                    self._held.append(lambda: on_done(response))
                    self._changed.notify_all()
                    return
            on_done(response)

        return self._inner.send(request, done)

    def wait_for(self, count: int) -> None:
        """Until so many answers are held."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._held) >= count, SECONDS), f"{len(self._held)} of {count}"

    @property
    def held(self) -> int:
        return len(self._held)

    def let_go(self, count: int | None = None) -> None:
        """Hands on the oldest of them, or all, and those that come from now on."""
        with self._changed:
            self._is_open = count is None
            taken, self._held = self._held[:count], self._held[len(self._held[:count]) :]
        for hand_on in taken:
            hand_on()

    def close(self) -> None:
        self._inner.close()


@dataclass
class Rig:
    """An engine with what it stands on."""

    engine: Engine
    store: MemoryStore
    watching: WatchingTransport
    holding: HoldingTransport
    is_resumable: bool

    def job(
        self,
        source: Path | bytes | Callable[[], Source],
        key: str = "key",
        checksum: Checksum | None = Checksum.CRC64NVME,
        no_clobber: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Job:
        def open_source() -> Source:
            if isinstance(source, Path):
                return FileSource(source)
            return BufferSource(source) if isinstance(source, bytes) else source()

        return Job(
            open_source, ObjectUri("bucket", key), ObjectAttributes(), checksum, no_clobber,
            is_resumable=self.is_resumable, on_progress=on_progress,
        )  # fmt: skip

    def settle(self) -> None:
        """Until the loop has done everything that was in its queue."""
        done = threading.Event()
        self.engine._shared.loop.call(done.set)
        assert done.wait(SECONDS)

    def wait_until_sent(self, count: int) -> None:
        """Until so many requests were given to the transport."""
        deadline_s = time.monotonic() + SECONDS
        while len(self.watching.requests) < count:
            assert time.monotonic() < deadline_s, f"{len(self.watching.requests)} of {count}"
            self.settle()

    def expect_nothing_held(self) -> None:
        self.settle()
        snapshot = self.engine.snapshot()
        assert (snapshot.in_flight, snapshot.reserved_bytes, snapshot.uploads) == (0, 0, 0)
        assert self.store.uploads == {}


@contextlib.contextmanager
def rig(
    faults: Iterable[Fault] = (),
    *,
    window: int = 4,
    part_bytes: int = PART,
    memory_bytes: int = 64 * MIB,
    limits: StoreLimits = SMALL_PARTS,
    holds: bool = False,
    store: MemoryStore | None = None,
    profile: StoreProfile | None = AMAZON,
    state: Path | None = None,
    wrap: Callable[[Transport], Transport] = lambda inner: inner,
    **options: Any,
) -> Iterator[Rig]:
    """Ends with a check that no descriptor was left open. wrap: what stands between the watching and the faults."""
    store = store or CheckingStore()
    before = open_descriptors()
    watching = WatchingTransport(wrap(FaultyTransport(MemoryTransport(store.receive), faults)))
    holding = HoldingTransport(watching)
    settings = Settings(window=window, part_bytes=part_bytes)
    directory = None if state is None else lambda: state
    engine = Engine(
        store, lambda *_: holding, settings, memory_bytes, limits, AT_ONCE, directory, profile, **options
    )
    if not holds:
        holding.let_go()
    try:
        yield Rig(engine, store, watching, holding, state is not None)
    finally:
        holding.let_go()
        engine.close()
    assert open_descriptors() <= before


def open_descriptors() -> set[str]:
    """What this process has open, but for the listing itself, and for sockets: other tests' clients have some."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
    return {entry for entry in found if not any(word in entry for word in ("socket:", "anon_inode:", "/proc/"))}


def begun_by_others(store: MemoryStore, parts: Mapping[int, bytes], uri: ObjectUri = URI) -> str:
    """A multipart upload on the store with these parts, of which no journal knows."""
    upload_id = store.create(uri, ObjectAttributes(), Checksum.CRC64NVME)
    store.uploads[upload_id].parts.update(parts)
    return upload_id


def part_of(request: Request) -> int | None:
    """The part number of a request; None: a PutObject."""
    numbers = parse_qs(urlsplit(request.path).query).get("partNumber")
    return int(numbers[0]) if numbers else None


def stream(data: bytes) -> Callable[[], Source]:
    """A source of unknown length."""
    import io

    return lambda: StreamSource(io.BytesIO(data))  # type: ignore[arg-type]
