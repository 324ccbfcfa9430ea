"""A certificate authority for one test run."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make(directory: Path) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key, for 127.0.0.1."""
    ca, ca_key, request = directory / "ca.pem", directory / "ca.key", directory / "server.csr"
    server, server_key, extensions = directory / "server.crt", directory / "server.key", directory / "ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    key = ("-newkey", "rsa:2048", "-nodes", "-sha256")
    _openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca,
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    _openssl("req", *key, "-subj", "/CN=127.0.0.1", "-keyout", server_key, "-out", request)
    _openssl("x509", "-req", "-sha256", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key,
             "-CAcreateserial", "-extfile", extensions, "-out", server)  # fmt: skip
    both = directory / "server.pem"
    both.write_bytes(server.read_bytes() + server_key.read_bytes())
    return ca, both


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
