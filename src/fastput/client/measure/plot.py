"""Pictures, with matplotlib, which is an extra: pip install 'fastput[plot]'."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fastput.client.measure.facts import Measured, Report
from fastput.client.plotting import BLUE, DPI, GREEN, GREY, ORANGE, RED, SIZE_IN, save
from fastput.errors import SourceNotFound, SourceReadError, UsageError
from fastput.limits import MIB

_LIMITS = {
    "window": "#FFFFFF", "link": "#56B4E9", "store": "#E69F00", "disk": "#CC79A7", "cpu": "#D55E00",
    "memory": "#F0E442", "source": "#BBBBBB",
}  # fmt: skip
_LIMIT_NAMES = {"window": "window (nothing else seen)"}
_NEEDED = ("at_s", "elapsed_s", "confirmed_bytes", "in_flight", "window")
# A curve of ten points a second is a comb where only whole parts are counted.
_SMOOTHED_S = 1.0

Row = dict[str, Any]


def read_trace(path: str) -> list[Row]:
    """The lines of fastput put --trace; a last one that was cut short is left out.

    Raises:
        SourceError: it can't be read.
        UsageError: it isn't a trace, or has too little in it.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SourceNotFound(f"{path}: no such file") from None
    except OSError as error:
        raise SourceReadError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError:
        raise _no_trace(path, "it is no text") from None
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines) and rows:
                break
            raise _no_trace(path, f"line {number} is no JSON") from None
        missing = [name for name in _NEEDED if not isinstance(row, dict) or name not in row]
        if missing:
            raise _no_trace(path, f"line {number} has no {missing[0]}")
        rows.append(row)
    if len(rows) < 2:
        raise UsageError(f"{path}: {len(rows)} lines make no picture: trace a longer upload")
    return rows


def _no_trace(path: str, why: str) -> UsageError:
    return UsageError(f"{path} is no trace: {why}; fastput put --trace FILE writes one")


def goodput_mb_per_s(rows: Sequence[Row]) -> list[float]:
    """By row: over the second before it; acknowledged bytes where the kernel says them, else those of parts."""
    rates, first = [], 0
    for place, row in enumerate(rows):
        while rows[first]["at_s"] <= row["at_s"] - _SMOOTHED_S:
            first += 1
        seen = rows[first : place + 1]
        span_s = sum(one["elapsed_s"] for one in seen)
        rates.append(sum(moved_bytes(one) for one in seen) / max(span_s, 1e-9) / 1e6)
    return rates


def moved_bytes(row: Row) -> int:
    moved = row.get("goodput_bytes")
    return int(row["confirmed_bytes"] if moved is None else moved)


