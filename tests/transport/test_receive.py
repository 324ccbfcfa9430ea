"""Ranges from a real store and from servers that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from bench.servers.seaweedfs import SeaweedFS
from fastput.model import Endpoint, TlsOptions
from fastput.native.landing import MemoryLanding
from fastput.store.memory import MemoryCredentials
from fastput.transport import Failure, Fetch, Response
from fastput.transport.receive import RangeReceiver
from tests.support import certificates
from tests.support.content import MIB, content
from tests.support.tcp import closed_port, serve_answer, serve_silence, serve_tls

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS = 60
DATA = content(2 * MIB + 17)
Connect = Callable[..., RangeReceiver]


@pytest.fixture
def connect(seaweedfs: SeaweedFS) -> Iterator[Connect]:
    receivers: list[RangeReceiver] = []
    keys = seaweedfs.env()

    def make(url: str, tls: TlsOptions | None = None) -> RangeReceiver:
        parts = urlsplit(url)
        assert parts.hostname is not None
        endpoint = Endpoint(parts.scheme, parts.hostname, parts.port or 80, "", "us-east-1")
        credentials = MemoryCredentials(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
        receivers.append(RangeReceiver(endpoint, lambda: credentials, tls or TlsOptions()))
        return receivers[-1]

    yield make
    for receiver in receivers:
        receiver.close()


def fetch(receiver: RangeReceiver, path: str, first_byte: int, buffer: bytearray, etag: str = "") -> Response:
    answers: list[Response] = []
    is_done = threading.Event()
    headers = (("if-match", etag),) if etag else ()
    receiver.fetch(
        Fetch(path, headers, first_byte), MemoryLanding(buffer), lambda answer: (answers.append(answer), is_done.set())  # type: ignore[func-returns-value]
    )  # fmt: skip
    assert is_done.wait(SECONDS)
    assert len(answers) == 1
    return answers[0]


@pytest.fixture
def path(s3: S3Client, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="a key", Body=DATA)
    return f"/{bucket}/a%20key"


RANGES = [(0, len(DATA)), (0, 1), (1_000_001, 700_003), (len(DATA) - 1, 1)]


@pytest.mark.parametrize(("first_byte", "length_bytes"), RANGES)
def test_ranges(connect: Connect, seaweedfs: SeaweedFS, path: str, first_byte: int, length_bytes: int) -> None:
    receiver, buffer = connect(seaweedfs.endpoint_url), bytearray(length_bytes)
    for _ in range(2):  # over the same connection
        response = fetch(receiver, path, first_byte, buffer)
        assert (response.failure, response.reason) == (None, "")
        assert buffer == DATA[first_byte : first_byte + length_bytes]
        buffer[:] = bytes(length_bytes)


def test_another_object(connect: Connect, seaweedfs: SeaweedFS, path: str) -> None:
    response = fetch(connect(seaweedfs.endpoint_url), path, 0, bytearray(10), '"another"')
    assert (response.failure, response.status) == (None, 412)


def test_no_object_says_so_and_the_connection_goes_on(connect: Connect, seaweedfs: SeaweedFS, path: str) -> None:
    receiver, buffer = connect(seaweedfs.endpoint_url), bytearray(10)
    response = fetch(receiver, path + "s", 0, buffer)
    assert (response.failure, response.status) == (None, 404)
    assert b"NoSuchKey" in response.body
    assert fetch(receiver, path, 0, buffer).status == 206


def test_over_tls(connect: Connect, seaweedfs: SeaweedFS, path: str, tmp_path: Path) -> None:
    authority, certificate = certificates.make(tmp_path)
    plain = urlsplit(seaweedfs.endpoint_url)
    assert plain.hostname is not None
    assert plain.port is not None
    buffer = bytearray(len(DATA) - 3)
    with serve_tls((plain.hostname, plain.port), str(certificate)) as server:
        trusting = connect(server.url, TlsOptions(ca_bundle=str(authority)))
        response = fetch(trusting, path, 3, buffer)
        assert (response.failure, response.reason) == (None, "")
        assert buffer == DATA[3:]
        assert fetch(connect(server.url), path, 3, buffer).failure is Failure.TLS


WRONG = [
    (200, "x" * 20, "", 0),
    (206, "x" * 10, "content-range: bytes 5-14/20\r\n", 0),
    (206, "x" * 9, "content-range: bytes 0-8/20\r\n", 0),
    (200, "x" * 10, "", 1),
]


@pytest.mark.parametrize(("status", "body", "headers", "first_byte"), WRONG)
def test_other_bytes_than_were_asked_for_are_not_taken(
    connect: Connect, status: int, body: str, headers: str, first_byte: int
) -> None:
    buffer = bytearray(10)
    with serve_answer(status, body, headers) as server:
        response = fetch(connect(server.url), "/bucket/key", first_byte, buffer)
    assert response.failure is None
    assert "was asked for" in response.reason
    assert buffer == bytes(10)


def test_a_whole_object_where_all_of_it_was_asked_for(connect: Connect) -> None:
    buffer = bytearray(10)
    with serve_answer(200, "0123456789") as server:
        assert fetch(connect(server.url), "/bucket/key", 0, buffer).reason == ""
    assert buffer == b"0123456789"


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (403, "AccessDenied"), (500, "InternalError")])
def test_answers_come_through(connect: Connect, status: int, code: str) -> None:
    with serve_answer(status, f"<Error><Code>{code}</Code></Error>", "retry-after: 7\r\n") as server:
        response = fetch(connect(server.url), "/bucket/key", 0, bytearray(10))
    assert (response.failure, response.status, response.headers["retry-after"]) == (None, status, "7")
    assert code.encode() in response.body


def test_nobody_listens(connect: Connect) -> None:
    response = fetch(connect(f"http://127.0.0.1:{closed_port()}"), "/bucket/key", 0, bytearray(10))
    assert response.failure is Failure.CONNECT


def test_what_is_no_http(connect: Connect) -> None:
    with serve_answer(7, "") as server:
        assert fetch(connect(server.url), "/bucket/key", 0, bytearray(10)).failure is Failure.CLOSED


def test_cancelling_and_closing(connect: Connect) -> None:
    answers: list[Response] = []
    is_done = threading.Event()
    with serve_silence() as server:
        receiver = connect(server.url)

        def done(response: Response) -> None:
            answers.append(response)
            is_done.set()

        ticket = receiver.fetch(Fetch("/bucket/key", (), 0), MemoryLanding(bytearray(10)), done)
        server.wait()
        ticket.cancel()
        assert is_done.wait(SECONDS)
        ticket.cancel()
        for _ in range(3):
            receiver.fetch(Fetch("/bucket/key", (), 0), MemoryLanding(bytearray(10)), answers.append)
        receiver.close()
    assert [answer.failure for answer in answers] == [Failure.CANCELLED] * 4
