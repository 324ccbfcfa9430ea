"""Listings, page by page, as stores really answer them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from fastput.errors import StoreError
from fastput.model import ListedObject, ListedUpload, ObjectPage, ObjectUri

# SeaweedFS lists what is in a directory "a" before a file "a-"; directory buckets of S3 Express One Zone in no order:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
_UNSORTED_SERVERS = ("SeaweedFS",)
_UNSORTED_BUCKETS = ("--x-s3",)
_URL_ENCODED = {"EncodingType": "url"}
_ENCODED = re.compile(r"[A-Za-z0-9._~*/%+()!'-]*")


class UploadPages(Iterator[ListedUpload]):
    """The uploads under a prefix, with one page in memory, in its order: by key, and of one key the oldest first.

    An error doesn't end it: after a temporary one, next() asks for the same page again.

    Args:
        ask: one ListMultipartUploads with these further arguments, as botocore gives it.
    """

    def __init__(self, prefix: ObjectUri, ask: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._prefix = prefix
        self._ask = ask
        self._page: deque[ListedUpload] = deque()
        self._markers: dict[str, str] = {}
        self._is_last = False
        self._turns = 0
        self._landmark: dict[str, str] = {}

    def __iter__(self) -> UploadPages:
        return self

    def __next__(self) -> ListedUpload:
        while not self._page:
            if self._is_last:
                raise StopIteration
            self._turn()
        return self._page.popleft()

    def _turn(self) -> None:
        is_encoded = False
        try:
            answer = self._ask(self._markers)
        except StoreError as error:
            # A key with control characters makes no valid XML, of which botocore makes a 500. Asked for from the
            # start, this would be worse: SeaweedFS says that it has encoded the keys, and hasn't.
            if error.status not in (200, 500) or error.code is not None:
                raise
            answer = self._ask({**self._markers, **_URL_ENCODED})
            is_encoded = all(_ENCODED.fullmatch(str(upload.get("Key"))) for upload in answer.get("Uploads") or [])
        if not answer.keys() & {"Bucket", "MaxUploads", "Uploads", "KeyMarker"}:
            raise self._error("the answer lists none: is this an S3 store, and does it know multipart uploads?")
        found: list[ListedUpload] = []
        for upload in answer.get("Uploads") or []:
            uri = ObjectUri(self._prefix.bucket, _decoded(upload.get("Key"), is_encoded))
            upload_id = str(upload.get("UploadId") or "")
            # A store that doesn't know prefixes lists everything.
            if uri.key.startswith(self._prefix.key) and uri.key and upload_id:
                algorithm, kind = upload.get("ChecksumAlgorithm"), upload.get("ChecksumType")
                begun_at = timestamp(upload.get("Initiated"))
                found.append(ListedUpload(uri, upload_id, begun_at, str(algorithm or ""), str(kind or "")))
        # As S3 lists them; others list them in an order of their own.
        self._page.extend(sorted(found, key=lambda upload: (upload.uri.key, upload.begun_at)))
        following = {
            "KeyMarker": _decoded(answer.get("NextKeyMarker"), is_encoded),
            "UploadIdMarker": str(answer.get("NextUploadIdMarker") or ""),
        }
        # A store that says that there is more and doesn't go on would be asked for ever.
        self._is_last = not answer.get("IsTruncated") or following == self._markers or not following["KeyMarker"]
        self._markers = following
        self._check_circle()

    def _check_circle(self) -> None:
        """Brent's way to find a circle: remember the place after 1, 2, 4, 8... pages."""
        if not self._is_last and self._markers == self._landmark:
            raise self._error("the store lists the same again and again")
        self._turns += 1
        if self._turns & (self._turns - 1) == 0:
            self._landmark = self._markers

    def _error(self, what: str) -> StoreError:
        return StoreError(f"{self._prefix}: could not list the multipart uploads: {what}", bucket=self._prefix.bucket)


def object_page(answer: Mapping[str, Any], prefix: ObjectUri, token: str | None) -> ObjectPage:
    """One ListObjectsV2, as botocore gives it.

    Raises:
        StoreError: it isn't one, or the store doesn't go on.
    """
    if not answer.keys() & {"Name", "MaxKeys", "KeyCount", "Contents", "Prefix"}:
        raise StoreError(f"{prefix}: the answer lists nothing: is this an S3 store?", bucket=prefix.bucket)
    objects = [
        ListedObject(
            key=str(found.get("Key") or ""),
            size_bytes=int(found.get("Size") or 0),
            etag=str(found.get("ETag") or ""),
            modified_at=timestamp(found.get("LastModified")),
        )
        for found in answer.get("Contents") or []
    ]
    prefixes = [str(found.get("Prefix") or "") for found in answer.get("CommonPrefixes") or []]
    following = str(answer.get("NextContinuationToken") or "") if answer.get("IsTruncated") else ""
    if following and following == token:
        raise StoreError(f"{prefix}: the store lists the same again and again", bucket=prefix.bucket)
    server = str((answer.get("ResponseMetadata") or {}).get("HTTPHeaders", {}).get("server", ""))
    is_sorted = not server.startswith(_UNSORTED_SERVERS) and not prefix.bucket.endswith(_UNSORTED_BUCKETS)
    return ObjectPage(objects, prefixes, following or None, is_sorted)


def _decoded(text: Any, is_encoded: bool) -> str:
    return unquote_plus(str(text or "")) if is_encoded else str(text or "")


def timestamp(moment: Any) -> float:
    """botocore's datetime as seconds since the Unix epoch; 0 where a store sends none, or one that is none."""
    try:
        return float(moment.timestamp()) if moment is not None else 0.0
    except (AttributeError, ValueError, OverflowError, OSError):
        return 0.0
