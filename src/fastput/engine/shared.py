"""What all uploads of an engine have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastput.engine.budget import Budget
from fastput.engine.links import Links
from fastput.engine.loop import Loop
from fastput.engine.retry import RetryPolicy
from fastput.limits import StoreLimits
from fastput.store import Store
from fastput.tuner import Settings


@dataclass
class Shared:
    """Belongs to the loop's thread, but for store and links, which control threads use.

    Attributes:
        pump: sends whatever there is room for; to be called when room was made or work was found.
        in_flight: requests, and reads into memory, that count in the window.
    """

    loop: Loop
    store: Store
    links: Links
    limits: StoreLimits
    settings: Settings
    retry: RetryPolicy
    budget: Budget
    pump: Callable[[], None]
    in_flight: int = 0
    sent_bytes: int = 0
    resent_bytes: int = 0
