"""Answers of stores, sane and not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput import errors
from fastput.answers import StoreAnswer, is_retryable, parse_answer, to_error
from fastput.model import ObjectUri

URI = ObjectUri("bucket", "key")
statuses = st.integers(100, 599)
fragments = st.lists(
    st.sampled_from([b"<?xml version='1.0'?>", b"<Error>", b"</Error>", b"<Code>", b"</Code>", b"NoSuchKey", b"&",
                     b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"\xff", b"\x00", b" ", b"<", b"]]>", b"<!--"])
).map(b"".join)  # fmt: skip


@given(statuses, st.dictionaries(st.text(), st.text()), st.binary() | fragments)
def test_nothing_makes_it_raise(status: int, headers: dict[str, str], body: bytes) -> None:
    answer = parse_answer(status, headers, body)
    assert answer.status == status
    assert isinstance(is_retryable(answer), bool)
    error = to_error(answer, URI, "send it", part=3)
    assert isinstance(error, errors.FastputError)
    assert (error.bucket, error.key, error.part, error.status) == ("bucket", "key", 3, status)


@pytest.mark.parametrize("encoding", ["nonsense", "utf-7", "utf-16", "latin-1", "x" * 300, "utf-32"])
def test_encodings_that_nobody_sends(encoding: str) -> None:
    parse_answer(400, {}, f"<?xml version='1.0' encoding='{encoding}'?><Error><Code>A</Code></Error>".encode())


def test_a_billion_laughs() -> None:
    entities = "".join(f"<!ENTITY a{n + 1} '{f'&a{n};' * 10}'>" for n in range(20))
    body = f"<!DOCTYPE x [<!ENTITY a0 'ha'>{entities}]><Error><Code>&a20;</Code></Error>"
    assert parse_answer(400, {}, body.encode()).code == ""


def test_s3s_own_document() -> None:
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>AuthorizationHeaderMalformed</Code>
<Message>The region is wrong &amp; all</Message><Region>eu-west-1</Region><RequestId>R1</RequestId></Error>"""
    answer = parse_answer(400, {"x-amz-request-id": "R2"}, body)
    assert answer == StoreAnswer(
        400, "AuthorizationHeaderMalformed", "The region is wrong & all", request_id="R1", region="eu-west-1"
    )
    bare = parse_answer(301, {"x-amz-request-id": "R2", "x-amz-bucket-region": "eu-west-1"}, b"")
    assert bare == StoreAnswer(301, request_id="R2", region="eu-west-1")


CLASSES = [
    (404, "NoSuchBucket", errors.NoSuchBucket),
    (403, "InvalidAccessKeyId", errors.CredentialsError),
    (403, "SignatureDoesNotMatch", errors.CredentialsError),
    (400, "ExpiredToken", errors.CredentialsError),
    (403, "RequestTimeTooSkewed", errors.CredentialsError),
    (301, "PermanentRedirect", errors.WrongRegion),
    (307, "TemporaryRedirect", errors.WrongRegion),
    (400, "AuthorizationHeaderMalformed", errors.WrongRegion),
    (400, "BadDigest", errors.IntegrityError),
    (400, "InvalidDigest", errors.IntegrityError),
    (400, "XAmzContentChecksumMismatch", errors.IntegrityError),
    (412, "PreconditionFailed", errors.ObjectExists),
    (409, "ConditionalRequestConflict", errors.ObjectExists),
    (403, "AccessDenied", errors.StoreError),
    (403, "", errors.StoreError),
    (503, "SlowDown", errors.StoreError),
    (404, "NoSuchUpload", errors.UploadGone),
    (400, "KeyTooLongError", errors.UsageError),
    (400, "EntityTooLarge", errors.UsageError),
    (500, "InternalError", errors.StoreError),
]


@pytest.mark.parametrize(("status", "code", "error_class"), CLASSES)
def test_classes(status: int, code: str, error_class: type[errors.FastputError]) -> None:
    error = to_error(StoreAnswer(status, code, "It says so.", "R1"), URI, "send part 3", part=3)
    assert type(error) is error_class
    assert "s3://bucket/key" in str(error)
    assert "\n" not in str(error)
    assert (error.code, error.request_id) == (code or None, "R1")


def test_a_message_of_several_lines_stays_one() -> None:
    # Was a bug: the store's message went through with its line ends.
    assert "\n" not in str(to_error(StoreAnswer(400, "Odd", "two\nlines"), URI, "send it"))


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. InvalidDigest is SeaweedFS's answer to a body
# whose CRC isn't the trailer's; ours are always well-formed, so that sending again is right.
# Was a bug: InvalidDigest was final, so that SeaweedFS never got a damaged part a second time.
@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "BadDigest",
                                  "InvalidDigest", "XAmzContentChecksumMismatch", "IncompleteBody"])  # fmt: skip
def test_codes_that_are_tried_again(code: str) -> None:
    assert is_retryable(StoreAnswer(400, code))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_statuses_that_are_tried_again(status: int) -> None:
    assert is_retryable(StoreAnswer(status))


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (404, "NoSuchUpload"), (412, "PreconditionFailed"), (400, ""), (301, ""), (501, "")],
)
def test_what_is_final(status: int, code: str) -> None:
    assert not is_retryable(StoreAnswer(status, code))
