"""What a store's error answer means: parsed, named, and worth another try or not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastput.errors import (
    CredentialsError,
    EndpointError,
    FastputError,
    IntegrityError,
    NoSuchBucket,
    ObjectExists,
    StoreError,
    UploadGone,
    UsageError,
    WrongRegion,
)
from fastput.model import ObjectUri

# S3's own documents have less than 1 KiB; what is longer is no <Error>, and not worth a tree in memory.
_MAX_DOCUMENT_BYTES = 256 << 10
_MAX_TEXT_CHARS = 500
_REGION_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """An answer that isn't a success."""

    status: int
    code: str = ""
    message: str = ""
    request_id: str | None = None
    region: str | None = None


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_CREDENTIALS = {
    "InvalidAccessKeyId": "the access key isn't known to the store",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "InvalidToken": "the session token isn't valid",
    "RequestTimeTooSkewed": "this machine's clock is too far from the store's",
    "NotSignedUp": "the account isn't signed up for S3",
}
_INTEGRITY = {"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch", "InvalidPart"}
_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_RETRYABLE = {
    *("RequestTimeout", "SlowDown", "ServiceUnavailable", "InternalError", "Throttling", "OperationAborted"),
    # Signed anew: a request may have waited too long, and credentials are renewed.
    *("RequestTimeTooSkewed", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"),
    # The bytes are read and sent again.
    *("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "IncompleteBody"),
}
_RETRYABLE_STATUSES = {408, 429, 500, 502, 503, 504}
_THROTTLING = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests"}
EXPIRED_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}


def is_retryable(answer: StoreAnswer) -> bool:
    """Whether the same request may succeed later. A refused checksum may: the bytes are read again."""
    return answer.code in _RETRYABLE or answer.status in _RETRYABLE_STATUSES


def is_throttling(answer: StoreAnswer) -> bool:
    """Whether the store asks for fewer requests, rather than having failed at one."""
    return answer.code in _THROTTLING or (not answer.code and answer.status in (429, 503))


def asks_for_less(error: FastputError) -> bool:
    """The same of an exception."""
    return error.code in _THROTTLING or (not error.code and error.status in (429, 503))


def parse_answer(status: int, headers: Mapping[str, str], body: bytes) -> StoreAnswer:
    """Reads S3's <Error> document; whatever can't be read leaves its field empty. Header names in lower case."""
    fields: dict[str, str] = {}
    if len(body) <= _MAX_DOCUMENT_BYTES and body.lstrip()[:1] == b"<":
        from xml.etree import ElementTree

        try:
            fields = {node.tag.rpartition("}")[2]: (node.text or "") for node in ElementTree.fromstring(body)}
        except (ElementTree.ParseError, LookupError, ValueError):
            pass  # a proxy's page, an answer cut short, an encoding that nobody knows: the status has to do
    return StoreAnswer(
        status=status,
        code=fields.get("Code", ""),
        message=fields.get("Message", ""),
        request_id=fields.get("RequestId") or headers.get("x-amz-request-id"),
        region=fields.get("Region") or headers.get("x-amz-bucket-region"),
    )


def to_error(answer: StoreAnswer, uri: ObjectUri, action: str, part: int | None = None) -> FastputError:
    """The exception for an answer; action completes "could not ...", e.g. "send part 3"."""
    error_class: type[FastputError] = StoreError
    code = answer.code[:_MAX_TEXT_CHARS] or f"HTTP {answer.status}"
    said = f"{code}: {answer.message[:_MAX_TEXT_CHARS]}" if answer.message else code
    text = f"{uri}: could not {action}: the store says {said}"
    if answer.code == "NoSuchBucket":
        error_class = NoSuchBucket
        text = f"{uri}: there is no bucket {uri.bucket!r} at this endpoint: make it first, or check the name"
    elif answer.code in _CREDENTIALS:
        error_class = CredentialsError
        text = f"{uri}: {_CREDENTIALS[answer.code]} ({code}): renew or correct the credentials"
    elif answer.code in _REGION or answer.status in (301, 307):
        error_class = WrongRegion
        # Others may copy it into a shell.
        is_name = _REGION_NAME.fullmatch(answer.region or "") is not None
        where = f"region {answer.region}: give --region {answer.region}" if is_name else "another region"
        text = f"{uri}: the bucket lives in {where} ({code})"
    elif answer.code in _INTEGRITY:
        error_class = IntegrityError
        text = f"{uri}: the store received other bytes than were read and refused them ({said}); nothing was completed"
    elif answer.status in (409, 412) and answer.code in ("PreconditionFailed", "ConditionalRequestConflict", ""):
        error_class = ObjectExists
        text = f"{uri}: an object is there already, and --no-clobber was given"
    elif answer.code == "NoSuchUpload":
        error_class = UploadGone
        text = f"{uri}: could not {action}: the store has no such multipart upload any more: put it again to start anew"
    elif answer.status == 403:
        text = (
            f"{uri}: could not {action}: access denied ({said}): check the bucket's policy and the credentials' rights"
        )
    elif answer.code in ("InvalidBucketName", "KeyTooLongError", "EntityTooLarge", "InvalidStorageClass"):
        error_class = UsageError
    elif answer.status in _RETRYABLE_STATUSES:
        text += "; it kept saying so: try again later"
    return error_class(
        text,
        bucket=uri.bucket,
        key=uri.key,
        part=part,
        request_id=answer.request_id,
        status=answer.status,
        code=answer.code or None,
        is_temporary=is_retryable(answer),
    )


def was_replaced(uri: ObjectUri) -> StoreError:
    """The exception for an object that isn't what it was when its reading began."""
    text = f"{uri}: it was replaced while it was read: read it again"
    return StoreError(text, bucket=uri.bucket, key=uri.key, status=412)


def unreachable(uri: ObjectUri, endpoint: str, reason: str, is_tls: bool = False) -> EndpointError:
    """The exception for a request that got no answer; is_tls: because TLS failed, which trying again doesn't mend."""
    if is_tls:
        reason = f"TLS failed: {reason}: give the authority of its certificate with --ca-bundle, or"
    else:
        reason += ":"
    return EndpointError(
        f"{uri}: no answer from {endpoint}: {reason} check the endpoint, the network and the port",
        bucket=uri.bucket,
        key=uri.key,
        is_temporary=not is_tls,
    )
