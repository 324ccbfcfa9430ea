"""How long a connection takes to be made: plain sockets and TLS of the standard library."""

from __future__ import annotations

import socket
import ssl
import statistics
import time
import warnings
from collections.abc import Callable

from fastput.client.measure.facts import Setup
from fastput.errors import EndpointError
from fastput.model import Endpoint, TlsOptions

_TRIES = 3
_TIMEOUT_S = 5.0


def measure_setup(endpoint: Endpoint, tls: TlsOptions, is_stopped: Callable[[], bool]) -> Setup:
    """
    Raises:
        EndpointError: there is no way to the endpoint.
    """
    context = tls_context(tls) if endpoint.is_tls else None
    try:
        began_s = time.monotonic()
        family, _, _, _, address = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)[0]
        name_s = time.monotonic() - began_s
        connects_s, handshakes_s = [], []
        for _ in range(_TRIES):
            if is_stopped():
                break
            with socket.socket(family, socket.SOCK_STREAM) as plain:
                plain.settimeout(_TIMEOUT_S)
                began_s = time.monotonic()
                plain.connect(address)
                connected_s = time.monotonic()
                connects_s.append(connected_s - began_s)
                if context is not None:
                    with context.wrap_socket(plain, server_hostname=endpoint.host):
                        handshakes_s.append(time.monotonic() - connected_s)
    except OSError as error:  # also ssl.SSLError and socket.gaierror
        what = "TLS failed" if isinstance(error, ssl.SSLError) else "no connection"
        hint = "give its authority with --ca-bundle" if isinstance(error, ssl.SSLError) else "check the endpoint"
        raise EndpointError(f"{endpoint.url}: {what}: {error.strerror or error}: {hint}") from None
    return Setup(name_s, _median(connects_s), _median(handshakes_s))


def tls_context(tls: TlsOptions) -> ssl.SSLContext:
    """As the transport checks certificates."""
    context = ssl.create_default_context(cafile=tls.ca_bundle if tls.verify else None)
    if not tls.verify:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
