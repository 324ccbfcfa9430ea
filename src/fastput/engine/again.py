"""When a part is sent again: after a failure, or beside a request that takes too long. Decided from values.

docs/decisions/0007-faults.md has the reasons and the numbers.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from fastput.engine.buffered import BufferedPart
from fastput.engine.links import Link
from fastput.engine.pace import Pace
from fastput.engine.retry import RetryPolicy
from fastput.engine.verdict import Verdict
from fastput.model import Part
from fastput.native.slicer import PartBody
from fastput.transport import Failure, Response, Ticket


@dataclass(eq=False)
class Try:
    """One request of a part."""

    body: PartBody
    sent_at_s: float
    answered_before: int
    held_bytes: int  # of the engine's budget, besides what the part holds
    allowance_bytes: float = 0.0  # of rate.py, when it was sent
    ticket: Ticket | None = None


@dataclass(eq=False)
class Sending:
    """A part that was taken from the machine: being read, sent, or waiting for another try."""

    part: Part
    attempt: int = 0
    throttled: int = 0
    hedges: int = 0  # second requests of this attempt
    lost_since_s: float | None = None  # when its first request without an answer ended
    held_bytes: int = 0  # of the engine's budget
    has_slot: bool = False  # counts in the window without a request: it is read, or waits for the connection
    is_reading: bool = False
    is_confirmed: bool = False
    is_shed: bool = False  # it makes way, and is sent again later
    buffered: BufferedPart | None = None
    tries: list[Try] = field(default_factory=list)


def retry_delay_s(
    sending: Sending,
    response: Response,
    verdict: Verdict,
    link: Link,
    retry: RetryPolicy,
    now_s: float,
    uniform: float,
) -> float | None:
    """How long to wait before the part is sent again; None: give up. Counts what has happened in `sending`.

    Args:
        now_s: of the monotonic clock, as link.answered_at_s.
        uniform: random from [0, 1).
    """
    if not verdict.error.is_temporary:
        return None
    delay_s: float | None
    if response.failure is Failure.CANCELLED:  # by us, because it took too long
        delay_s = 0.0 if sending.attempt < retry.max_attempts else None
    elif verdict.is_throttling and response.failure is None:
        # It isn't the part's fault: patience for it is counted apart from its attempts.
        sending.throttled += 1
        sending.attempt -= 1
        delay_s = retry.throttled.delay_s(sending.throttled, uniform)
    elif response.failure is not None and link.has_answered:
        delay_s = _lost_link_delay_s(sending, link, retry.lost_link, now_s, uniform)
    elif response.failure is not None and link.is_reached and response.failure is not Failure.TLS:
        delay_s = retry.lost_link.delay_s(sending.attempt, uniform)
    elif response.failure is not None:
        delay_s = retry.first_contact.delay_s(sending.attempt, uniform)
    else:
        delay_s = retry.delay_s(sending.attempt, uniform)
    return None if delay_s is None else max(delay_s, verdict.retry_after_s)


def _lost_link_delay_s(
    sending: Sending, link: Link, policy: RetryPolicy, now_s: float, uniform: float
) -> float | None:
    """An endpoint that has answered, and now not this request.

    As long as it answers nobody, the link is down, and how often each part has met that says nothing: they wait
    together, for as long as it may be silent. If it answers others, the attempts count.
    """
    sending.lost_since_s = sending.lost_since_s or now_s
    is_silent = link.answered_at_s <= sending.lost_since_s
    if is_silent and now_s - sending.lost_since_s < policy.silence_s:
        return policy.delay_s(min(sending.attempt, policy.max_attempts - 1), uniform)
    return policy.delay_s(sending.attempt, uniform)


class Step(enum.Enum):
    """What to do about a part that is in flight."""

    WAIT = "wait"
    HEDGE = "send it a second time"
    CANCEL = "cancel it, and send it again"


def late_step(
    sending: Sending,
    pace: Pace,
    now_s: float,
    in_flight: int,
    window: int,
    is_tail: bool,
    is_put: bool,
    retry: RetryPolicy,
) -> Step:
    """
    Args:
        is_tail: there is nothing else to send.
        is_put: a PutObject: one that is sent twice makes two versions.
    """
    if sending.is_confirmed or not sending.tries:
        return Step.WAIT
    newest = sending.tries[-1]
    # Where the window is full at the end, all may be slow alike. One that is alone has nobody to be compared with.
    is_tail = in_flight == 1 or (is_tail and in_flight < window)
    # Twice as long each time: that others were quick doesn't prove that this can be.
    elapsed_s = (now_s - newest.sent_at_s) / 2 ** (sending.attempt + sending.hedges - 1)
    answered_since = pace.answered_count - newest.answered_before
    if not pace.is_overdue(sending.part.length_bytes, elapsed_s, answered_since, window, is_tail):
        return Step.WAIT
    if not is_put and not sending.hedges and in_flight < window:
        return Step.HEDGE
    # Where the window is full the late one makes room. The last attempt is left alone: no upload fails because we
    # ended it.
    return Step.CANCEL if sending.attempt < retry.max_attempts else Step.WAIT
