"""The control plane over botocore, the engine of boto3, with the user's ordinary configuration.

botocore is used without boto3's resource layer and s3transfer: the same sessions, profiles, SSO and endpoint rules,
ready 0.14 s earlier (docs/decisions/0003-control-plane.md). It is imported by the first call, on a thread
that may block, because that alone takes 0.25 s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastput.answers import StoreAnswer, to_error, unreachable
from fastput.errors import CredentialsError, EndpointError, FastputError, StoreError, UsageError
from fastput.model import (
    Checksum,
    ConfirmedPart,
    Credentials,
    Endpoint,
    ObjectAttributes,
    ObjectUri,
    TlsOptions,
)
from fastput.store.base import Completed, StoreOptions
from fastput.version import __version__

_T = TypeVar("_T")

_CONNECT_TIMEOUT_S = 5
# Completing 10,000 parts takes S3 minutes.
_READ_TIMEOUT_S = 300
_CHECKSUM_MEMBER = {Checksum.CRC64NVME: "ChecksumCRC64NVME", Checksum.CRC32C: "ChecksumCRC32C"}


class S3Store:
    """Any store that speaks S3. Safe for several threads."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._lock = threading.Lock()  # guards _client_ and _session_, made once by whoever comes first
        self._client_: Any = None
        self._session_: Any = None

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        # botocore knows the rules (virtual host or path style, dual stack, access points, redirects seen before):
        # it builds a HeadBucket, and the hook below takes it away just before it would be sent.
        found: list[tuple[str, str | bytes]] = []

        def take(request: Any, **kwargs: Any) -> Any:
            found.append((request.url, request.headers.get("Authorization", "")))
            from botocore.awsrequest import AWSResponse
            from botocore.compat import HTTPHeaders

            return AWSResponse(request.url, 200, HTTPHeaders(), _EmptyBody())

        def resolve() -> None:
            client = self._client()
            with self._lock:
                client.meta.events.register_first("before-send.s3.HeadBucket", take, unique_id="fastput-endpoint")
                try:
                    client.head_bucket(Bucket=uri.bucket)
                finally:
                    client.meta.events.unregister("before-send.s3.HeadBucket", unique_id="fastput-endpoint")

        self._call(uri, "find its endpoint", resolve)
        url, authorization = found[0]
        if isinstance(authorization, bytes):
            authorization = authorization.decode()
        parts = urlsplit(url)
        if parts.hostname is None:
            raise EndpointError(f"{uri}: {url!r} is not an endpoint")
        # Credential=KEY/date/REGION/s3/aws4_request
        scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
        region = scope[-3] if len(scope) >= 5 else self._client().meta.region_name
        return Endpoint(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or (443 if parts.scheme == "https" else 80),
            path_prefix=parts.path.rstrip("/"),
            region=region,
        )

    def credentials(self) -> Credentials:
        self._client()
        found = self._session_.get_credentials()
        if found is None:
            raise _no_credentials()
        frozen: Credentials = found.get_frozen_credentials()
        return frozen

    def tls(self) -> TlsOptions:
        self._client()
        bundle = self._options.ca_bundle or self._session_.get_config_variable("ca_bundle")
        return TlsOptions(ca_bundle=bundle, verify=self._options.verify)

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        arguments = _attributes(attributes)
        if checksum.is_crc:
            arguments |= {"ChecksumAlgorithm": checksum.name, "ChecksumType": "FULL_OBJECT"}
        answer = self._call(
            uri,
            "create a multipart upload",
            lambda: self._client().create_multipart_upload(Bucket=uri.bucket, Key=uri.key, **arguments),
        )
        return _field(answer, "UploadId", uri, "create a multipart upload")

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        member = _CHECKSUM_MEMBER.get(checksum)
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **({member: part.checksum} if member else {})}
            for part in parts
        ]
        arguments: dict[str, Any] = {"MpuObjectSize": size_bytes} if checksum is not Checksum.MD5 else {}
        if member:
            arguments |= {member: checksum_value, "ChecksumType": "FULL_OBJECT"}
        if no_clobber:
            arguments["IfNoneMatch"] = "*"
        answer = self._call(
            uri,
            "complete the multipart upload",
            lambda: self._client().complete_multipart_upload(
                Bucket=uri.bucket, Key=uri.key, UploadId=upload_id, MultipartUpload={"Parts": listed}, **arguments
            ),
        )
        etag = _field(answer, "ETag", uri, "complete the multipart upload")
        return Completed(etag, version_id=answer.get("VersionId"))

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        self._call(
            uri,
            "abort the multipart upload",
            lambda: self._client().abort_multipart_upload(Bucket=uri.bucket, Key=uri.key, UploadId=upload_id),
        )

    def exists(self, uri: ObjectUri) -> bool:
        try:
            self._call(uri, "look at it", lambda: self._client().head_object(Bucket=uri.bucket, Key=uri.key))
        except StoreError as error:
            if error.status == 404:
                return False
            raise
        return True

    def close(self) -> None:
        if self._client_ is not None:
            self._client_.close()

    def _client(self) -> Any:
        with self._lock:
            if self._client_ is None:
                self._session_, self._client_ = _make_client(self._options)
            return self._client_

    def _call(self, uri: ObjectUri, action: str, call: Callable[[], _T]) -> _T:
        """Runs a botocore call and translates whatever it raises."""
        try:
            return call()
        except FastputError:
            raise
        except Exception as error:
            raise _translate(error, uri, action) from error


