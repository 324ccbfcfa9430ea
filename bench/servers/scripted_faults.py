"""What the scripted server can do instead of answering as it should.

Each action is a function of the exchange and of named arguments; returning keeps the connection for the next request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from bench.servers.scripted_api import Answer, error_answer, error_document
from bench.servers.scripted_http import Exchange, Over
from bench.servers.scripted_store import Refused

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\r\n"
BROKEN_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>Internal'


def reset(exchange: Exchange, *, after_bytes: int = 0) -> None:
    """RST when so many bytes of the body were read; those that came with the head don't count."""
    exchange.read(after_bytes)
    exchange.connection.reset()


def half_close(exchange: Exchange, *, after_bytes: int = 0) -> None:
    """FIN, and the rest of the body is still read, but no answer will ever come."""
    exchange.read(after_bytes)
    exchange.connection.half_close()
    exchange.connection.drain()
    raise Over


def black_hole(exchange: Exchange, *, after_bytes: int | None = None) -> None:
    """Silence when so many bytes were read, None: all; the kernel goes on acknowledging until its buffers are full."""
    if after_bytes is not None:
        exchange.connection.narrow()
    exchange.read(after_bytes)
    exchange.connection.hold()


def slow_read(exchange: Exchange, *, bytes_per_s: float) -> None:
    """The body is read slowly; everything else is as it should be."""
    exchange.connection.narrow()
    exchange.read(bytes_per_s=bytes_per_s)
    exchange.send(exchange.work())


def delay(exchange: Exchange, *, seconds: float) -> None:
    """A right answer, late."""
    answer = exchange.work()
    exchange.server.pause(seconds)
    exchange.send(answer)


def status(
    exchange: Exchange,
    *,
    status: int,
    code: str = "",
    message: str = "",
    headers: dict[str, str] | None = None,
    html: bool = False,
    early: Literal["", "drain", "stuck", "reset"] = "",
) -> None:
    """An error answer. Without a code there is no document; html: a proxy's page instead.

    early answers before the body is read, and then either reads it all the same, or nothing, or resets.
    """
    document = error_document(code, message) if code else b""
    answer = Answer(status, tuple((headers or {}).items()), HTML if html else document)
    if not early:
        exchange.read()
        exchange.send(answer)
        return
    exchange.send(answer, is_last=True)
    if early == "reset":
        exchange.connection.reset()
    if early == "drain":
        exchange.connection.half_close()
        exchange.connection.drain()
    exchange.connection.hold()


def missing_etag(exchange: Exchange) -> None:
    """The work is done and the answer doesn't name it."""
    answer = exchange.work()
    kept = tuple((name, value) for name, value in answer.headers if name.lower() != "etag")
    exchange.send(replace(answer, headers=kept, body=_without(answer.body, b"ETag")))


def error_in_200(exchange: Exchange, *, made: bool, code: str = "InternalError") -> None:
    """200 with an <Error> in it, as CompleteMultipartUpload does; made: with the work done all the same."""
    exchange.read()
    if made:
        exchange.work()
    exchange.send(Answer(200, (("Content-Type", "application/xml"),), error_document(code)))


def answer_lost(exchange: Exchange, *, end: Literal["reset", "close", "hold"] = "close") -> None:
    """The work is done, and nobody is told."""
    exchange.note(exchange.work().status)
    if end == "reset":
        exchange.connection.reset()
    if end == "hold":
        exchange.connection.hold()
    raise Over


def no_such_upload(exchange: Exchange) -> None:
    """Somebody, or a lifecycle rule, has aborted the upload."""
    request = exchange.request
    try:
        exchange.server.store.abort(request.bucket, request.key, request.query.get("uploadId", ""))
    except Refused:
        pass  # another part's request was here before
    exchange.send(exchange.work())


def corrupt(exchange: Exchange, *, where: Literal["wire", "store"] = "wire") -> None:
    """A bit flips, on the way (the checksum of the request finds it) or later on the store's disk (Complete does)."""
    exchange.read()
    if where == "store":
        answer = exchange.work()
        if (number := exchange.request.part) is not None and answer.status == 200:
            exchange.server.store.corrupt(exchange.request.query["uploadId"], number)
        exchange.send(answer)
        return
    exchange.body[len(exchange.body) // 2] ^= 1
    exchange.send(exchange.work())


def malformed_xml(exchange: Exchange, *, status: int = 200, work: bool = True) -> None:
    """A document that ends in its middle, under a right Content-Length."""
    exchange.read()
    if work:
        exchange.work()
    exchange.send(Answer(status, (("Content-Type", "application/xml"),), BROKEN_XML))


def wrong_region_redirect(
    exchange: Exchange, *, status: int = 301, region: str = "eu-central-1", location: str = ""
) -> None:
    """The bucket is somewhere else."""
    headers = {"x-amz-bucket-region": region, "Content-Type": "application/xml"}
    if location:
        headers["Location"] = location
    exchange.read()
    code = "PermanentRedirect" if status == 301 else "TemporaryRedirect"
    exchange.send(error_answer(status, code, "The bucket must be addressed at another endpoint.", headers))


def truncated(exchange: Exchange, *, keep: int = 40, end: Literal["reset", "close", "hold"] = "close") -> None:
    """The work is done; the answer stops after so many bytes."""
    answer = exchange.work()
    exchange.note(answer.status)
    head, body = exchange.encode(answer)
    exchange.connection.send((head + body)[:keep])
    if end == "reset":
        exchange.connection.reset()
    if end == "hold":
        exchange.connection.hold()
    raise Over


def wrong_length(exchange: Exchange, *, by: int, end: Literal["close", "hold"] = "close") -> None:
    """The answer's Content-Length is too large (by > 0), or too small."""
    answer = exchange.work()
    if by < 0 and len(answer.body) < -by:
        answer = replace(answer, body=b"x" * -by)
    announced = ("Content-Length", str(len(answer.body) + by))
    exchange.send(replace(answer, headers=(*answer.headers, announced)))
    if end == "hold":
        exchange.connection.hold()
    raise Over


def junk(exchange: Exchange, *, status: int = 200, size: int = 10_000_000, work: bool = False) -> None:
    """A long answer that means nothing."""
    exchange.read()
    if work:
        exchange.work()
    exchange.send(Answer(status, (("Content-Type", "application/octet-stream"),), b"junk" * (size // 4)))


def slow_answer(exchange: Exchange, *, bytes_per_s: float = 1.0, work: bool = True) -> None:
    """The answer comes byte by byte."""
    answer = exchange.work() if work else error_answer(503, "SlowDown")
    exchange.note(answer.status)
    head, body = exchange.encode(answer)
    for byte in head + body:
        exchange.connection.send(bytes([byte]))
        exchange.server.pause(1 / bytes_per_s)


ACTIONS: dict[str, Callable[..., None]] = {
    action.__name__: action
    for action in (
        *(reset, half_close, black_hole, slow_read, delay, status, missing_etag, error_in_200, answer_lost),
        *(no_such_upload, corrupt, malformed_xml, wrong_region_redirect, truncated, wrong_length, junk, slow_answer),
    )
}


def _without(document: bytes, name: bytes) -> bytes:
    before, begin, rest = document.partition(b"<" + name + b">")
    return before + rest.partition(b"</" + name + b">")[2] if begin else document
