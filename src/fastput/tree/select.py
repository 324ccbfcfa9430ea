"""Which files of a tree are meant: ordered rules as `aws s3` has them, ages and sizes. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastput.units import format_duration, format_size

if TYPE_CHECKING:
    from fastput.native.scan import Entry


@dataclass(frozen=True, slots=True)
class Rule:
    """--exclude or --include: a shell pattern for paths below the root, in which `*` also stands for a "/"."""

    is_include: bool
    pattern: str


@dataclass(frozen=True)
class Selection:
    """The last rule that matches decides; what none matches is taken.

    https://docs.aws.amazon.com/cli/latest/reference/s3/#use-of-exclude-and-include-filters

    Attributes:
        min_age_s, max_age_s: since the last modification.
        min_size_bytes, max_size_bytes: both included.
    """

    rules: Sequence[Rule] = ()
    min_age_s: float | None = None
    max_age_s: float | None = None
    min_size_bytes: int | None = None
    max_size_bytes: int | None = None
    _matchers: tuple[tuple[bool, re.Pattern[str]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        matchers = tuple((rule.is_include, re.compile(fnmatch.translate(rule.pattern))) for rule in self.rules)
        object.__setattr__(self, "_matchers", tuple(reversed(matchers)))

    def takes(self, path: str) -> bool:
        """Whether the rules let a path through, of a file or of an object."""
        for is_include, matcher in self._matchers:
            if matcher.match(path):
                return is_include
        return True

    def enters(self, directory: str) -> bool:
        """Whether anything below a directory may be taken; False is certain.

        A pattern that ends in `*` and matches "directory/" matches all that lies below.
        """
        for rule, (is_include, matcher) in zip(reversed(self.rules), self._matchers, strict=True):
            if is_include:
                return True
            if rule.pattern.endswith("*") and matcher.match(directory + "/"):
                return False
        return True

    def why_not(self, entry: Entry, now_ns: int) -> str | None:
        """Why a file's age or size keeps it out."""
        age_s = (now_ns - entry.mtime_ns) / 1e9
        if self.min_age_s is not None and age_s < self.min_age_s:
            return f"younger than {format_duration(self.min_age_s)}"
        if self.max_age_s is not None and age_s > self.max_age_s:
            return f"older than {format_duration(self.max_age_s)}"
        if self.min_size_bytes is not None and entry.size_bytes < self.min_size_bytes:
            return f"smaller than {format_size(self.min_size_bytes)}"
        if self.max_size_bytes is not None and entry.size_bytes > self.max_size_bytes:
            return f"larger than {format_size(self.max_size_bytes)}"
        return None


def parse_rules(text: str) -> list[Rule]:
    """The lines of an --exclude-from file: a pattern each; empty ones and those that begin with # are comments."""
    lines = (line.rstrip("\r") for line in text.split("\n"))
    return [Rule(False, line) for line in lines if line.strip() and not line.startswith("#")]
