"""Commands in scenarios."""

from __future__ import annotations

import json
import sys

import pytest

from bench.lab.link import Link
from bench.lab.run import Change, Command, run
from bench.lab.scenarios import BY_NAME, Scenario
from bench.servers.sink import Store
from tests.lab.pushing import goodput, pushing
from tests.support.measured import measured

LINK = Link(80e6, 0.01)
DATA_BYTES_PER_S = 80e6 / 8 * 1448 / 1500


@measured
def test_halved_link(can_link: None) -> None:
    result = run(Scenario("link", LINK), pushing(4, 4_000_000), [Change(1.0, LINK.times(0.5))])
    assert not result.error, result.output
    assert goodput(result, 0.4, 1.0) == pytest.approx(DATA_BYTES_PER_S, rel=0.15)
    assert goodput(result, 1.3, 2.0) == pytest.approx(DATA_BYTES_PER_S / 2, rel=0.15)
    assert result.counts
    assert result.counts[0].delivered_bytes > result.body_bytes == 16_000_000


def test_command_that_fails() -> None:
    result = run(Scenario("loopback"), Command([sys.executable, "-c", "print('no'); raise SystemExit(3)"], {}))
    assert (result.error, result.output) == ("status 3", "no")


def test_command_that_hangs() -> None:
    hanging = Command([sys.executable, "-c", "import time; time.sleep(600)"], {})
    assert run(Scenario("loopback"), hanging, timeout_s=0.5).error == "not done after 0.5 s"


def test_environment_has_the_endpoint_and_nothing_else() -> None:
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    result = run(Scenario("loopback"), Command(show, {"ENDPOINT": "{url}/"}))
    environment = json.loads(result.output)
    assert environment.pop("ENDPOINT").startswith("http://127.0.0.1:")
    # Python sets this one itself where there is no locale.
    assert set(environment) <= {"LC_CTYPE"}


def test_result_as_json() -> None:
    text = json.dumps(run(BY_NAME["knee-8"], pushing(2, 100_000)).as_json())
    assert json.loads(text)["body_bytes"] == 200_000


def test_program_that_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        run(Scenario("loopback"), Command(["no-such-program"], {}))


def test_loopback_has_no_link_to_change() -> None:
    with pytest.raises(ValueError, match="no link"):
        run(Scenario("loopback"), pushing(1, 1), [Change(0, LINK)])


@pytest.mark.parametrize("scenario", BY_NAME.values(), ids=BY_NAME)
def test_scenarios_last(scenario: Scenario) -> None:
    assert scenario.bytes_for(30) == pytest.approx(scenario.capacity_bytes_per_s * 30)
    assert scenario.link or scenario.store != Store()
