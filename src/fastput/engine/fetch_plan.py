"""How an object is cut into ranges to be fetched, and what an answer to one of them means: pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from fastput.answers import was_replaced
from fastput.engine.request import object_path
from fastput.engine.retry import RetryPolicy
from fastput.engine.verdict import Verdict, judge_failure, judge_refusal
from fastput.errors import FastputError, StoreError
from fastput.limits import DEFAULT_PART_BYTES, DEFAULT_WINDOW, MIB
from fastput.model import Endpoint, ObjectUri, Part
from fastput.native.landing import Landing
from fastput.transport import Failure, Fetch, Response, Ticket

# Of a connection, in an object that is cut finer: when there is nothing left to begin, they end one by one.
_RANGES_EACH = 4


def range_bytes(size_bytes: int) -> int:
    """The length of an object's ranges: the same in every run.

    A connection waits for a round trip between two, and what hasn't all arrived is fetched anew by a later run. Memory
    doesn't depend on it.
    """
    share_bytes = -(-size_bytes // (_RANGES_EACH * DEFAULT_WINDOW * MIB)) * MIB
    return max(MIB, min(share_bytes, DEFAULT_PART_BYTES))


def cut(size_bytes: int, length_bytes: int) -> Iterator[Part]:
    """The ranges of an object, numbered from 1."""
    for number, offset_bytes in enumerate(range(0, size_bytes, length_bytes), start=1):
        yield Part(number, offset_bytes, min(length_bytes, size_bytes - offset_bytes))


@dataclass(eq=False)
class Fetching:
    """A range that is fetched: under way, or waiting for another try.

    Attributes:
        attempt: tries since something of it arrived.
        throttled: how often the store asked for patience since then.
        cancels: how often it was too late for us.
        asked_bytes, asked_at_s, answered_before: of the newest try: what it asked for, when, and how many answers there
            had been.
    """

    part: Part
    landing: Landing
    attempt: int = 0
    throttled: int = 0
    cancels: int = 0
    asked_bytes: int = 0
    asked_at_s: float = 0.0
    answered_before: int = 0
    ticket: Ticket | None = field(default=None, repr=False)


def fetch_request(
    endpoint: Endpoint, uri: ObjectUri, etag: str, version_id: str | None, fetching: Fetching
) -> Fetch:
    """What is left of a range, of this object and no other. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
    version = f"?versionId={quote(version_id, safe='')}" if version_id else ""
    first_byte = fetching.part.offset_bytes + fetching.landing.received_bytes
    return Fetch(f"{object_path(endpoint, uri)}{version}", (("if-match", etag),) if etag else (), first_byte)


def judge_fetch(
    uri: ObjectUri, endpoint: Endpoint, part: Part, etag: str, response: Response, has_answered: bool
) -> Verdict | None:
    """Why a range isn't there; None: nothing in the answer says so.

    Args:
        has_answered: the endpoint has answered before: then TLS that fails is a disturbance, not a wrong set-up.
    """
    if response.failure is Failure.BODY:
        return Verdict(FastputError(f"{uri}: could not write what was read: {response.reason}"))
    if response.failure is not None:
        return judge_failure(uri, endpoint, None, response, has_answered)
    action = f"read bytes {part.offset_bytes} to {part.offset_bytes + part.length_bytes - 1}"
    if response.status in (200, 206):
        if etag and response.headers.get("etag", etag) != etag:
            return Verdict(was_replaced(uri))
        if not response.reason:
            return None
        text = f"{uri}: could not {action}: {response.reason}"
        return Verdict(StoreError(text, bucket=uri.bucket, key=uri.key, status=response.status))
    if response.status == 412:
        return Verdict(was_replaced(uri))
    return judge_refusal(uri, action, None, response)


def retry_delay_s(
    fetching: Fetching, response: Response, verdict: Verdict, retry: RetryPolicy, uniform: float
) -> float | None:
    """How long to wait before what is left is asked for again; None: give up. Counts what has happened in `fetching`.

    Whatever brought something is no failed attempt: a link that breaks now and then is only slow.
    """
    if fetching.landing.left_bytes < fetching.asked_bytes:
        fetching.attempt, fetching.throttled = 1, 0
    if not verdict.error.is_temporary:
        return None
    delay_s: float | None
    if response.failure is Failure.CANCELLED:  # by us, because it took too long
        delay_s = 0.0 if fetching.attempt < retry.max_attempts else None
    elif response.failure is not None:
        delay_s = retry.lost_link.delay_s(fetching.attempt, uniform)
    elif verdict.is_throttling:
        # It isn't the range's fault: patience for it is counted apart from its attempts.
        fetching.throttled += 1
        fetching.attempt -= 1
        delay_s = retry.throttled.delay_s(fetching.throttled, uniform)
    else:
        delay_s = retry.delay_s(fetching.attempt, uniform)
    return None if delay_s is None else max(delay_s, verdict.retry_after_s)
