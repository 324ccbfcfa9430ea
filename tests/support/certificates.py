"""A certificate authority for one test run."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SERVER = "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"


def make(directory: Path) -> tuple[Path, Path]:
    """The authority's certificate, and the server's with its key, for 127.0.0.1."""
    ca, ca_key, request = directory / "ca.pem", directory / "ca.key", directory / "server.csr"
    server, server_key, extensions = directory / "server.crt", directory / "server.key", directory / "ext"
    extensions.write_text(f"subjectAltName=IP:127.0.0.1\n{_SERVER}")
    key = ("-newkey", "rsa:2048", "-nodes", "-sha256")
    _openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=test authority", "-keyout", ca_key, "-out", ca,
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")  # fmt: skip
    _openssl("req", *key, "-subj", "/CN=127.0.0.1", "-keyout", server_key, "-out", request)
    _openssl("x509", "-req", "-sha256", "-days", "2", "-in", request, "-CA", ca, "-CAkey", ca_key,
             "-CAcreateserial", "-extfile", extensions, "-out", server)  # fmt: skip
    both = directory / "server.pem"
    both.write_bytes(server.read_bytes() + server_key.read_bytes())
    return ca, both


def issue(directory: Path, name: str, subject_alt_name: str, days: int = 2) -> Path:
    """Another server certificate of make()'s authority, with its key.

    Args:
        subject_alt_name: e.g. "IP:127.0.0.2".
        days: -1 for one that has expired.
    """
    request, key, certificate = (directory / f"{name}.{suffix}" for suffix in ("csr", "key", "crt"))
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={subject_alt_name}\n{_SERVER}")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-sha256", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    _openssl("x509", "-req", "-sha256", "-days", str(days), "-in", request, "-CA", directory / "ca.pem",
             "-CAkey", directory / "ca.key", "-CAcreateserial", "-extfile", extensions,
             "-out", certificate)  # fmt: skip
    return _both(certificate, key)


def self_signed(directory: Path, name: str, subject_alt_name: str) -> Path:
    """A server certificate of nobody but itself, with its key."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", key, "-out", certificate, "-addext", f"subjectAltName={subject_alt_name}")  # fmt: skip
    return _both(certificate, key)


def _both(certificate: Path, key: Path) -> Path:
    path = certificate.with_suffix(".pem")
    path.write_bytes(certificate.read_bytes() + key.read_bytes())
    return path


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
