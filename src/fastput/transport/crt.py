"""The AWS Common Runtime as a transport: each request is an operation of its own on a shared S3 client.

Measured choices: docs/decisions/0002-data-plane.md.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

from awscrt import auth, exceptions, http, io, s3

from fastput.model import Credentials, Endpoint, TlsOptions
from fastput.transport.base import Failure, Request, Response, Ticket, framing_headers
from fastput.transport.credentials import LastKnown

# The connections that a client may open follow its target: max(10, target / 0.4). They are only opened when
# requests are there for them, so that our window is the concurrency.
_TARGET_GBPS = 100.0
_CONNECT_TIMEOUT_MS = 5000
# The client ends when the last reference to it goes; whoever else holds one must not make us wait for ever.
_SHUTDOWN_S = 10.0
# One thread reads and hashes about 5 GB/s from the page cache; reading from disks needs several in the queue.
_MAX_THREADS = 8

_FAILURES = (
    ("AWS_ERROR_S3_CANCELED", Failure.CANCELLED),
    ("AWS_ERROR_S3_INCORRECT_CONTENT_LENGTH", Failure.BODY),
    ("AWS_ERROR_CRT_CALLBACK_EXCEPTION", Failure.BODY),
    ("AWS_IO_SOCKET_TIMEOUT", Failure.TIMEOUT),
    ("AWS_IO_CHANNEL_ERROR_ERROR_CANT_ACCEPT_INPUT", Failure.CLOSED),
    ("AWS_IO_SOCKET_CLOSED", Failure.CLOSED),
    ("AWS_ERROR_HTTP_CONNECTION_CLOSED", Failure.CLOSED),
    ("AWS_ERROR_HTTP_SERVER_CLOSED", Failure.CLOSED),
    ("AWS_IO_DNS_", Failure.NAME),
    ("AWS_IO_TLS_", Failure.TLS),
    ("AWS_IO_SOCKET_", Failure.CONNECT),
    ("AWS_AUTH_", Failure.CREDENTIALS),
    ("AWS_ERROR_HTTP_CHANNEL_THROUGHPUT_FAILURE", Failure.TIMEOUT),
)


# Answers that the runtime would retry by itself reach us by name only.
_ANSWERS = {
    "AWS_ERROR_S3_INTERNAL_ERROR": (500, "InternalError"),
    "AWS_ERROR_S3_SLOW_DOWN": (503, "SlowDown"),
    "AWS_ERROR_S3_REQUEST_TIMEOUT": (400, "RequestTimeout"),
    "AWS_ERROR_S3_REQUEST_TIME_TOO_SKEWED": (403, "RequestTimeTooSkewed"),
}


class CrtRuntime:
    """The threads that all transports of one client share.

    Attributes:
        epolls: the descriptors of their event loops; none where they aren't Linux's.
    """

    def __init__(self, threads: int | None = None) -> None:
        with _making_loops:
            before = _epolls()
            loops = io.EventLoopGroup(threads or min(_MAX_THREADS, len(os.sched_getaffinity(0))))
            self.epolls = sorted(_epolls() - before)
        self._bootstrap = io.ClientBootstrap(loops, io.DefaultHostResolver(loops))

    def transport(self, endpoint: Endpoint, credentials: Callable[[], Credentials], tls: TlsOptions) -> CrtTransport:
        """A transport to one host and port: the runtime tells endpoints of one S3 client apart by host only."""
        return CrtTransport(self._bootstrap, endpoint, credentials, tls)


# The runtime doesn't say which connections are its own; what its event loops watch does.
_making_loops = threading.Lock()


def _epolls() -> set[int]:
    """Descriptors of this process that are event loops; none where that isn't Linux's epoll."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                    found.add(int(name))
    return found


class CrtTransport:
    """One S3 client of the runtime. Counting and pacing is its owner's."""

    def __init__(
        self,
        bootstrap: io.ClientBootstrap,
        endpoint: Endpoint,
        credentials: Callable[[], Credentials],
        tls: TlsOptions,
    ) -> None:
        provider = auth.AwsCredentialsProvider.new_delegate(_Provide(LastKnown(credentials)))
        self._signing = {value: _signing(endpoint.region, provider, value) for value in _SIGNED_BODIES}
        self._authority = endpoint.authority
        self._client = s3.S3Client(
            bootstrap=bootstrap,
            region=endpoint.region,
            tls_mode=s3.S3RequestTlsMode.ENABLED if endpoint.is_tls else s3.S3RequestTlsMode.DISABLED,
            tls_connection_options=_tls(endpoint, tls) if endpoint.is_tls else None,
            signing_config=self._signing[_UNSIGNED],
            throughput_target_gbps=_TARGET_GBPS,
            connect_timeout_ms=_CONNECT_TIMEOUT_MS,
            # The engine retries: a request that backs off inside the runtime would keep its connection and its
            # place in the window, and a SlowDown would never be seen.
            retry_config=s3.S3RetryConfig(retry_mode=s3.S3RetryMode.NONE),
        )
        self._under_way: set[_Exchange] = set()

    def send(self, request: Request, on_done: Callable[[Response], None]) -> Ticket:
        body = request.body
        headers = [("host", self._authority), ("content-length", str(body.body_bytes)), *request.headers]
        headers += framing_headers(request)
        message = http.HttpRequest("PUT", request.path, http.HttpHeaders(headers), body if body.body_bytes else None)
        exchange = _Exchange(on_done, self._under_way)
        exchange.start(
            self._client,
            operation_name=request.operation,
            request=message,
            signing_config=self._signing[_UNSIGNED_TRAILER if body.trailer is not None else _UNSIGNED],
        )
        return exchange

    def close(self) -> None:
        requests = [request for exchange in list(self._under_way) if (request := exchange.request) is not None]
        for request in requests:
            request.cancel()
        for request in requests:
            # Not result(): a traceback would hold the request, and the request the client, beyond `del`.
            request.finished_future.exception()
        shutdown_event = self._client.shutdown_event
        requests.clear()
        request = None
        del self._client
        shutdown_event.wait(_SHUTDOWN_S)


