"""What a transfer settled on, for the next one to the same endpoint. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Settled:
    """
    Attributes:
        window: requests in flight.
        goodput_bytes_per_s: that they gave.
    """

    window: int
    goodput_bytes_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Settled:
        """
        Raises:
            ValueError: this isn't what to_dict() made.
        """
        window, goodput_bytes_per_s = document.get("window"), document.get("goodput_bytes_per_s")
        if type(window) is not int or window < 1:
            raise ValueError(f"a window of {window!r}")
        if type(goodput_bytes_per_s) is not float or goodput_bytes_per_s <= 0:
            raise ValueError(f"a goodput of {goodput_bytes_per_s!r}")
        return cls(window, goodput_bytes_per_s)
