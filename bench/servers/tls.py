"""A TLS-terminating proxy (haproxy) in front of a plain server, with a certificate authority made on the fly."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
CERTIFICATE_DAYS = "7"
START_TIMEOUT_S = 10.0
POLL_S = 0.02
# RSA 2048, what S3's own endpoints show: the handshakes cost a client the same.
KEY = ("-newkey", "rsa:2048", "-nodes", "-sha256")

# mode tcp: the proxy does TLS and nothing else; a connection of a client is one of the sink.
# The listening socket comes from us, so that no port has to be guessed.
CONFIGURATION = """
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 10m
    timeout server 10m
frontend tls
    bind fd@{listener} ssl crt {certificate} alpn http/1.1
    default_backend plain
backend plain
    server plain {host}:{port}
"""


class TLSUnavailableError(RuntimeError):
    """No TLS here; the message is one line that says what to install."""


@dataclass(frozen=True, slots=True)
class TLSProxy:
    """A running proxy. ca_bundle is a PEM file with the authority that signed its certificate."""

    port: int
    ca_bundle: Path

    @property
    def endpoint_url(self) -> str:
        return f"https://{HOST}:{self.port}"


@contextlib.contextmanager
def serve(plain_port: int) -> Iterator[TLSProxy]:
    """Starts a proxy in front of a port of this host and ends it with its files.

    Raises:
        TLSUnavailableError: haproxy or openssl is not installed.
    """
    # Debian has haproxy in a directory that is only on root's path.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    haproxy = shutil.which("haproxy", path=path)
    if haproxy is None:
        raise TLSUnavailableError("no TLS: haproxy is missing (Debian package: haproxy)")
    if shutil.which("openssl") is None:
        raise TLSUnavailableError("no TLS: openssl is missing (Debian package: openssl)")
    with (
        tempfile.TemporaryDirectory(prefix="fastput-tls-") as directory,
        socket.create_server((HOST, 0), backlog=1024) as listener,
    ):
        ca_bundle, certificate = _make_certificates(Path(directory))
        port: int = listener.getsockname()[1]
        configuration = Path(directory, "haproxy.cfg")
        configuration.write_text(
            CONFIGURATION.format(listener=listener.fileno(), certificate=certificate, host=HOST, port=plain_port)
        )
        # So that it ends with us, kill -9 included, where util-linux is new enough to arrange that.
        bound = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*bound, haproxy, "-db", "-q", "-f", str(configuration)]
        with subprocess.Popen(command, pass_fds=[listener.fileno()], start_new_session=True) as process:
            try:
                _wait_until_ready(process, port, ca_bundle)
                yield TLSProxy(port, ca_bundle)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _make_certificates(directory: Path) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key, for localhost and 127.0.0.1."""
    ca, ca_key = directory / "ca.pem", directory / "ca.key"
    request, server, server_key = directory / "server.csr", directory / "server.crt", directory / "server.key"
    extensions = directory / "server.ext"
    extensions.write_text(
        f"subjectAltName=DNS:localhost,IP:{HOST}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    )
    _openssl(
        *("req", "-x509", *KEY, "-days", CERTIFICATE_DAYS, "-subj", "/CN=fastput benchmark authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", ca_key, "-out", ca),
    )
    _openssl("req", *KEY, "-subj", "/CN=localhost", "-keyout", server_key, "-out", request)
    _openssl(
        *("x509", "-req", "-sha256", "-days", CERTIFICATE_DAYS, "-in", request, "-CA", ca, "-CAkey", ca_key),
        *("-CAcreateserial", "-extfile", extensions, "-out", server),
    )
    certificate = directory / "server.pem"
    certificate.write_bytes(server.read_bytes() + server_key.read_bytes())
    return ca, certificate


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, ca_bundle: Path) -> None:
    """Until a handshake succeeds: the socket listens from the start, whether or not the proxy has come up."""
    context = ssl.create_default_context(cafile=ca_bundle)
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            with socket.create_connection((HOST, port), timeout=1.0) as plain:
                context.wrap_socket(plain, server_hostname=HOST).close()
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"haproxy did not come up (status {process.poll()})")