class _Provide:
    """Credentials as the runtime has them. It prints what is raised in its own threads."""

    def __init__(self, credentials: LastKnown) -> None:
        self._credentials = credentials
        self._frozen: Credentials | None = None

    def __call__(self) -> auth.AwsCredentials:
        frozen = self._credentials()
        if frozen != self._frozen:
            self._frozen = frozen
            self._given = auth.AwsCredentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._given


class _Exchange:
    """One request and its answer. Its callbacks run on the runtime's event loop: they only note and hand on."""

    def __init__(self, on_done: Callable[[Response], None], under_way: set[_Exchange]) -> None:
        self._on_done = on_done
        self._under_way = under_way
        self._headers: dict[str, str] = {}
        self.request: s3.S3Request | None = None
        self._is_done = False

    def start(self, client: s3.S3Client, **arguments: Any) -> None:
        self._under_way.add(self)
        try:
            self.request = client.make_request(
                type=s3.S3RequestType.DEFAULT,
                on_headers=self._note_headers,
                on_done=self._finish,
                **arguments,
            )
        except BaseException:
            self._under_way.discard(self)
            raise
        if self._is_done:
            self.request = None

    def cancel(self) -> None:
        if (request := self.request) is not None:
            request.cancel()

    def _note_headers(self, status_code: int, headers: list[tuple[str, str]], **kwargs: Any) -> None:
        self._headers = {name.lower(): value for name, value in headers}

    def _finish(
        self,
        error: BaseException | None,
        error_headers: list[tuple[str, str]] | None,
        error_body: bytes | None,
        status_code: int | None,
        **kwargs: Any,
    ) -> None:
        self._under_way.discard(self)
        # The runtime's request, its body and this object hold each other: let go now, not at the next collection.
        self._is_done, self.request = True, None
        self._on_done(_response(error, error_headers, error_body, status_code, self._headers))


def _response(
    error: BaseException | None,
    error_headers: list[tuple[str, str]] | None,
    error_body: bytes | None,
    status: int | None,
    headers: dict[str, str],
) -> Response:
    if error is None:
        return Response(status=status or 200, headers=headers)
    # A status without a body, e.g. a proxy's bare 503, is an answer too.
    if status and not (200 <= status < 300 and error_body is None):
        answered = {name.lower(): value for name, value in error_headers or ()} or headers
        return Response(status=status, headers=answered, body=error_body or b"")
    name = error.name if isinstance(error, exceptions.AwsCrtError) else type(error).__name__
    reason = error.message if isinstance(error, exceptions.AwsCrtError) else str(error)
    if name in _ANSWERS:
        status, code = _ANSWERS[name]
        return Response(status=status, headers=headers, body=f"<Error><Code>{code}</Code></Error>".encode())
    failure = next((kind for prefix, kind in _FAILURES if name.startswith(prefix)), Failure.OTHER)
    return Response(failure=failure, reason=f"{reason} ({name})")


_UNSIGNED = auth.AwsSignedBodyValue.UNSIGNED_PAYLOAD
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_SIGNED_BODIES = (_UNSIGNED, _UNSIGNED_TRAILER)


def _signing(region: str, provider: auth.AwsCredentialsProvider, signed_body: str) -> auth.AwsSigningConfig:
    """SigV4 over the headers; the body is protected by its checksum, and by TLS."""
    return auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=provider,
        region=region,
        service="s3",
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value=signed_body,
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )


def _tls(endpoint: Endpoint, tls: TlsOptions) -> io.TlsConnectionOptions:
    options = io.TlsContextOptions()
    options.verify_peer = tls.verify
    if tls.ca_bundle is not None and tls.verify:
        options.override_default_trust_store_from_path(ca_dirpath=None, ca_filepath=tls.ca_bundle)
    connection = io.ClientTlsContext(options).new_connection_options()
    connection.set_server_name(endpoint.host)
    return connection
