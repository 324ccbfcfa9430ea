"""Which requests meet which fault."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.servers.scripted_api import Request
from bench.servers.scripted_faults import ACTIONS
from bench.servers.scripted_http import Fault, Seen

# What fastput sends to find out what a store can do is smaller.
PROBE_BYTES = 2 << 10
_WITH_BODY = ("UploadPart", "PutObject")


@dataclass(frozen=True, slots=True)
class Rule:
    """A fault, and the requests that it is for. Of several rules the first that fits counts.

    Attributes:
        operation: S3's name, or several as "UploadPart|PutObject", or "*".
        action: a function of scripted_faults.py; args are its arguments.
        bucket, key, part: of the requests; None is any.
        access_key: only requests signed with this one.
        nth: only the nth request that fits, from 1.
        every: only each nth one.
        probability: only so many of them, at random.
        times: how often it happens at most; None is without end.
        follows: only when another rule for the same has happened before.
        tiny: also parts and objects below 2 KiB, which are usually probes.
    """

    operation: str
    action: str
    bucket: str | None = None
    key: str | None = None
    part: int | None = None
    access_key: str | None = None
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None
    follows: bool = False
    tiny: bool = False
    args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"there is no action {self.action!r}; there are {', '.join(ACTIONS)}")
        inspect.signature(ACTIONS[self.action]).bind(None, **self.args)

    def fits(self, request: Request) -> bool:
        """Whether it is for this request, whatever was before."""
        operation = request.operation
        if self.operation != "*" and operation not in self.operation.split("|"):
            return False
        if operation in _WITH_BODY and request.body_bytes < PROBE_BYTES and not self.tiny:
            return False
        wanted = (self.bucket, self.key, self.part, self.access_key)
        found = (request.bucket, request.key, request.part, request.access_key)
        return all(want is None or want == have for want, have in zip(wanted, found, strict=True))


@dataclass(slots=True)
class _Counted:
    rule: Rule
    fitted: int = 0
    happened: int = 0


class Script:
    """The rules in force, and how often each has happened. Rules for one object don't slow the others down."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._rules: dict[tuple[str | None, str | None], list[_Counted]] = {}

    def add(self, rules: Iterable[Rule]) -> None:
        with self._lock:
            for rule in rules:
                self._rules.setdefault((rule.bucket, rule.key), []).append(_Counted(rule))

    def remove(self, bucket: str | None = None, key: str | None = None) -> None:
        """Takes away an object's rules, or a bucket's, or (without arguments) those for all."""
        with self._lock:
            self._rules.pop((bucket, key), None)

    def find(self, request: Request, seen: Seen) -> Fault | None:
        """What is to be done with a request instead of the ordinary."""
        rule = self._find(request)
        if rule is None:
            return None
        seen.fault = rule.action
        action, args = ACTIONS[rule.action], rule.args
        return lambda exchange: action(exchange, **args)

    def _find(self, request: Request) -> Rule | None:
        with self._lock:
            places = ((request.bucket, request.key), (request.bucket, None), (None, None))
            for counted in (counted for place in places for counted in self._rules.get(place, ())):
                rule = counted.rule
                if not rule.fits(request) or (rule.times is not None and counted.happened >= rule.times):
                    continue
                if rule.follows and not any(other.happened for other in self._rules[rule.bucket, rule.key]):
                    continue
                counted.fitted += 1
                if rule.nth is not None and counted.fitted != rule.nth:
                    continue
                if rule.every is not None and counted.fitted % rule.every:
                    continue
                if rule.probability is not None and self._random.random() >= rule.probability:
                    continue
                counted.happened += 1
                return rule
        return None
