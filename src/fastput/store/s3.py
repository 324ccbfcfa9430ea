"""The control plane over botocore, the engine of boto3, with the user's ordinary configuration.

botocore is used without boto3's resource layer and s3transfer: the same sessions, profiles, SSO and endpoint rules,
ready 0.14 s earlier (docs/decisions/0003-control-plane.md). It is imported by the first call, on a thread
that may block, because that alone takes 0.25 s.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fastput.answers import EXPIRED_CREDENTIALS, StoreAnswer, to_error, was_replaced
from fastput.errors import EndpointError, FastputError, StoreError, UploadGone
from fastput.model import (
    Checksum,
    ConfirmedPart,
    Credentials,
    Endpoint,
    ListedPart,
    ListedUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectPage,
    ObjectUri,
    TlsOptions,
)
from fastput.store.base import Completed, StoreOptions
from fastput.store.listing import UploadPages, object_page, timestamp
from fastput.store.session import make_client, no_credentials, translate

_T = TypeVar("_T")
_MAX_INT = 2**63 - 1

# How stores answer that don't know DeleteObjects, or want another checksum with it than botocore sends.
_NO_BULK = (400, 405, 411, 501)
_MEMBERS = {
    "crc64nvme": "ChecksumCRC64NVME",
    "crc32c": "ChecksumCRC32C",
    "crc32": "ChecksumCRC32",
    "sha1": "ChecksumSHA1",
    "sha256": "ChecksumSHA256",
    "sha512": "ChecksumSHA512",
    "md5": "ChecksumMD5",
}


class S3Store:
    """Any store that speaks S3. Safe for several threads."""

    def __init__(self, options: StoreOptions) -> None:
        self._options = options
        self._lock = threading.Lock()  # guards _client_ and _session_, made once by whoever comes first
        self._endpoints: dict[str, Endpoint] = {}  # by bucket: asking botocore takes a millisecond
        self._client_: Any = None
        self._session_: Any = None

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        found = self._endpoints.get(uri.bucket)
        if found is None:
            self._endpoints[uri.bucket] = found = self._find_endpoint(uri)
        return found

    def _find_endpoint(self, uri: ObjectUri) -> Endpoint:
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
            raise no_credentials()
        frozen: Credentials = found.get_frozen_credentials()
        return frozen

    def renew_credentials(self) -> None:
        with self._lock:
            # A new session reads files and environment anew: credentials may have been written there by others.
            self._client_ = self._session_ = None

    def tls(self) -> TlsOptions:
        self._client()
        bundle = self._options.ca_bundle or self._session_.get_config_variable("ca_bundle")
        return TlsOptions(ca_bundle=bundle, verify=self._options.verify)

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        arguments = _attributes(attributes)
        if checksum.is_crc:
            arguments |= {"ChecksumAlgorithm": checksum.name, "ChecksumType": "FULL_OBJECT"}
        action = "create a multipart upload"
        upload_id = _field(self._ask(uri, action, "create_multipart_upload", **arguments), "UploadId", uri, action)
        self._endpoints.pop(uri.bucket, None)  # botocore may have followed a redirect to the bucket's region
        return upload_id

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int | None,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        member = _MEMBERS[checksum.value] if checksum.is_crc else None
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **({member: part.checksum} if member else {})}
            for part in parts
        ]
        arguments: dict[str, Any] = {"MpuObjectSize": size_bytes} if size_bytes is not None else {}
        if member:
            arguments |= {member: checksum_value, "ChecksumType": "FULL_OBJECT"}
        if no_clobber:
            arguments["IfNoneMatch"] = "*"
        action = "complete the multipart upload"
        answer = self._ask(
            uri, action, "complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": listed}, **arguments
        )
        # Ceph makes the object and leaves the ETag empty.
        etag = str(answer["ETag"]) if "ETag" in answer else _field(answer, "Key", uri, action) and ""
        return Completed(etag, answer.get("VersionId"), _checksums(answer) if _is_full_object(answer) else {})

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        try:
            self._ask(uri, "abort the multipart upload", "abort_multipart_upload", UploadId=upload_id)
        except UploadGone:
            pass  # which is what was wanted

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        try:
            answer = self._ask(uri, "look at it", "head_object", ChecksumMode="ENABLED", **_version(version_id))
        except StoreError as error:
            if error.status == 404:
                return None
            raise
        return _object_info(answer, _natural(answer, "ContentLength", uri))

    def part_bytes(self, uri: ObjectUri, number: int, version_id: str | None = None) -> int | None:
        answer = self._ask(uri, "look at its parts", "head_object", PartNumber=number, **_version(version_id))
        # A store that doesn't know the question answers for the whole object.
        return _natural(answer, "ContentLength", uri) if answer.get("PartsCount") else None

    def object_parts(self, uri: ObjectUri, version_id: str | None = None) -> Sequence[ListedPart]:
        parts: dict[int, ListedPart] = {}
        marker = 0
        while True:
            answer = self._ask(
                uri, "ask for its parts", "get_object_attributes", ObjectAttributes=["ObjectParts"],
                PartNumberMarker=marker, **_version(version_id),
            ).get("ObjectParts") or {}  # fmt: skip
            for part in answer.get("Parts", []):
                number = _natural(part, "PartNumber", uri, 1)
                parts[number] = ListedPart(number, _natural(part, "Size", uri), "", _checksums(part))
            following = _natural(answer, "NextPartNumberMarker", uri)
            if not answer.get("IsTruncated") or following <= marker:
                return [parts[number] for number in sorted(parts)]
            marker = following

    def read(
        self, uri: ObjectUri, first_byte: int, last_byte: int, version_id: str | None = None, etag: str = ""
    ) -> bytes:
        action = f"read bytes {first_byte} to {last_byte}"
        asked = f"bytes={first_byte}-{last_byte}"
        condition = {"IfMatch": etag} if etag else {}
        try:
            answer = self._ask(uri, action, "get_object", Range=asked, **condition, **_version(version_id))
        except StoreError as error:
            if etag and error.status == 412:
                raise was_replaced(uri) from None
            raise
        with contextlib.closing(answer["Body"]) as body:
            # A store may not know the condition.
            if etag and answer.get("ETag", etag) != etag:
                raise was_replaced(uri)
            # Looked at before the body is: a store that doesn't know ranges would send all of the object.
            got = str(answer.get("ContentRange", "")).partition("/")[0].replace(" ", "=")
            length_bytes = last_byte - first_byte + 1
            if answer.get("ContentLength") != length_bytes or got not in ("", asked):
                raise StoreError(
                    f"{uri}: could not {action}: the store sends {answer.get('ContentLength')} bytes "
                    f"({got or 'no range'})", bucket=uri.bucket, key=uri.key,
                )  # fmt: skip
            return self._all_of(body, uri, action, length_bytes)

    def read_tail(self, uri: ObjectUri, length_bytes: int) -> tuple[bytes, ObjectInfo]:
        action = f"read the last {length_bytes} bytes"
        try:
            answer = self._ask(uri, action, "get_object", Range=f"bytes=-{length_bytes}")
        except StoreError as error:
            info = self.head(uri) if error.status == 416 else None
            if info is None or info.size_bytes > 0:
                raise
            return b"", info  # nothing has no last bytes
        with contextlib.closing(answer["Body"]) as body:
            # "bytes 900-999/1000"; without it all of the object is sent, which may be no more than was asked for.
            got, _, total = str(answer.get("ContentRange", "")).rpartition("/")
            sent_bytes = _natural(answer, "ContentLength", uri)
            size_bytes = int(total) if total.isdecimal() else sent_bytes
            first = got.partition("-")[0].removeprefix("bytes").strip(" =")
            if sent_bytes != min(length_bytes, size_bytes) or (got and first != str(size_bytes - sent_bytes)):
                raise StoreError(
                    f"{uri}: could not {action}: the store sends {sent_bytes} bytes ({got or 'no range'})",
                    bucket=uri.bucket, key=uri.key,
                )  # fmt: skip
            return self._all_of(body, uri, action, sent_bytes), _object_info(answer, size_bytes)

    def _all_of(self, body: Any, uri: ObjectUri, action: str, length_bytes: int) -> bytes:
        data: bytes = self._call(uri, action, body.read)
        if len(data) != length_bytes:
            raise EndpointError(
                f"{uri}: could not {action}: the answer ended after {len(data)} bytes", bucket=uri.bucket,
                key=uri.key, is_temporary=True,
            )  # fmt: skip
        return data

    def list_objects(self, prefix: ObjectUri, token: str | None = None, names_only: bool = False) -> ObjectPage:
        more = ({"ContinuationToken": token} if token else {}) | ({"Delimiter": "/"} if names_only else {})
        answer = self._ask(prefix, "list its objects", "list_objects_v2", key=None, Prefix=prefix.key, **more)
        return object_page(answer, prefix, token)

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> Mapping[str, FastputError]:
        # XML has no way to write these, or has several.
        plain = [key for key in keys if key.isprintable()]
        singly = [key for key in keys if not key.isprintable()]
        refused: dict[str, FastputError] = {}
        if plain:
            uri = ObjectUri(bucket, "")
            listed = {"Objects": [{"Key": key} for key in plain], "Quiet": True}
            try:
                answer = self._ask(uri, "delete objects", "delete_objects", key=None, Delete=listed)
            except StoreError as error:
                if error.status not in _NO_BULK:
                    raise
                singly = list(keys)
            else:
                for each in answer.get("Errors") or []:
                    about = ObjectUri(bucket, str(each.get("Key")))
                    said = StoreAnswer(403, str(each.get("Code") or ""), str(each.get("Message") or ""))
                    refused[about.key] = to_error(said, about, "delete it")
        for key in singly:
            try:
                self._ask(ObjectUri(bucket, key), "delete it", "delete_object")
            except StoreError as error:
                refused[key] = error
        return refused

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        marker = 0
        while True:
            try:
                answer = self._ask(
                    uri, "list the parts of the upload", "list_parts", UploadId=upload_id, PartNumberMarker=marker
                )
            except StoreError as error:
                if error.code == "NoSuchKey":  # what Ceph says of an upload that is gone
                    raise UploadGone(error.message, bucket=uri.bucket, key=uri.key, status=404) from None
                raise
            for part in answer.get("Parts", []):
                number, size_bytes = _natural(part, "PartNumber", uri, 1), _natural(part, "Size", uri)
                yield ListedPart(number, size_bytes, str(part.get("ETag", "")), _checksums(part))
            following = _natural(answer, "NextPartNumberMarker", uri)
            # A store that says that there is more and doesn't go on would be asked for ever.
            if not answer.get("IsTruncated") or following <= marker:
                return
            marker = following

    def list_uploads(self, prefix: ObjectUri) -> Iterator[ListedUpload]:
        def ask(arguments: Mapping[str, Any]) -> Any:
            action, operation = "list the multipart uploads", "list_multipart_uploads"
            return self._ask(prefix, action, operation, key=None, Prefix=prefix.key, **arguments)

        return UploadPages(prefix, ask)

    def close(self) -> None:
        if self._client_ is not None:
            self._client_.close()

    def _client(self) -> Any:
        with self._lock:
            if self._client_ is None:
                self._session_, self._client_ = make_client(self._options)
                self._client_.meta.events.register("before-call.s3.GetObject", _ask_for_checksums)
            return self._client_

    def _ask(self, uri: ObjectUri, action: str, operation: str, key: str | None = "", **arguments: Any) -> Any:
        """One call of botocore's client on the object; key=None: on its bucket."""
        about = {"Bucket": uri.bucket} | ({"Key": uri.key} if key is not None else {})
        return self._call(uri, action, lambda: getattr(self._client(), operation)(**about, **arguments))

    def _call(self, uri: ObjectUri, action: str, call: Callable[[], _T]) -> _T:
        """Runs a botocore call and translates whatever it raises."""
        try:
            return call()
        except FastputError:
            raise
        except Exception as error:
            translated = translate(error, uri, action)
            if translated.code in EXPIRED_CREDENTIALS:
                self.renew_credentials()  # for who tries again
            # Whoever keeps the exception would keep botocore's connection with it.
            traceback.clear_frames(error.__traceback__)
            raise translated from error


