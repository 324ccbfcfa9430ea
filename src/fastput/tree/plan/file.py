"""A plan as a file: TOML that people read and edit, and that `fastput put --plan FILE` carries out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastput.errors import UsageError

FORMAT = 1
_BARE = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class PlanFile:
    """
    Attributes:
        options: of `fastput put`, without their dashes: a text, a number, or True.
        rules: --exclude and --include, in order: ("exclude", "*.tmp").
        files, size_bytes: what was found when it was made.
    """

    sources: tuple[str, ...]
    destination: str
    options: Mapping[str, str | int | bool]
    rules: tuple[tuple[str, str], ...]
    files: int
    size_bytes: int

    def arguments(self) -> list[str]:
        """The words of the command line."""
        words: list[str] = []
        for name, value in self.options.items():
            words += [f"--{name}"] if value is True else [f"--{name}={value}"] if value is not False else []
        words += [f"--{kind}={pattern}" for kind, pattern in self.rules]
        return [*words, "--", *self.sources, self.destination]


def dump_plan(plan: PlanFile, comments: Sequence[str], advised: Mapping[str, str | int | bool]) -> str:
    """TOML.

    Args:
        comments: what was reckoned, for people; not read again.
        advised: options that are worth it, and aren't taken unless somebody says so: keys would be others.
    """
    lines = [f"# {line}".rstrip() for line in comments]
    lines += [
        "",
        "# fastput put --plan FILE does this; what is changed here is done otherwise.",
        f"format = {FORMAT}",
        f"sources = [{', '.join(map(_text, plan.sources))}]",
        f"destination = {_text(plan.destination)}",
        "",
        "# In order; the last that matches decides.",
        "rules = [",
        *(f"    [{_text(kind)}, {_text(pattern)}]," for kind, pattern in plan.rules),
        "]",
        "",
        "# Options of fastput put.",
        "[options]",
        *(f"{_key(name)} = {_value(value)}" for name, value in plan.options.items()),
        *(f"# {_key(name)} = {_value(value)}  # worth it: take the first # away" for name, value in advised.items()),
        "",
        "# What was there when this was made.",
        "[found]",
        f"files = {plan.files}",
        f"bytes = {plan.size_bytes}",
    ]
    return "\n".join(lines) + "\n"


def load_plan(path: str) -> PlanFile:
    """
    Raises:
        UsageError: it can't be read, or isn't one.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
        if document["format"] != FORMAT:
            raise UsageError(f"the plan {path} is of format {document['format']!r}; this version knows {FORMAT}")
        rules = tuple((str(kind), str(pattern)) for kind, pattern in document.get("rules", []))
        if any(kind not in ("exclude", "include") for kind, _ in rules):
            raise ValueError("a rule is neither exclude nor include")
        options = document.get("options", {})
        for name, value in options.items():
            if not set(name) <= _BARE or not isinstance(value, (str, int)):
                raise ValueError(f"the option {name!r} is none")
        found = document.get("found", {})
        sources = tuple(str(source) for source in document["sources"])
        if not sources:
            raise ValueError("it has no sources")
        files, size_bytes = int(found.get("files", 0)), int(found.get("bytes", 0))
        return PlanFile(sources, str(document["destination"]), options, rules, files, size_bytes)
    except OSError as error:
        raise UsageError(f"the plan {path} can't be read: {error.strerror}") from None
    except KeyError as error:
        raise UsageError(f"the plan {path} doesn't say its {error}") from None
    except UsageError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the plan {path} can't be read: {error}") from None


def _text(text: str) -> str:
    """A basic string of TOML."""
    escaped = "".join(
        character if character.isprintable() and character not in '"\\' else f"\\U{ord(character):08X}"
        for character in text
    )
    return f'"{escaped}"'


def _key(name: str) -> str:
    return name if set(name) <= _BARE else _text(name)


def _value(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _text(value)
