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
    path = f"{_path(endpoint, uri)}?{query}"
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
    more = [(f"x-amz-meta-{name}", value) for name, value in attributes.metadata.items()]
    if attributes.content_type:
        more.append(("content-type", attributes.content_type))
    if attributes.storage_class:
        more.append(("x-amz-storage-class", attributes.storage_class))
    if attributes.tags:
        more.append(("x-amz-tagging", urlencode(attributes.tags, quote_via=quote)))
    if no_clobber:
        more.append(("if-none-match", "*"))
    return Request(
        "PutObject", _path(endpoint, uri), (*headers, *more), body, carriage is not Carriage.BARE_TRAILER
    )


def _path(endpoint: Endpoint, uri: ObjectUri) -> str:
    return f"{endpoint.path_prefix}/{quote(uri.key, safe='/')}"
