"""The HTTP request of a part or of a small object: pure."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastput.model import Endpoint, ObjectAttributes, ObjectUri
from fastput.native.slicer import PartBody
from fastput.profile import Carriage
from fastput.transport import Request


def part_request(
    endpoint: Endpoint,
    uri: ObjectUri,
    upload_id: str,
    number: int,
    headers: tuple[tuple[str, str], ...],
    body: PartBody,
    carriage: Carriage | None = None,
) -> Request:
    """UploadPart. https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"""
    query = f"partNumber={number}&uploadId={quote(upload_id, safe='')}"
    path = f"{object_path(endpoint, uri)}?{query}"
    return Request("UploadPart", path, headers, body, carriage is not Carriage.BARE_TRAILER)


def put_request(
    endpoint: Endpoint,
    uri: ObjectUri,
    attributes: ObjectAttributes,
    no_clobber: bool,
    headers: tuple[tuple[str, str], ...],
    body: PartBody,
    carriage: Carriage | None = None,
) -> Request:
    """PutObject. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
    more = put_headers(attributes)
    if no_clobber:
        more = (*more, ("if-none-match", "*"))
    names_encoding = carriage is not Carriage.BARE_TRAILER
    path = object_path(endpoint, uri)
    return Request("PutObject", path, (*headers, *more), body, names_encoding, attributes.content_encoding)


def put_headers(attributes: ObjectAttributes) -> tuple[tuple[str, str], ...]:
    """What an object is to carry."""
    headers = [(f"x-amz-meta-{name}", value) for name, value in attributes.metadata.items()]
    if attributes.content_type:
        headers.append(("content-type", attributes.content_type))
    if attributes.storage_class:
        headers.append(("x-amz-storage-class", attributes.storage_class))
    if attributes.tags:
        headers.append(("x-amz-tagging", urlencode(attributes.tags, quote_via=quote)))
    return tuple(headers)


def object_path(endpoint: Endpoint, uri: ObjectUri) -> str:
    """Percent-encoded."""
    return f"{endpoint.path_prefix}/{quote(uri.key, safe='/')}"
