"""Live progress: a bar on a terminal, a plain line now and then elsewhere, both on standard error."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from fastput.client import Client
from fastput.tuner import Limit
from fastput.units import format_duration, format_goodput, format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_BAR_INTERVAL_S = 0.1
_LINE_INTERVAL_S = 5.0
# Signals may be taken by a thread that is just starting another; Python handles them when the main thread wakes up.
_SIGNAL_INTERVAL_S = 0.5
# "Now" is the mean of this many seconds: long enough to hold several parts on a slow link.
_NOW_S = 3.0


class Display(Protocol):
    @property
    def interval_s(self) -> float:
        """How often update() wants to be called, at least."""

    def update(self) -> None: ...

    def note(self, text: str) -> None: ...

    def pause(self) -> None:
        """Makes room for a line on standard output."""

    def close(self) -> None: ...


def make_display(client: Client, total_bytes: int | None, is_wanted: bool) -> Display:
    """The display that fits where standard error goes."""
    if not is_wanted:
        return NoDisplay()
    meter = Meter(lambda: sending(client, total_bytes))
    return BarDisplay(meter) if sys.stderr.isatty() else LineDisplay(meter)


@dataclass(frozen=True, slots=True)
class Moved:
    """How much has moved until now; total_bytes: None: nobody knows. text: what else there is to say."""

    moved_bytes: int
    total_bytes: int | None
    text: str = ""


def sending(client: Client, total_bytes: int | None) -> Moved:
    """What a client has sent until now."""
    snapshot = client.snapshot()
    text = f", {snapshot.in_flight} parts in flight"
    if snapshot.limit not in (None, Limit.WINDOW):  # else it isn't known
        text += f" (limit: {snapshot.limit})"
    return Moved(snapshot.sent_bytes, total_bytes, text)


class Meter:
    """Turns counters into what people read."""

    def __init__(self, look: Callable[[], Moved]) -> None:
        self.moved = Moved(0, None)
        self._look = look
        self._started_s = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._started_s, 0)])

    def read(self) -> str:
        """ "812.4 MB/s now, 790.1 MB/s mean, 16 parts in flight (limit: link), 35.0 s left" """
        now_s, self.moved = time.monotonic(), self._look()
        moved_bytes, total_bytes = self.moved.moved_bytes, self.moved.total_bytes
        self._samples.append((now_s, moved_bytes))
        while self._samples[0][0] < now_s - _NOW_S and len(self._samples) > 2:
            self._samples.popleft()
        since_s, since_bytes = self._samples[0]
        now_goodput = (moved_bytes - since_bytes) / max(now_s - since_s, 1e-3)
        mean_goodput = moved_bytes / max(now_s - self._started_s, 1e-3)
        text = f"{format_goodput(now_goodput)} now, {format_goodput(mean_goodput)} mean{self.moved.text}"
        if total_bytes and mean_goodput > 0:
            left_s = (total_bytes - moved_bytes) / (now_goodput or mean_goodput)
            text += f", {format_duration(max(left_s, 0.0))} left"
        return text

    @property
    def size(self) -> str:
        """ "1.2 GiB of 4.0 GiB", as of the last reading."""
        total = f" of {format_size(self.moved.total_bytes)}" if self.moved.total_bytes else ""
        return f"{format_size(self.moved.moved_bytes)}{total}"


class NoDisplay:
    interval_s = _SIGNAL_INTERVAL_S

    def update(self) -> None:
        pass

    def note(self, text: str) -> None:
        click.echo(f"fastput: {text}", err=True)

    def pause(self) -> None:
        pass

    def close(self) -> None:
        pass


class LineDisplay(NoDisplay):
    """A line every five seconds, so that logs stay readable."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._next_s = time.monotonic() + _LINE_INTERVAL_S

    def update(self) -> None:
        if time.monotonic() < self._next_s:
            return
        self._next_s += _LINE_INTERVAL_S
        text = self._meter.read()
        click.echo(f"{self._meter.size}, {text}", err=True)


class BarDisplay(NoDisplay):
    """A bar that is redrawn in place. rich takes 0.1 s to import: the first update pays, with parts in flight."""

    interval_s = _BAR_INTERVAL_S

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._bar: Bar | None = None

    def update(self) -> None:
        text = self._meter.read()
        if self._bar is None:
            self._bar = self._make()
            self._bar.start()
        moved, size = self._meter.moved, self._meter.size
        self._bar.update(
            self._bar.task_ids[0], completed=moved.moved_bytes, total=moved.total_bytes, size=size, text=text,
            refresh=True,
        )  # fmt: skip

    def note(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"fastput: {text}", highlight=False, markup=False)
        else:
            super().note(text)

    def pause(self) -> None:
        if self._bar is not None:
            self.update()
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        self.pause()

    def _make(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[size]}"),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.add_task("", total=None, size="", text="")
        return bar
