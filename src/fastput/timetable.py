"""How much may be sent when: --limit-rate, parsed and looked up. Pure: the time of day comes from outside."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastput.errors import UsageError
from fastput.units import format_rate, parse_rate

DAY_S = 24 * 3600
NO_LIMIT = "max"
# The runtime ends connections that move less than 30 kB/s for half a minute: this feeds two of them.
LEAST_BYTES_PER_S = 125e3
_ELSE = "else"
_EXAMPLE = "write it as 400Mbps, or as '08:00-18:00=200Mbps,else=max'"
_SPAN = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Span:
    """From start_s to end_s (excluded), in seconds of the day; over midnight if it ends before it starts."""

    start_s: int
    end_s: int
    bytes_per_s: float | None

    def holds(self, second_s: float) -> bool:
        """Whether it is in force at this second of the day."""
        if self.start_s < self.end_s:
            return self.start_s <= second_s < self.end_s
        return second_s >= self.start_s or second_s < self.end_s


@dataclass(frozen=True, slots=True)
class Timetable:
    """Spans that don't overlap, and what holds outside of them. Rates: None is no limit."""

    spans: tuple[Span, ...] = ()
    otherwise_bytes_per_s: float | None = None

    @classmethod
    def parse(cls, text: str) -> Timetable:
        """From "400Mbps", "max" or "08:00-18:00=200Mbps,22:00-06:00=max,else=50MB/s"; without else there is no limit.

        Raises:
            UsageError: it makes no sense, or asks for less than connections need.
        """
        spans: list[Span] = []
        otherwise: list[float | None] = []
        entries = [entry.strip() for entry in text.split(",")]
        for entry in entries:
            when, equals, rate = (word.strip() for word in entry.rpartition("="))
            if equals and when.lower() != _ELSE:
                spans.append(_span(when, _rate(rate)))
            elif equals or len(entries) == 1:
                otherwise.append(_rate(rate))
            else:
                raise UsageError(f"{entry!r} doesn't say when: {_EXAMPLE}")
        if len(otherwise) > 1:
            raise UsageError(f"{text!r} says twice what else holds: {_EXAMPLE}")
        for i, span in enumerate(spans):
            for other in spans[:i]:
                if span.holds(other.start_s) or other.holds(span.start_s):
                    raise UsageError(
                        f"{text!r} has two rates for {_clock(span)} and {_clock(other)}, which overlap: let one end "
                        "where the other begins"
                    )
        return cls(tuple(spans), otherwise[0] if otherwise else None)

    def at(self, second_s: float) -> float | None:
        """Bytes a second at this second of the day, local time; None: no limit."""
        for span in self.spans:
            if span.holds(second_s):
                return span.bytes_per_s
        return self.otherwise_bytes_per_s


def _span(text: str, bytes_per_s: float | None) -> Span:
    match = _SPAN.fullmatch(text)
    if not match:
        raise UsageError(f"{text!r} is not a span of the day: {_EXAMPLE}")
    start_s, end_s = (_second(text, match[i], match[i + 1]) for i in (1, 3))
    if start_s % DAY_S == end_s:
        raise UsageError(f"{text!r} is an empty span; the whole day is 00:00-24:00")
    return Span(start_s % DAY_S, end_s, bytes_per_s)


def _second(span: str, hour: str, minute: str) -> int:
    second_s = int(hour) * 3600 + int(minute) * 60
    if int(minute) > 59 or second_s > DAY_S:
        raise UsageError(f"{span!r} is not a span of the day: times go from 00:00 to 24:00")
    return second_s


def _clock(span: Span) -> str:
    times = (f"{second_s // 3600:02d}:{second_s % 3600 // 60:02d}" for second_s in (span.start_s, span.end_s))
    return "-".join(times)


def _rate(text: str) -> float | None:
    if text.lower() == NO_LIMIT:
        return None
    bytes_per_s = parse_rate(text)
    if bytes_per_s < LEAST_BYTES_PER_S:
        raise UsageError(
            f"a limit of {text} is below {format_rate(LEAST_BYTES_PER_S)}: connections that move less are taken for "
            "dead and ended; give at least 1Mbps"
        )
    return bytes_per_s
