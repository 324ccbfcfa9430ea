"""The table of prices that ships, or one of one's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from fastput.errors import UsageError
from fastput.limits import GIB


@dataclass(frozen=True, slots=True)
class ClassPrices:
    """Of a storage class; see prices.toml.

    Attributes:
        storage: (up to so many GiB in all, price of a GiB a month), ascending; infinity is the last.
    """

    storage: tuple[tuple[float, float], ...]
    per_1000_requests: float
    per_1000_objects: float = 0.0
    min_object_bytes: int = 0
    own_overhead_bytes: int = 0
    standard_overhead_bytes: int = 0
    min_days: int = 0

    def month(self, size_bytes: float) -> float:
        """The price of keeping so many bytes for a month."""
        price, below = 0.0, 0.0
        for up_to_gib, per_gib in self.storage:
            part = min(size_bytes, up_to_gib * GIB) - below
            if part <= 0:
                break
            price += part / GIB * per_gib
            below += part
        return price


@dataclass(frozen=True, slots=True)
class Device:
    """What is posted. days: without the copying, at both ends."""

    name: str
    capacity_bytes: float
    bytes_per_s: float
    days: float

    def takes_s(self, size_bytes: float) -> float:
        """From the first byte that is copied to the last one at the other end; several go together, copied in turn."""
        return self.days * 86_400 + 2 * size_bytes / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Prices:
    as_of: str
    region: str
    currency: str
    classes: Mapping[str, ClassPrices]
    devices: tuple[Device, ...]


def load_prices(path: str | None = None) -> Prices:
    """
    Args:
        path: None: the table that ships.

    Raises:
        UsageError: it can't be read, or isn't one.
    """
    try:
        if path is None:
            text = resources.files("fastput.tree.plan").joinpath("prices.toml").read_text(encoding="utf-8")
        else:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        document = tomllib.loads(text)
        classes = {name: _class(entry) for name, entry in document["classes"].items()}
        if "STANDARD" not in classes:
            raise KeyError("classes.STANDARD")
        devices = tuple(
            Device(name, float(entry["capacity_bytes"]), float(entry["bytes_per_s"]), float(entry["days"]))
            for name, entry in document.get("devices", {}).items()
        )
        return Prices(str(document["as_of"]), str(document["region"]), str(document["currency"]), classes, devices)
    except OSError as error:
        raise UsageError(f"the prices {path} can't be read: {error.strerror}") from None
    except KeyError as error:
        raise UsageError(f"the prices {path} say nothing of {error}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"the prices {path} can't be read: {error}") from None


def _class(entry: Mapping[str, Any]) -> ClassPrices:
    steps = tuple((float(up_to) or float("inf"), float(price)) for up_to, price in entry["storage"])
    if not steps or steps[-1][0] != float("inf") or [*steps] != sorted(steps):
        raise ValueError("storage has to ascend, and to end with 0: no end")
    return ClassPrices(
        storage=steps,
        per_1000_requests=float(entry["requests"]),
        per_1000_objects=float(entry.get("objects", 0.0)),
        min_object_bytes=int(entry.get("min_object_bytes", 0)),
        own_overhead_bytes=int(entry.get("own_overhead_bytes", 0)),
        standard_overhead_bytes=int(entry.get("standard_overhead_bytes", 0)),
        min_days=int(entry.get("min_days", 0)),
    )
