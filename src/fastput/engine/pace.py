"""When a request takes too long: learned from those before it; pure.

Two signs, neither of which a link that has become slow for all shows:
- it was overtaken: many requests that were sent after it have been answered;
- at the end, when nothing is left to send: it takes a multiple of what the others took.

S3 itself lets about one request in a thousand wait for seconds, and answers its repetition at once.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html#optimizing-performance-guidelines-retry
"""

from __future__ import annotations

from collections import deque
from statistics import median

_LEAST_SAMPLES = 4
# A request is called slow at three times what is usual; never below three seconds: on a busy machine requests take
# one or two by themselves, and the stalls that this is for take five and more.
_SLOW_FACTOR = 3.0
_LEAST_S = 3.0
# Below this rate the runtime ends connections by itself; an answer that drips escapes it.
_HOPELESS_BYTES_PER_S = 50e3
_HOPELESS_S = 60.0
_HOPELESS_FACTOR = 10.0
# How often the window was answered since.
_OVERTAKEN_WINDOWS = 2


class Pace:
    """Of one way to a store. durations are those of the newest answers."""

    def __init__(self) -> None:
        self.answered_count = 0
        self._durations: deque[tuple[int, float]] = deque(maxlen=64)

    def note(self, length_bytes: int, duration_s: float) -> None:
        """A request of this size was taken."""
        self.answered_count += 1
        self._durations.append((length_bytes, duration_s))

    def usual_s(self, length_bytes: int, least_samples: int = _LEAST_SAMPLES) -> float | None:
        """What requests of about this size take; None: not known yet. Smaller ones don't tell of larger."""
        like = [duration_s for known_bytes, duration_s in self._durations if 2 * known_bytes >= length_bytes]
        return median(like) if len(like) >= least_samples else None

    def is_overdue(
        self, length_bytes: int, elapsed_s: float, answered_since: int, window: int, is_tail: bool
    ) -> bool:
        """Whether a request that was sent elapsed_s ago should be sent a second time.

        Args:
            answered_since: how many requests were answered since it was sent.
            is_tail: there is nothing else to send.
        """
        known_s = self.usual_s(length_bytes, 1)
        if elapsed_s >= max(_HOPELESS_S, length_bytes / _HOPELESS_BYTES_PER_S, _HOPELESS_FACTOR * (known_s or 0.0)):
            return True
        usual_s = known_s if is_tail else self.usual_s(length_bytes)
        if usual_s is None or elapsed_s < max(_LEAST_S, _SLOW_FACTOR * usual_s):
            return False
        return is_tail or answered_since >= _OVERTAKEN_WINDOWS * window
