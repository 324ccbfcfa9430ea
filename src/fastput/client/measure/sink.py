"""The other end for a path without a store: takes what S3 clients send, remembers sizes, keeps no bytes.

It answers as much of S3 as an upload by fastput needs: PutObject, CreateMultipartUpload, UploadPart, ListParts,
CompleteMultipartUpload, AbortMultipartUpload, HeadObject. Nobody is asked who he is.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from fastput.errors import UsageError
from fastput.limits import AMAZON_S3, KIB, MIB

_MOST_HEAD_BYTES = 64 * KIB
# What is read in earnest is a list of parts: 10,000 of them take 1.5 MiB.
_MOST_DOCUMENT_BYTES = 4 * MIB
_MOST_CONNECTIONS = 1024
_MOST_REMEMBERED = 10_000
_IDLE_S = 120.0
# The kernel throws the bytes away without copying them; elsewhere they are copied into a buffer that nobody reads.
# https://man7.org/linux/man-pages/man7/tcp.7.html
_DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0
_AT_ONCE_BYTES = MIB


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def body_bytes(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def data_bytes(self) -> int:
        """Without the framing of aws-chunked."""
        return int(self.headers.get("x-amz-decoded-content-length", self.body_bytes))


@dataclass(slots=True)
class _Memory:
    """Sizes of parts by upload, and of objects by path; the oldest are forgotten."""

    uploads: OrderedDict[str, dict[int, int]] = field(default_factory=OrderedDict)
    objects: OrderedDict[str, int] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)  # guards both
    ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


_T = TypeVar("_T")
_Answer = tuple[int, dict[str, str], bytes]


class Sink:
    """Listens from the beginning; serve() takes connections, a thread each, until it is interrupted."""

    def __init__(self, address: str, port: int) -> None:
        """
        Raises:
            UsageError: the port is taken, or the address isn't ours.
        """
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            self._socket = socket.create_server((address, port), family=family, backlog=256)
        except OSError as error:  # also a name that can't be resolved
            raise UsageError(
                f"can't listen on {address} port {port}: {error.strerror or error}: give another --sink or --bind"
            ) from None
        port = self._socket.getsockname()[1]
        self.url = f"http://[{address}]:{port}" if family == socket.AF_INET6 else f"http://{address}:{port}"
        self._memory = _Memory()
        self._places = threading.Semaphore(_MOST_CONNECTIONS)

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *args: object) -> None:
        self._socket.close()

    def serve(self) -> None:
        """Takes connections until an exception ends it."""
        while True:
            connection, _ = self._socket.accept()
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._converse, args=(connection,), daemon=True, name="fastput-sink").start()

    def _converse(self, connection: socket.socket) -> None:
        # A client that goes away, or that doesn't speak HTTP, is no matter of ours.
        with contextlib.suppress(OSError, ValueError), connection:
            connection.settimeout(_IDLE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Conversation(connection, self._memory).run()
        self._places.release()


class _Conversation:
    """One connection."""

    def __init__(self, connection: socket.socket, memory: _Memory) -> None:
        self._connection = connection
        self._memory = memory
        self._pending = b""  # read and not yet used
        self._waste = bytearray(_AT_ONCE_BYTES)

    def run(self) -> None:
        """Answers requests until the other end closes.

        Raises:
            OSError, ValueError: it went away, or it speaks no HTTP.
        """
        while (request := self._head()) is not None:
            if request.headers.get("expect", "").lower() == "100-continue":
                self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request.method == "PUT":
                self._discard(request.body_bytes)
            else:
                self._document(request.body_bytes)
            status, headers, body = answer(request, self._memory)
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: fastput-sink"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if "Content-Length" not in headers and status != HTTPStatus.NO_CONTENT:
                lines.append(f"Content-Length: {len(body)}")
            sent = body if request.method != "HEAD" else b""
            self._connection.sendall("\r\n".join([*lines, "", ""]).encode() + sent)
            if request.headers.get("connection", "").lower() == "close":
                return

    def _head(self) -> _Request | None:
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            if len(self._pending) > _MOST_HEAD_BYTES:
                raise ValueError("no head")
            more = self._connection.recv(_MOST_HEAD_BYTES)
            if not more:
                return None
            self._pending += more
        first, *others = self._pending[:end].decode("latin-1").split("\r\n")
        self._pending = self._pending[end + 4 :]
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        pairs = (line.partition(":") for line in others)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if "transfer-encoding" in headers or not headers.get("content-length", "0").isdecimal():
            raise ValueError("a body of unknown length")
        return _Request(method, parts.path, query, headers)

    def _discard(self, length_bytes: int) -> None:
        left_bytes = length_bytes - len(self._pending)
        self._pending = self._pending[length_bytes:]
        while left_bytes > 0:
            count = self._connection.recv_into(self._waste, min(left_bytes, _AT_ONCE_BYTES), _DISCARD)
            if count == 0:
                raise ConnectionResetError("it ended inside a body")
            left_bytes -= count

    def _document(self, length_bytes: int) -> None:
        if length_bytes > _MOST_DOCUMENT_BYTES:
            raise ValueError("too long for what it says to be")
        self._discard(length_bytes)


def answer(request: _Request, memory: _Memory) -> _Answer:
    """What a store would say, had it kept the bytes."""
    with memory.lock:
        return _answer(request, memory)


def _answer(request: _Request, memory: _Memory) -> _Answer:
    method, path, query = request.method, request.path, request.query
    upload_id = query.get("uploadId")
    parts = memory.uploads.get(upload_id) if upload_id is not None else None
    if upload_id is not None and parts is None:
        return _error(404, "NoSuchUpload", "there is no such upload")
    if method == "PUT" and parts is not None:
        number = query.get("partNumber", "")
        if not number.isdecimal() or not 1 <= int(number) <= AMAZON_S3.max_parts:
            return _error(400, "InvalidArgument", "part numbers go from 1 to 10000")
        parts[int(number)] = request.data_bytes
        return 200, {"ETag": f'"discarded-{number}"'}, b""
    if method == "PUT":
        _remember(memory.objects, path, request.data_bytes)
        return 200, {"ETag": '"discarded"'}, b""
    if method == "POST" and "uploads" in query:
        created = f"discarded-{next(memory.ids)}"
        _remember(memory.uploads, created, {})
        return _xml("InitiateMultipartUploadResult", f"<UploadId>{created}</UploadId>")
    if method == "POST" and parts is not None and upload_id is not None:
        _remember(memory.objects, path, sum(parts.values()))
        del memory.uploads[upload_id]
        return _xml("CompleteMultipartUploadResult", f"<Key>{escape(path)}</Key><ETag>&quot;discarded&quot;</ETag>")
    if method == "DELETE" and upload_id is not None:
        del memory.uploads[upload_id]
        return 204, {}, b""
    if method == "GET" and parts is not None:
        return _list(parts, int(query.get("part-number-marker", "0")))
    if method == "HEAD" and path in memory.objects:
        return 200, {"ETag": '"discarded"', "Content-Length": str(memory.objects[path])}, b""
    if method == "HEAD":
        return 404, {"Content-Length": "0"}, b""
    return _error(501, "NotImplemented", "this is fastput bench --sink: it takes uploads and keeps nothing")


def _list(parts: dict[int, int], marker: int) -> _Answer:
    numbers = sorted(number for number in parts if number > marker)
    page = numbers[:1000]
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><Size>{parts[number]}</Size>"
        f"<ETag>&quot;discarded-{number}&quot;</ETag></Part>"
        for number in page
    )
    more = len(numbers) > len(page)
    following = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if page else ""
    return _xml("ListPartsResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}{listed}")


def _remember(table: OrderedDict[str, _T], name: str, value: _T) -> None:
    table[name] = value
    table.move_to_end(name)
    if len(table) > _MOST_REMEMBERED:
        table.popitem(last=False)


def _xml(name: str, content: str) -> _Answer:
    return 200, {"Content-Type": "application/xml"}, f'<?xml version="1.0"?>\n<{name}>{content}</{name}>'.encode()


def _error(status: int, code: str, message: str) -> _Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, {"Content-Type": "application/xml"}, body.encode()