class _EmptyBody:
    """The body of the answer that endpoint() makes up."""

    def stream(self, **kwargs: Any) -> list[bytes]:
        return []


def _make_client(options: StoreOptions) -> tuple[Any, Any]:
    import botocore.config
    import botocore.exceptions
    import botocore.session

    try:
        session = botocore.session.Session(profile=options.profile)
        config = botocore.config.Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            retries={"mode": "standard", "max_attempts": 4},
            user_agent_extra=f"fastput/{__version__}",
            # We say which checksum goes with what; botocore's own would be refused by many compatible stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        _check_bundle(options.ca_bundle or session.get_config_variable("ca_bundle"))
        client = session.create_client(
            "s3",
            region_name=options.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=options.endpoint_url,
            verify=False if not options.verify else options.ca_bundle,
            config=config,
        )
    except UsageError:
        raise
    except botocore.exceptions.ProfileNotFound as error:
        raise UsageError(f"{error}: see ~/.aws/config, or leave --profile and AWS_PROFILE out") from None
    except botocore.exceptions.PartialCredentialsError as error:
        raise CredentialsError(f"no credentials: {error}: set both, or give a --profile") from None
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        raise UsageError(f"the AWS configuration can't be used: {error}") from None
    return session, client


def _check_bundle(path: str | None) -> None:
    if not path:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"no PEM certificates in it ({error})"
        raise UsageError(f"the CA bundle {path} can't be used: {reason}") from None


def _attributes(attributes: ObjectAttributes) -> dict[str, Any]:
    from urllib.parse import urlencode

    arguments: dict[str, Any] = {}
    if attributes.content_type:
        arguments["ContentType"] = attributes.content_type
    if attributes.storage_class:
        arguments["StorageClass"] = attributes.storage_class
    if attributes.metadata:
        arguments["Metadata"] = dict(attributes.metadata)
    if attributes.tags:
        arguments["Tagging"] = urlencode(attributes.tags)
    return arguments


def _field(answer: dict[str, Any], name: str, uri: ObjectUri, action: str) -> str:
    if not answer.get(name):
        raise StoreError(
            f"{uri}: could not {action}: the answer has no {name}: is this an S3 store?", bucket=uri.bucket, key=uri.key
        )
    return str(answer[name])


def _no_credentials() -> CredentialsError:
    return CredentialsError(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a --profile of ~/.aws/config"
    )


def _innermost(error: BaseException) -> str:
    """What the operating system said: urllib3 and botocore wrap it in three layers of their own."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _translate(error: Exception, uri: ObjectUri, action: str) -> FastputError:
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        said: dict[str, Any] = dict(error.response.get("Error", {}))
        metadata = error.response.get("ResponseMetadata", {})
        headers = metadata.get("HTTPHeaders", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        code = said.get("Code", "")
        answer = StoreAnswer(
            status=status,
            # botocore puts the status where an answer without a body has no code.
            code="" if code.isdigit() else code,
            message=said.get("Message", ""),
            request_id=metadata.get("RequestId"),
            region=said.get("Region") or headers.get("x-amz-bucket-region"),
        )
        return to_error(answer, uri, action)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return _no_credentials()
    names = ("CredentialRetrievalError", "SSOError", "TokenRetrievalError", "UnauthorizedSSOTokenError",
             "SSOTokenLoadError", "LoginError", "RefreshWithMFAUnsupportedError")  # fmt: skip
    if isinstance(error, tuple(cls for name in names if (cls := getattr(exceptions, name, None)))):
        return CredentialsError(f"no credentials: {error}")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        url = urlsplit(str(error.kwargs.get("endpoint_url", "")))
        endpoint = f"{url.scheme}://{url.netloc}" if url.netloc else "the endpoint"
        return unreachable(uri, endpoint, _innermost(error), isinstance(error, exceptions.SSLError))
    if isinstance(error, RecursionError):
        # botocore follows a redirect that isn't S3's (301 without a region) for ever.
        return to_error(StoreAnswer(301), uri, action)
    if isinstance(error, (exceptions.BotoCoreError, ValueError)):
        return UsageError(f"{uri}: could not {action}: {error}", bucket=uri.bucket, key=uri.key)
    return FastputError(f"{uri}: could not {action}: {type(error).__name__}: {error}", bucket=uri.bucket, key=uri.key)