def _ask_for_checksums(params: Any, **kwargs: Any) -> None:
    """As ChecksumMode does, which would have botocore compare the object's checksum with a range's bytes."""
    params["headers"]["x-amz-checksum-mode"] = "ENABLED"


class _EmptyBody:
    """The body of the answer that endpoint() makes up."""

    def stream(self, **kwargs: Any) -> list[bytes]:
        return []


def _attributes(attributes: ObjectAttributes) -> dict[str, Any]:
    from urllib.parse import quote, urlencode

    arguments: dict[str, Any] = {}
    if attributes.content_type:
        arguments["ContentType"] = attributes.content_type
    if attributes.storage_class:
        arguments["StorageClass"] = attributes.storage_class
    if attributes.content_encoding:
        arguments["ContentEncoding"] = attributes.content_encoding
    if attributes.metadata:
        arguments["Metadata"] = dict(attributes.metadata)
    if attributes.tags:
        arguments["Tagging"] = urlencode(attributes.tags, quote_via=quote)  # Ceph keeps a + as it is
    return arguments


def _field(answer: dict[str, Any], name: str, uri: ObjectUri, action: str) -> str:
    if not answer.get(name):
        raise StoreError(
            f"{uri}: could not {action}: the answer has no {name}: is this an S3 store?", bucket=uri.bucket, key=uri.key
        )
    return str(answer[name])


