"""What a tree becomes on a store: objects, parts, requests. Counted while it is surveyed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastput.engine.plan import SINGLE_PUT_BYTES, make_plan
from fastput.limits import AMAZON_S3
from fastput.tree.plan.estimate import Work
from fastput.tree.survey.facts import Survey
from fastput.tuner import Settings


class Counter:
    """
    Args:
        settings: of the transfer: its part size.
        memory_bytes: that parts in flight may take.
    """

    def __init__(self, settings: Settings, memory_bytes: int) -> None:
        self.in_parts = self.parts = 0
        self._settings = settings
        self._memory_bytes = memory_bytes

    def add(self, sizes: NDArray[np.int64]) -> None:
        """Some files.

        Raises:
            UsageError: one that is larger than an object can be, or parts that the memory can't hold.
        """
        least_bytes = min(SINGLE_PUT_BYTES, self._settings.part_bytes or AMAZON_S3.min_part_bytes)
        for size_bytes in sizes[sizes > least_bytes].tolist():
            plan = make_plan(size_bytes, self._settings, self._memory_bytes)
            if plan.is_multipart:
                self.in_parts += 1
                self.parts += -(-size_bytes // plan.part_bytes)

    def work(self, found: Survey) -> Work:
        """After all of them."""
        return Work(found.total, found.sizes, self.in_parts, self.parts)
