"""A picture of what a survey found: how many files, and how many bytes, by size and by extension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastput.client.plotting import BLUE, DPI, ORANGE, SIZE_IN, save
from fastput.text import printable
from fastput.tree.survey.facts import Share, Survey
from fastput.units import format_size

_SHOWN = 12


def draw_survey(found: Survey, out: str) -> None:
    """
    Raises:
        UsageError: the picture can't be written.
    """
    import matplotlib.pyplot as plt

    figure, (by_size, by_extension) = plt.subplots(2, 1, figsize=SIZE_IN, dpi=DPI, layout="constrained")
    powers = found.sizes.powers if found.sizes is not None else ()
    _bars(by_size, ["0", *(format_size(2.0**power) for power in range(1, len(powers)))], powers)
    by_size.set_xlabel("size, below")
    kinds = list(found.extensions.items())[:_SHOWN]
    _bars(by_extension, [printable(name) or "(none)" for name, _ in kinds], [share for _, share in kinds])
    by_extension.set_xlabel("extension")
    total = f"{found.total.files:,} files, {format_size(found.total.size_bytes)}"
    figure.suptitle(f"{', '.join(map(printable, found.roots))}: {total}", parse_math=False, wrap=True)
    save(figure, out)


def _bars(axes: Any, names: Sequence[str], shares: Sequence[Share]) -> None:
    """Files to the left axis, bytes to the right one."""
    other = axes.twinx()
    places = range(len(shares))
    files = axes.bar([place - 0.2 for place in places], [share.files for share in shares], 0.4, color=BLUE)
    gigabytes = [share.size_bytes / 1e9 for share in shares]
    sizes = other.bar([place + 0.2 for place in places], gigabytes, 0.4, color=ORANGE)
    axes.set_xticks(places, names, rotation=45, ha="right", parse_math=False)
    axes.set_ylabel("files")
    other.set_ylabel("GB")
    axes.grid(alpha=0.3, axis="y")
    axes.legend([files, sizes], ["files", "bytes"], loc="upper right", fontsize="small")