def bands(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    """From when to when which limit was seen, in seconds."""
    found = []
    begins_s = rows[0]["at_s"] - rows[0]["elapsed_s"]
    for limit, group in groupby(rows, lambda row: str((row.get("decided") or {}).get("limit", "window"))):
        ends_s = list(group)[-1]["at_s"]
        found.append((begins_s, ends_s, limit))
        begins_s = ends_s
    return found


def draw_trace(path: str, out: str) -> None:
    """Goodput, window and requests in flight, and round-trip times of one transfer, over time.

    Raises:
        SourceError, UsageError: as read_trace(); or the picture can't be written.
    """
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch

    rows = read_trace(path)
    at_s = [row["at_s"] for row in rows]
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, sharex=True, figsize=SIZE_IN, dpi=DPI, height_ratios=(3, 2, 2), layout="constrained"
    )
    rates = goodput_mb_per_s(rows)
    now = [moved_bytes(row) / max(row["elapsed_s"], 1e-9) / 1e6 for row in rows]
    top.plot(at_s, now, color=BLUE, alpha=0.3, linewidth=0.8, label="of each sample")
    top.plot(at_s, rates, color=BLUE, linewidth=1.8, label="over the last second")
    total_bytes, span_s = sum(map(moved_bytes, rows)), at_s[-1] - at_s[0] + rows[0]["elapsed_s"]
    mean = total_bytes / max(span_s, 1e-9) / 1e6
    top.axhline(mean, color=GREY, linestyle="--", linewidth=1, label=f"mean, {mean:,.1f} MB/s")
    top.set_ylabel("goodput, MB/s")
    title = f"{Path(path).name}: {total_bytes / 1e9:,.2f} GB in {span_s:,.1f} s"
    top.set_title(title, loc="left", parse_math=False)
    middle.step(at_s, [row["window"] for row in rows], where="pre", color=ORANGE, linewidth=1.8, label="window")
    middle.step(at_s, [row["in_flight"] for row in rows], where="pre", color=GREEN, linewidth=1, label="in flight")
    middle.set_ylabel("requests")
    for name, color, label in (("rtt_s", RED, "RTT"), ("min_rtt_s", GREY, "least RTT")):
        known = [(row["at_s"], 1e3 * row[name]) for row in rows if row.get(name)]
        if known:
            bottom.plot(*zip(*known, strict=True), color=color, linewidth=1.5, label=label)
    if not bottom.lines:
        bottom.text(0.5, 0.5, "unknown: the kernel didn't say", ha="center", transform=bottom.transAxes)
    bottom.set_ylabel("round-trip time, ms")
    bottom.set_xlabel("time, s")
    shown = bands(rows)
    for axes in (top, middle, bottom):
        for begins_s, ends_s, limit in shown:
            axes.axvspan(begins_s, ends_s, color=_LIMITS.get(limit, GREY), alpha=0.22, linewidth=0)
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
        axes.set_xlim(shown[0][0], shown[-1][1])
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(loc="upper right", fontsize="small", ncols=3)
    patches = [
        Patch(facecolor=_LIMITS.get(limit, GREY), alpha=0.4, edgecolor=GREY, label=_LIMIT_NAMES.get(limit, limit))
        for limit in dict.fromkeys(limit for _, _, limit in shown)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), title="what limits")
    save(figure, out)


def draw_report(report: Report, out: str) -> None:
    """Goodput by window and by part size, beside this machine's ceilings.

    Raises:
        UsageError: the picture can't be written.
    """
    import matplotlib.pyplot as plt

    figure, (by_window, by_size) = plt.subplots(
        1, 2, sharey=True, figsize=SIZE_IN, dpi=DPI, width_ratios=(3, 2), layout="constrained"
    )
    _curve(by_window, report.windows, lambda level: level.window)
    by_window.set_xlabel("requests in flight")
    by_window.set_ylabel("goodput, MB/s")
    knee = report.knee
    by_window.plot(knee.window, knee.goodput_bytes_per_s / 1e6, "o", color=RED, markersize=11, fillstyle="none",
                   label=f"knee: {knee.window}")  # fmt: skip
    sizes = sorted(report.part_sizes, key=lambda level: level.part_bytes)
    if sizes:
        _curve(by_size, sizes, lambda level: level.part_bytes // MIB)
    by_size.set_xlabel(f"part size, MiB ({knee.window} in flight)")
    most = max(level.goodput_bytes_per_s for level in (*report.windows, *sizes)) / 1e6
    for name, rate, color in _ceilings(report):
        # A ceiling far above says nothing, and would press the curve flat.
        if rate / 1e6 <= 2 * most:
            for axes in (by_window, by_size):
                axes.axhline(rate / 1e6, color=color, linestyle="--", label=f"{name}: {rate / 1e6:,.0f} MB/s")
    by_window.set_ylim(bottom=0)
    by_window.legend(loc="lower right", fontsize="small")
    figure.suptitle(f"{report.target}\n{report.verdict.sentence}", fontsize="medium", parse_math=False, wrap=True)
    save(figure, out)


def _curve(axes: Any, levels: Sequence[Measured], place: Callable[[Measured], int]) -> None:
    places = [place(level) for level in levels]
    rates = [level.goodput_bytes_per_s / 1e6 for level in levels]
    errors = [level.error * rate for level, rate in zip(levels, rates, strict=True)]
    axes.errorbar(places, rates, yerr=errors, color=BLUE, marker="o", capsize=3, label="goodput")
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [str(each) for each in places])
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def _ceilings(report: Report) -> Iterator[tuple[str, float, str]]:
    machine = report.machine
    if machine.disk_bytes_per_s is not None:
        yield "disk, cold" if machine.is_disk_cold else "file, not cold", machine.disk_bytes_per_s, ORANGE
    if machine.loopback_bytes_per_s is not None:
        yield "loopback", machine.loopback_bytes_per_s, GREEN

