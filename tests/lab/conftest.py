"""Links for tests, where the machine allows them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from bench.lab import link
from bench.lab.link import Lab, Link, LinkUnavailableError


@pytest.fixture(scope="session")
def can_link() -> None:
    """Skips where no namespace or TUN device can be made; .ci/run has both."""
    try:
        with link.open(Link(1e9, 0)):
            pass
    except LinkUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def opened(can_link: None) -> Iterator[Callable[[Link], Lab]]:
    """Opens links that end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda wanted: stack.enter_context(link.open(wanted))
