"""What all pictures have in common. They are made with matplotlib, which is an extra: pip install 'fastput[plot]'."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastput.errors import UsageError

SIZE_IN = (11.0, 8.0)
DPI = 120
# Okabe and Ito's, which all can tell apart: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"


def check_plotting(out: str) -> None:
    """Whether a picture can be made, before anything else is done.

    Raises:
        UsageError: no matplotlib, or no place for the file.
    """
    try:
        import matplotlib
    except ImportError:
        raise UsageError("drawing needs matplotlib: pip install 'fastput[plot]'") from None
    if Path(out).suffix.lower() != ".png":
        raise UsageError(f"{out}: pictures are PNGs: give a name that ends in .png")
    parent = Path(out).parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"{out} can't be written: there is no directory {str(parent)!r} that we may write to")
    matplotlib.use("Agg")  # no display is needed


def save(figure: Any, out: str) -> None:
    """Writes a picture and forgets it.

    Raises:
        UsageError: it can't be written.
    """
    import matplotlib.pyplot as plt

    try:
        figure.savefig(out)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None
    finally:
        plt.close(figure)
