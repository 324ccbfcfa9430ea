"""When to try a request again: decided purely, from the attempt and a random number."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Full jitter: a uniform delay below an exponential bound.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    max_attempts: int = 6
    base_s: float = 0.25
    cap_s: float = 20.0
    silence_s: float = 60.0
    """How long an endpoint that has answered before may answer nobody."""

    def delay_s(self, attempt: int, uniform: float) -> float | None:
        """How long to wait after a failed attempt (from 1); None: give up. uniform is random from [0, 1)."""
        if attempt >= self.max_attempts:
            return None
        return uniform * float(min(self.cap_s, self.base_s * 2 ** (attempt - 1)))

    @property
    def first_contact(self) -> RetryPolicy:
        """For an endpoint that never answered: it is more likely wrong than busy."""
        return replace(self, max_attempts=min(self.max_attempts, 3))

    @property
    def lost_link(self) -> RetryPolicy:
        """For an endpoint that has answered and doesn't any more: links drop for half a minute."""
        return replace(self, max_attempts=2 * self.max_attempts, base_s=2 * self.base_s, cap_s=self.cap_s / 2)

    @property
    def throttled(self) -> RetryPolicy:
        """For what the store asked us to send later: that isn't the request's fault. Some minutes."""
        return replace(self, max_attempts=4 * self.max_attempts, base_s=2 * self.base_s)
