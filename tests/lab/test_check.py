"""iperf3 and ping on a small link, in both directions. `python -m bench.lab.check` looks at the large ones, closer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from bench.lab import check
from bench.lab.check import Finding
from bench.lab.link import Lab, Link

LINK = Link(100e6, 0.01)
# A test says that the link does what it is for, not how even the machine is.
LENIENCE = 3


@pytest.fixture(autouse=True)
def programs() -> None:
    if missing := check.missing_programs():
        pytest.skip(f"{' and '.join(missing)} not installed; Debian has iperf3 and iputils-ping")


def assert_good(finding: Finding) -> None:
    lenient = dataclasses.replace(finding, tolerance=finding.tolerance * LENIENCE)
    assert lenient.is_good, str(lenient)


@pytest.mark.parametrize("direction", check.DIRECTIONS)
def test_rate(opened: Callable[[Link], Lab], direction: str) -> None:
    assert_good(check.rate(opened(LINK), direction, duration_s=2))


def test_rtt(opened: Callable[[Link], Lab]) -> None:
    assert_good(check.rtt(opened(LINK)))


def test_queueing(opened: Callable[[Link], Lab]) -> None:
    assert_good(check.queueing(opened(LINK), duration_s=1))


@pytest.mark.parametrize("direction", check.DIRECTIONS)
def test_loss(opened: Callable[[Link], Lab], direction: str) -> None:
    """So many that those which a busy machine's bursts lose in the queue, half a percent, are few beside them."""
    assert_good(check.loss(opened(LINK), direction, loss=0.05, duration_s=2))
