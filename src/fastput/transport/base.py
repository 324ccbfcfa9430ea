"""The one protocol between the engine and whatever carries its requests."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastput.native.landing import Landing
from fastput.native.put import Sent
from fastput.native.slicer import PartBody


@dataclass(frozen=True, slots=True)
class Request:
    """One PutObject or UploadPart.

    path is percent-encoded and holds the query; headers are without Host, Content-Length, the signature and those that
    say how the body is encoded (framing_headers).

    Attributes:
        names_encoding: Content-Encoding says that a body is framed, too.
        content_encoding: of the object itself.
    """

    operation: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: PartBody
    names_encoding: bool = True
    content_encoding: str | None = None


def framing_headers(request: Request) -> list[tuple[str, str]]:
    """The headers that tell a store how a body is framed. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    body, own = request.body, request.content_encoding
    if body.trailer is None:
        return [("content-encoding", own)] if own else []
    return chunked_headers(body.length_bytes, body.trailer, request.names_encoding, own)


def chunked_headers(
    length_bytes: int, trailer: str, names_encoding: bool, content_encoding: str | None = None
) -> list[tuple[str, str]]:
    """Those of an aws-chunked body that ends with a checksum."""
    encodings = ["aws-chunked"] * names_encoding + [content_encoding] * bool(content_encoding)
    return [
        *([("content-encoding", ",".join(filter(None, encodings)))] if encodings else []),
        ("x-amz-decoded-content-length", str(length_bytes)),
        ("x-amz-trailer", f"x-amz-checksum-{trailer}"),
    ]


MOST_SMALL_BYTES = 256 << 10
"""Of a SmallFile: whoever sends one has a buffer for it."""
MOST_SMALL_FILES = 32
"""Sent one after another: by then what a hand-over costs is a fraction of what the files do."""


@dataclass(frozen=True, slots=True)
class SmallFile:
    """A whole file that is to become an object; path, size and modification time are known, it isn't open.

    object_path and headers: as a Request's.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    object_path: str
    headers: tuple[tuple[str, str], ...]
    names_encoding: bool = True


@dataclass(frozen=True, slots=True)
class SmallAnswer:
    """What became of small files that were sent one after another.

    Attributes:
        sent: of the first ones, in order; the others weren't tried.
        is_lost: the connection failed, or couldn't be made: the files that aren't DONE had nothing to do with it.
        read_ns, read_cpu_ns: what reading and hashing took.
    """

    sent: Sequence[Sent]
    is_lost: bool
    read_ns: int
    read_cpu_ns: int


class Failure(enum.Enum):
    """Why a request got no answer."""

    CONNECT = "connect"
    NAME = "name"
    TLS = "tls"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    BODY = "body"
    CREDENTIALS = "credentials"
    CANCELLED = "cancelled"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer (failure is None and status is set) or the lack of one. Header names are in lower case."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: Failure | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the kernel knows of a transport's connections. The first six are sums since the transport was made.

    Attributes:
        acknowledged_bytes: cumulatively or selectively: what the other end has.
        sent_bytes: repetitions included.
        retransmitted_bytes: of those.
        busy_us: summed over the connections: there was something to send, or to be acknowledged.
        receiver_limited_us: of that: the other end's window was full.
        buffer_limited_us: of that: the send buffer was too small.
        open_connections: now.
        active_connections: of those: something was acknowledged since the look before.
        rtt_us: of the active ones, the mean weighted by what was acknowledged; 0: unknown.
        min_rtt_us: the least that each has seen, mean over the open ones; 0: unknown.
    """

    acknowledged_bytes: int = 0
    sent_bytes: int = 0
    retransmitted_bytes: int = 0
    busy_us: int = 0
    receiver_limited_us: int = 0
    buffer_limited_us: int = 0
    open_connections: int = 0
    active_connections: int = 0
    rtt_us: int = 0
    min_rtt_us: int = 0


class Ticket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Ends it soon; its callback is still called, once."""


class Transport(Protocol):
    """Carries requests to one endpoint. send() returns at once.

    on_done is called exactly once, on a thread of the transport: it must only hand the response on.
    """

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket: ...

    def send_small(
        self, files: Sequence[SmallFile], on_done: Callable[[SmallAnswer], None]
    ) -> Ticket | None:
        """Sends whole files one after another over one connection, each with its CRC64NVME as a trailer, until one
        isn't taken; None: it can't, and on_done is not called.
        """

    def traffic(self) -> Traffic | None:
        """What the connections do; None where that can't be told. One thread at a time."""

    def catch(self, connections: int, within_s: float) -> None:
        """Waits until so many are open and paced, or gives up; by the thread that calls traffic()."""

    def pace(self, bytes_per_s: float | None) -> None:
        """The most that all connections together may send, from the next look at the traffic on; None: no limit.

        Each look shares it anew among those that are sending.
        """

    def close(self) -> None:
        """Cancels what is under way, waits for its callbacks, frees threads and connections."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """One GetObject of bytes [first_byte, first_byte + what the landing has left).

    path is percent-encoded; headers are without Host, Range and the signature.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    first_byte: int


class Receiver(Protocol):
    """Fetches from one endpoint. fetch() returns at once."""

    def fetch(self, request: Fetch, landing: Landing, on_done: Callable[[Response], None]) -> Ticket:
        """Fills the landing; it is full if all went well, and what has arrived stays if not.

        on_done is called exactly once, on a thread of the receiver: it must only hand the response on. Until
        then nobody else fills the landing.
        """

    def close(self) -> None:
        """Cancels what is under way, waits for its callbacks, frees threads and connections."""


class WithoutConnections:
    """What a transport says of its connections where there are none that the kernel knows."""

    def send_small(self, files: Sequence[SmallFile], on_done: Callable[[SmallAnswer], None]) -> None:
        return None

    def traffic(self) -> None:
        return None

    def catch(self, connections: int, within_s: float) -> None:
        pass

    def pace(self, bytes_per_s: float | None) -> None:
        pass