def _natural(answer: Mapping[str, Any], name: str, uri: ObjectUri, least: int = 0) -> int:
    """A number of an answer; 0 where it is missing.

    Raises:
        StoreError: it can't be one of bytes or of a part.
    """
    value = int(answer.get(name) or 0)
    if not least <= value <= _MAX_INT:
        raise StoreError(f"{uri}: the store's {name} can't be one", bucket=uri.bucket, key=uri.key)
    return value


def _object_info(answer: Mapping[str, Any], size_bytes: int) -> ObjectInfo:
    return ObjectInfo(
        size_bytes=size_bytes,
        etag=str(answer.get("ETag", "")),
        version_id=answer.get("VersionId"),
        modified_at=timestamp(answer.get("LastModified")),
        checksums=_checksums(answer),
        is_full_object=_is_full_object(answer),
        is_composite=answer.get("ChecksumType") == "COMPOSITE",
        is_etag_opaque=bool(
            answer.get("SSECustomerAlgorithm") or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
        ),
        metadata={str(name).lower(): str(value) for name, value in (answer.get("Metadata") or {}).items()},
    )


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _checksums(answer: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(answer[member]) for name, member in _MEMBERS.items() if answer.get(member)}


def _is_full_object(answer: Mapping[str, Any]) -> bool:
    # CRC64NVME has no other type; stores that are older than the field don't send it.
    return bool(answer.get("ChecksumType", "FULL_OBJECT" if answer.get("ChecksumCRC64NVME") else "") == "FULL_OBJECT")
