"""What click can't read: rules in the order in which they were given, as aws s3 has it; options without a value."""

from __future__ import annotations

import re

import click

from fastput.cli.common import together
from fastput.errors import UsageError
from fastput.tree.select import Rule, parse_rules

_WORDS = {"--exclude": "-", "--include": "+", "--exclude-from": "@"}
# Options whose value may be left out, what it is then, and what one looks like: what follows may be a file.
_OPTIONAL = {"--compress": ("auto", r"auto|\d{1,2}"), "--pack": ("one", r"[\d.]+[KMGT]i?B?")}


class OrderedRules(click.Command):
    """A command whose rules come as one option (click keeps the order among the values of one only), and whose
    options may have no value."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        return super().parse_args(context, _in_one_option(_with_values(_with_plan(arguments))))


def _with_plan(arguments: list[str]) -> list[str]:
    """A plan is a command line: what is given beside it decides where both say something."""
    for place, argument in enumerate(arguments):
        word, equals, path = argument.partition("=")
        if argument == "--":
            break
        if word == "--plan" and (equals or place + 1 < len(arguments)):
            from fastput.tree.plan.file import load_plan

            rest = arguments[:place] + arguments[place + (1 if equals else 2) :]
            plan = load_plan(path if equals else arguments[place + 1]).arguments()
            ends = plan.index("--")
            return [*plan[:ends], *rest, *plan[ends:]]
    return arguments


def _with_values(arguments: list[str]) -> list[str]:
    found: list[str] = []
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[place:]]
        before = arguments[place - 1] if place else ""
        if before in _OPTIONAL and re.fullmatch(_OPTIONAL[before][1], argument):
            found[-1] = f"{before}={argument}"
            continue
        found.append(f"{argument}={_OPTIONAL[argument][0]}" if argument in _OPTIONAL else argument)
    return found


def _in_one_option(arguments: list[str]) -> list[str]:
    found: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            return [*found, argument, *rest]
        word, equals, value = argument.partition("=")
        if word not in _WORDS:
            found.append(argument)
        elif equals or (value := next(rest, "")):
            found.append(f"--rule={_WORDS[word]}{value}")
        else:
            found.append(argument)  # click says that its value is missing
    return found


rule_options = together(
    click.option("--exclude", expose_value=False, metavar="PATTERN", help="Leave out what matches. Repeatable."),
    click.option("--include", expose_value=False, metavar="PATTERN",
                 help="Take it after all; the last rule that matches decides."),
    click.option("--exclude-from", expose_value=False, metavar="FILE", help="Patterns to leave out, a line each."),
    click.option("--rule", "rules", multiple=True, hidden=True),
)  # fmt: skip


def read_rules(texts: tuple[str, ...]) -> list[Rule]:
    """
    Raises:
        UsageError: a file of patterns can't be read.
    """
    rules: list[Rule] = []
    for text in texts:
        if text[0] != "@":
            rules.append(Rule(text[0] == "+", text[1:]))
            continue
        try:
            with open(text[1:], encoding="utf-8", errors="surrogateescape") as file:
                rules += parse_rules(file.read())
        except OSError as error:
            raise UsageError(f"the patterns {text[1:]} can't be read: {error.strerror}") from None
    return rules
