"""The real transport: what it says of answers, and of the lack of one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from fastput.answers import StoreAnswer, is_retryable, parse_answer, to_error
from fastput.errors import CredentialsError
from fastput.model import Credentials, Endpoint, ObjectUri, TlsOptions
from fastput.native.slicer import MemoryBody
from fastput.store.memory import MemoryCredentials
from fastput.transport import Failure, Request, Response
from fastput.transport.crt import CrtRuntime, CrtTransport
from tests.support.tcp import Listener, closed_port, serve_answer, serve_silence

SECONDS = 60
URI = ObjectUri("bucket", "key")
Connect = Callable[..., CrtTransport]


@pytest.fixture(scope="module")
def runtime() -> CrtRuntime:
    return CrtRuntime(2)


@pytest.fixture
def connect(runtime: CrtRuntime) -> Iterator[Connect]:
    transports: list[CrtTransport] = []

    def make(url: str, credentials: Callable[[], Credentials] = MemoryCredentials) -> CrtTransport:
        parts = urlsplit(url)
        assert parts.hostname is not None
        endpoint = Endpoint(parts.scheme, parts.hostname, parts.port or 80, "/bucket", "us-east-1")
        transports.append(runtime.transport(endpoint, credentials, TlsOptions()))
        return transports[-1]

    yield make
    for transport in transports:
        transport.close()


def request(trailer: str | None = "crc64nvme") -> Request:
    return Request("PutObject", "/bucket/key", (), MemoryBody(bytes(1000), trailer))


def answer_of(transport: CrtTransport) -> Response:
    answers: list[Response] = []
    is_done = threading.Event()
    transport.send(request(), lambda response: (answers.append(response), is_done.set()))  # type: ignore[func-returns-value]
    assert is_done.wait(SECONDS)
    assert len(answers) == 1
    return answers[0]


ANSWERS = [
    (429, "TooManyRequests"),
    (403, "AccessDenied"),
    (400, "ExpiredToken"),
    (400, "BadDigest"),
    (404, "NoSuchBucket"),
    (412, "PreconditionFailed"),
    (301, "PermanentRedirect"),
    (307, "TemporaryRedirect"),
]
# The runtime makes errors of its own of these, and keeps the answer to itself.
SWALLOWED = [
    (503, "SlowDown"),
    (500, "InternalError"),
    (503, "ServiceUnavailable"),
    (502, "BadGateway"),
    (400, "RequestTimeout"),
    (403, "RequestTimeTooSkewed"),
]


def serve_error(status: int, code: str) -> contextlib.AbstractContextManager[Listener]:
    body = f"<Error><Code>{code}</Code><Message>It says so.</Message></Error>"
    return serve_answer(status, body, "x-amz-request-id: request-1\r\n")


@pytest.mark.parametrize(("status", "code"), ANSWERS)
def test_answers_come_through(connect: Connect, status: int, code: str) -> None:
    with serve_error(status, code) as server:
        response = answer_of(connect(server.url))
    assert (response.failure, response.status) == (None, status)
    assert code.encode() in response.body
    assert response.headers["x-amz-request-id"] == "request-1"


@pytest.mark.parametrize(("status", "code"), ANSWERS + SWALLOWED)
def test_answers_mean_the_same(connect: Connect, status: int, code: str) -> None:
    """Was a bug: those that the runtime swallows were taken for no answer at all."""
    with serve_error(status, code) as server:
        response = answer_of(connect(server.url))
    assert response.failure is None
    assert response.status // 100 == status // 100
    answer, expected = parse_answer(response.status, response.headers, response.body), StoreAnswer(status, code)
    assert is_retryable(answer) == is_retryable(expected)
    assert type(to_error(answer, URI, "send it")) is type(to_error(expected, URI, "send it"))


@pytest.mark.parametrize("status", [400, 403, 404, 500, 502, 503])
def test_answers_without_a_body(connect: Connect, status: int) -> None:
    with serve_answer(status, "") as server:
        response = answer_of(connect(server.url))
    assert response.failure is None
    assert response.status == status or min(response.status, status) >= 500


def test_success(connect: Connect) -> None:
    with serve_answer(200, "", 'ETag: "e"\r\nX-Amz-Version-Id: v\r\n') as server:
        response = answer_of(connect(server.url))
    assert (response.failure, response.status) == (None, 200)
    assert (response.headers["etag"], response.headers["x-amz-version-id"]) == ('"e"', "v")


def test_nobody_listens(connect: Connect) -> None:
    response = answer_of(connect(f"http://127.0.0.1:{closed_port()}"))
    assert (response.failure, response.status) == (Failure.CONNECT, 0)
    assert "refused" in response.reason


def test_no_such_host(connect: Connect) -> None:
    assert answer_of(connect("http://fastput-test.invalid:9000")).failure is Failure.NAME


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_no_credentials(connect: Connect) -> None:
    def refuse() -> Credentials:
        raise CredentialsError("none")

    with serve_silence() as server, pytest.raises(CredentialsError, match="none"):
        connect(server.url, refuse)


def test_credentials_that_can_not_be_renewed_are_used_once_more(connect: Connect) -> None:
    """What is raised in the runtime's threads would be printed there, as a traceback."""
    calls: list[int] = []

    def once() -> Credentials:
        calls.append(1)
        if len(calls) > 1:
            raise CredentialsError("expired")
        return MemoryCredentials()

    with serve_answer(200, "", 'ETag: "e"\r\n') as server:
        assert answer_of(connect(server.url, once)).status == 200
    assert len(calls) == 2


def test_cancelling(connect: Connect) -> None:
    answers: list[Response] = []
    is_done = threading.Event()
    with serve_silence() as server:
        ticket = connect(server.url).send(
            request(), lambda response: (answers.append(response), is_done.set())  # type: ignore[func-returns-value]
        )  # fmt: skip
        server.wait()
        ticket.cancel()
        assert is_done.wait(SECONDS)
        ticket.cancel()
    assert [answer.failure for answer in answers] == [Failure.CANCELLED]


def test_closing_cancels_what_is_under_way(runtime: CrtRuntime) -> None:
    answers: list[Response] = []
    with serve_silence() as server:
        port = urlsplit(server.url).port
        assert port is not None
        endpoint = Endpoint("http", "127.0.0.1", port, "/bucket", "us-east-1")
        transport = runtime.transport(endpoint, MemoryCredentials, TlsOptions())
        for _ in range(5):
            transport.send(request(), answers.append)
        server.wait()
        transport.close()
    assert [answer.failure for answer in answers] == [Failure.CANCELLED] * 5
