"""Runs one command in one scenario and prints the result as JSON.

python -m bench.lab 1g-100ms --change 10=0.5 -- fastput put FILE s3://bucket/key --endpoint-url {url}
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from bench.lab import scenarios
from bench.lab.link import LinkUnavailableError
from bench.lab.run import DEFAULT_TIMEOUT_S, Change, Command, run
from bench.lab.scenarios import Scenario


def main() -> int:
    """Returns the exit status: 1 if the command failed, 2 if it could not be run."""
    parser = argparse.ArgumentParser(prog="python -m bench.lab", description="Run a command in a scenario.")
    parser.add_argument("scenario", choices=scenarios.BY_NAME)
    parser.add_argument("--change", action="append", default=[], metavar="AT_S=FACTOR", help="of its rate, then")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS")
    parser.add_argument("command", nargs="+", help="{url} in it stands for the endpoint")
    options = parser.parse_args()
    scenario = scenarios.BY_NAME[options.scenario]
    try:
        changes = [_change(scenario, text) for text in options.change]
        result = run(scenario, Command(options.command, os.environ), changes, options.timeout)
    except (LinkUnavailableError, FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result.as_json(), indent=1))
    return 1 if result.error else 0


def _change(scenario: Scenario, text: str) -> Change:
    at_s, _, factor = text.partition("=")
    return Change(float(at_s), (scenario.link or scenario.store).times(float(factor)))


if __name__ == "__main__":
    sys.exit(main())
