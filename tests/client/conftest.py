"""Clients of the real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastput
from bench.servers.seaweedfs import SeaweedFS
from tests.support.content import MIB


@pytest.fixture(scope="session")
def options(seaweedfs: SeaweedFS) -> Iterator[dict[str, str]]:
    """The options of a Client of the server; its keys are in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweedfs.env().items():
            patch.setenv(name, value)
        yield {"endpoint_url": seaweedfs.endpoint_url}


@pytest.fixture(scope="session")
def client(options: dict[str, str]) -> Iterator[fastput.Client]:
    """One for all tests that don't break it, as it is meant to be used."""
    with fastput.Client(part_size=5 * MIB, **options) as client:
        yield client
