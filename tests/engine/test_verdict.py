"""What an answer to a part means."""

from __future__ import annotations

import pytest

from fastput.engine.verdict import Verdict, judge
from fastput.errors import (
    CredentialsError,
    EndpointError,
    FastputError,
    IntegrityError,
    ObjectExists,
    StoreError,
    UploadGone,
    UsageError,
)
from fastput.model import Endpoint
from fastput.transport import Failure, Response
from tests.engine.harness import URI

ENDPOINT = Endpoint("https", "store", 9000, "/bucket", "us-east-1")


def verdict(
    status: int = 0,
    code: str = "",
    headers: dict[str, str] | None = None,
    failure: Failure | None = None,
    part: int | None = 3,
    has_answered: bool = True,
) -> Verdict:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b""
    response = Response(status, headers or {}, body, failure, "because")
    return judge(URI, ENDPOINT, part, response, has_answered)


# status, code: (error, is tried again, asks for less, credentials are renewed)
ANSWERS: dict[tuple[int, str], tuple[type[FastputError], bool, bool, bool]] = {
    (503, "SlowDown"): (StoreError, True, True, False),
    (503, "ServiceUnavailable"): (StoreError, True, True, False),
    (503, ""): (StoreError, True, True, False),
    (429, ""): (StoreError, True, True, False),
    (429, "TooManyRequests"): (StoreError, True, True, False),
    (500, "InternalError"): (StoreError, True, False, False),
    (500, ""): (StoreError, True, False, False),
    (502, ""): (StoreError, True, False, False),
    (504, ""): (StoreError, True, False, False),
    (408, ""): (StoreError, True, False, False),
    (400, "RequestTimeout"): (StoreError, True, False, False),
    (400, "BadDigest"): (IntegrityError, True, False, False),
    (400, "XAmzContentChecksumMismatch"): (IntegrityError, True, False, False),
    (400, "IncompleteBody"): (StoreError, True, False, False),
    (400, "ExpiredToken"): (CredentialsError, True, False, True),
    (403, "ExpiredToken"): (CredentialsError, True, False, True),
    (400, "TokenRefreshRequired"): (CredentialsError, True, False, True),
    (403, "RequestTimeTooSkewed"): (CredentialsError, True, False, False),
    (403, "InvalidAccessKeyId"): (CredentialsError, False, False, False),
    (403, "SignatureDoesNotMatch"): (CredentialsError, False, False, False),
    (403, "AccessDenied"): (StoreError, False, False, False),
    (403, ""): (StoreError, False, False, False),
    (404, "NoSuchUpload"): (UploadGone, False, False, False),
    (412, "PreconditionFailed"): (ObjectExists, False, False, False),
    (412, ""): (ObjectExists, False, False, False),
    (400, "InvalidRequest"): (StoreError, False, False, False),
    (400, "EntityTooLarge"): (UsageError, False, False, False),
    (501, "NotImplemented"): (StoreError, False, False, False),
    (507, ""): (StoreError, False, False, False),
    (404, ""): (StoreError, False, False, False),
    (100, ""): (StoreError, False, False, False),
    (304, ""): (StoreError, False, False, False),
}


@pytest.mark.parametrize(("status", "code"), ANSWERS)
def test_answers(status: int, code: str) -> None:
    error_class, is_temporary, is_throttling, is_expired = ANSWERS[status, code]
    found = verdict(status, code)
    assert type(found.error) is error_class
    assert (found.error.is_temporary, found.is_throttling, found.is_expired) == (
        is_temporary, is_throttling, is_expired,
    )  # fmt: skip
    assert (found.error.status, found.error.part) == (status, 3)


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_success_without_an_etag_is_none_and_may_be_one_the_next_time(status: int) -> None:
    found = verdict(status)
    assert isinstance(found.error, StoreError)
    assert found.error.is_temporary
    assert not found.is_throttling
    assert found.error.part == 3


@pytest.mark.parametrize("failure", sorted(set(Failure) - {Failure.CREDENTIALS}, key=str))
@pytest.mark.parametrize("has_answered", [True, False])
def test_no_answer(failure: Failure, has_answered: bool) -> None:
    found = verdict(failure=failure, has_answered=has_answered)
    assert isinstance(found.error, EndpointError)
    assert found.error.part == 3
    assert found.error.is_temporary == (failure is not Failure.TLS or has_answered)
    assert found.is_throttling == (failure is Failure.TIMEOUT)
    assert "https://store:9000" in str(found.error)
    assert "because" in str(found.error)


def test_no_credentials_are_not_waited_for() -> None:
    found = verdict(failure=Failure.CREDENTIALS)
    assert isinstance(found.error, CredentialsError)
    assert not found.error.is_temporary


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0), ("5", 5.0), ("2.5", 2.5), ("60", 60.0), ("86400", 60.0), ("1e400", 60.0), ("-3", 0.0), ("", 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("nan", 0.0), ("inf", 60.0), ("-inf", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_heeded_within_reason(header: str, seconds: float) -> None:
    assert verdict(503, "SlowDown", {"retry-after": header}).retry_after_s == seconds


def test_a_put_object_has_no_part() -> None:
    for found in (verdict(503, part=None), verdict(failure=Failure.CLOSED, part=None), verdict(200, part=None)):
        assert found.error.part is None
        assert "part" not in found.error.message
