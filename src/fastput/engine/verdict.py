"""What an answer to a part means: pure."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum

from fastput.answers import EXPIRED_CREDENTIALS, is_throttling, parse_answer, to_error, unreachable
from fastput.engine.resume import is_md5
from fastput.errors import CredentialsError, FastputError, StoreError
from fastput.model import Endpoint, ObjectUri
from fastput.transport import Failure, Response

# A store that asks for patience is given it, within reason.
_MAX_RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Attributes:
        error: what to raise if it isn't tried again; its is_temporary says whether that may help.
        is_throttling: the store, or the link, asks for fewer requests.
        is_expired: the credentials have to be renewed.
        retry_after_s: the least that the store wants us to wait.
    """

    error: FastputError
    is_throttling: bool = False
    is_expired: bool = False
    retry_after_s: float = 0.0


def judge(uri: ObjectUri, endpoint: Endpoint, part: int | None, response: Response, has_answered: bool) -> Verdict:
    """Why a request's answer isn't a success.

    Args:
        part: None for a PutObject.
        has_answered: the endpoint has answered before: then TLS that fails is a disturbance, not a wrong set-up.
    """
    if response.failure is not None:
        return judge_failure(uri, endpoint, part, response, has_answered)
    action = f"send part {part}" if part else "send it"
    if 200 <= response.status < 300:
        text = f"{uri}: could not {action}: the answer has no ETag: is this an S3 store?"
        return Verdict(StoreError(text, status=response.status, part=part, is_temporary=True))
    return judge_refusal(uri, action, part, response)


def judge_failure(
    uri: ObjectUri, endpoint: Endpoint, part: int | None, response: Response, has_answered: bool
) -> Verdict:
    """Why there is no answer. Arguments as judge()'s."""
    if response.failure is Failure.CREDENTIALS:
        return Verdict(CredentialsError(f"{uri}: no credentials: {response.reason}"))
    error = unreachable(uri, endpoint.url, response.reason, response.failure is Failure.TLS)
    error.part = part
    error.is_temporary |= has_answered
    # The runtime ends a connection on which nothing has moved for 30 s: too many on a thin link.
    return Verdict(error, is_throttling=response.failure is Failure.TIMEOUT)


def judge_refusal(uri: ObjectUri, action: str, part: int | None, response: Response) -> Verdict:
    """What an answer says that isn't a success. action: what was to be done, for people."""
    answer = parse_answer(response.status, response.headers, response.body)
    retry_after_s = 0.0
    with contextlib.suppress(ValueError):  # it may be a date, which nobody sends here
        retry_after_s = min(_MAX_RETRY_AFTER_S, max(0.0, float(response.headers.get("retry-after", "0"))))
    return Verdict(
        to_error(answer, uri, action, part=part),
        is_throttling=is_throttling(answer),
        is_expired=answer.code in EXPIRED_CREDENTIALS,
        retry_after_s=retry_after_s,
    )


class EtagSays(Enum):
    """What an ETag tells of the MD5 of what was sent."""

    SAME = "same"
    OTHER = "other"
    NOTHING = "nothing"


def etag_says(md5: str, response: Response) -> EtagSays:
    """Those of objects under keys of KMS or the customer's are none of their bytes."""
    etag = response.headers["etag"].strip('"').lower()
    is_opaque = "x-amz-server-side-encryption-customer-algorithm" in response.headers
    is_opaque |= response.headers.get("x-amz-server-side-encryption", "").startswith("aws:kms")
    if is_opaque or not is_md5(etag):
        return EtagSays.NOTHING
    return EtagSays.SAME if etag == md5 else EtagSays.OTHER
