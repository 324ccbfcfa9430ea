"""The scripted server, in a process of its own so that its descriptors and threads aren't counted as ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

import fastput
from bench.servers import scripted
from bench.servers.scripted import Scripted

KEY = "key"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(clean_environment: None) -> Iterator[Scripted]:
    with scripted.spawn() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.env().items():
            patch.setenv(name, value)
        # What is made once in a process and stays isn't a leak: imports, the runtime's own statics.
        with fastput.Client(endpoint_url=server.endpoint_url) as client:
            client.put(bytes(1000), "s3://warm-up/key")
        yield server


@pytest.fixture
def bucket(server: Scripted) -> Iterator[str]:
    """A bucket that nobody else uses: rules, objects and uploads of other tests are elsewhere."""
    name = f"bucket-{next(_numbers)}"
    yield name
    server.forget(name, KEY)
