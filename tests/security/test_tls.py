"""Certificates that aren't the store's: refused by the control plane, OpenSSL's, and by the data plane, s2n's.

That a right one passes with --ca-bundle or AWS_CA_BUNDLE, that one of an unknown authority is refused, and that
--no-verify-ssl takes any, is in tests/cli/test_put.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.servers.scripted import Scripted
from tests.security.conftest import Machine
from tests.support import certificates
from tests.support.tcp import serve_tls

HERE = "IP:127.0.0.1"
KINDS = ["wrong-name", "expired", "self-signed", "another-authority"]
# Nothing has to be found out then, and a small file goes in one request, which is the runtime's.
DATA_PLANE = ("--checksum", "crc64nvme")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("authority")
    certificates.make(directory)
    return directory


@pytest.fixture(scope="module")
def urls(store: Scripted, directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The scripted store behind certificates of all kinds."""
    others = tmp_path_factory.mktemp("another")
    found = {
        "right": certificates.issue(directory, "right", HERE),
        "wrong-name": certificates.issue(directory, "elsewhere", "IP:127.0.0.2,DNS:store.example.org"),
        "expired": certificates.issue(directory, "expired", HERE, days=-1),
        "self-signed": certificates.self_signed(directory, "self", HERE),
        "another-authority": certificates.make(others)[1],
    }
    with contextlib.ExitStack() as stack:
        servers = {
            kind: stack.enter_context(serve_tls(("127.0.0.1", store.port), str(path))) for kind, path in found.items()
        }
        yield {kind: server.url for kind, server in servers.items()}


def test_the_right_one(
    machine: Machine, urls: dict[str, str], directory: Path, store: Scripted, small: Path, large: Path
) -> None:
    """The others differ from it in one thing only."""
    for path in (small, large):
        options = ("--endpoint-url", urls["right"], "--ca-bundle", directory / "ca.pem")
        done = machine.run("put", path, "s3://right/", *options)
        assert (done.status, done.err) == (0, ""), done
        assert machine.run("put", *DATA_PLANE, path, "s3://right/", *options).status == 0
        assert machine.run("uploads", "ls", "s3://right", *options).status == 0
        stored = store.object("right", path.name)
        assert stored is not None
        assert stored.size_bytes == path.stat().st_size


@pytest.mark.parametrize("kind", KINDS)
def test_refused_by_the_control_plane(
    machine: Machine, urls: dict[str, str], directory: Path, store: Scripted, large: Path, kind: str
) -> None:
    options = ("--endpoint-url", urls[kind], "--ca-bundle", directory / "ca.pem", "--no-progress")
    for command in (("put", large), ("uploads", "ls"), ("uploads", "abort", "--older-than", "0s")):
        arguments = [*command[:2], f"s3://{kind}/", *command[2:]]
        done = machine.run(*arguments, *(options if command[0] == "put" else options[:-1]))
        done.expect_error(9, "TLS", urls[kind], "--ca-bundle")
    assert store.requests(kind) == [], "not even a header, with its signature, was sent"


def test_refused_by_the_data_plane(
    machine: Machine, urls: dict[str, str], directory: Path, store: Scripted, small: Path
) -> None:
    """A small file with a checksum that is asked for by name: the only request is the runtime's.

    All at once: s2n waits 10 to 30 s before it says that a handshake has failed.
    """
    processes = {
        kind: machine.start(
            "put", *DATA_PLANE, "--no-progress", "--endpoint-url", urls[kind], "--ca-bundle", directory / "ca.pem",
            small, f"s3://{kind}/data",
        )
        for kind in KINDS
    }  # fmt: skip
    for kind, process in processes.items():
        machine.end(process).expect_error(9, "TLS", urls[kind], "--ca-bundle")
        assert store.requests(kind) == []
