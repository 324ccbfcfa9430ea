"""What may change while a transfer runs. The engine reads the current value each time it has room for a part."""

from __future__ import annotations

from dataclasses import dataclass

from fastput.limits import DEFAULT_WINDOW


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Attributes:
        window: the most requests in flight.
        part_bytes: the size of parts that aren't planned yet; None leaves it to the file's size.
        sheds: what is in flight beyond the window is taken back now, and sent again later.
    """

    window: int = DEFAULT_WINDOW
    part_bytes: int | None = None
    sheds: bool = False
