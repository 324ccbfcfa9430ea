"""S3's REST interface over MemoryS3: requests in, answers out. No sockets, no faults."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from bench.servers.scripted_store import HASHES, Content, ListedPart, MemoryS3, Refused, StoredObject

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
REGION = "us-east-1"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """Content-Length, x-amz-request-id and the like are added when it is sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's head. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    bucket: str = field(init=False)
    key: str = field(init=False)
    query: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.target)
        bucket, _, key = parts.path.lstrip("/").partition("/")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        for name, value in (("bucket", unquote(bucket)), ("key", unquote(key)), ("query", query)):
            object.__setattr__(self, name, value)

    @property
    def body_bytes(self) -> int:
        """As it is on the wire, framing included."""
        return int(self.headers.get("content-length", "0"))

    @property
    def part(self) -> int | None:
        number = self.query.get("partNumber", "")
        return int(number) if number.isdigit() else None

    @property
    def access_key(self) -> str | None:
        match = re.search(r"Credential=([^/,]+)", self.headers.get("authorization", ""))
        return match[1] if match else None

    @property
    def operation(self) -> str:
        """S3's name for it."""
        names = _OPERATIONS.get(self.method, ())
        return next((name for test, name in names if test(self)), self.method)


_OPERATIONS: dict[str, tuple[tuple[Callable[[Request], bool], str], ...]] = {
    "PUT": (
        (lambda r: "partNumber" in r.query, "UploadPart"),
        (lambda r: bool(r.key), "PutObject"),
        (lambda r: True, "CreateBucket"),
    ),
    "POST": (
        (lambda r: "uploads" in r.query, "CreateMultipartUpload"),
        (lambda r: "uploadId" in r.query, "CompleteMultipartUpload"),
    ),
    "GET": (
        (lambda r: "uploads" in r.query, "ListMultipartUploads"),
        (lambda r: "uploadId" in r.query, "ListParts"),
        (lambda r: bool(r.key), "GetObject"),
    ),
    "HEAD": ((lambda r: bool(r.key), "HeadObject"), (lambda r: True, "HeadBucket")),
    "DELETE": (
        (lambda r: "uploadId" in r.query, "AbortMultipartUpload"),
        (lambda r: bool(r.key), "DeleteObject"),
    ),
}


def handle(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    """Does what the request says. What S3 refuses is an answer too."""
    try:
        operation = _HANDLERS.get(request.operation)
        if operation is None:
            raise Refused(501, "NotImplemented", f"There is no {request.operation} here.")
        return operation(store, request, body)
    except Refused as refused:
        headers = {name.replace("_", "-"): value for name, value in refused.headers.items()}
        return error_answer(refused.status, refused.code, refused.message, headers)


def error_answer(status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """S3's <Error> document."""
    return Answer(status, tuple((headers or {}).items()), error_document(code, message))


def error_document(code: str, message: str = "") -> bytes:
    fields = f"<Code>{escape(code)}</Code><Message>{escape(message or code)}</Message>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{fields}</Error>'.encode()


# ---- operations


def _create_bucket(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    return Answer(200)


def _head_bucket(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    return Answer(200, (("x-amz-bucket-region", REGION),))


def _put_object(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    data, headers = decode(request.headers, body)
    stored = store.put(request.bucket, request.key, Content.check(data, headers), headers)
    return Answer(200, (("ETag", f'"{stored.etag}"'), *_checksum_headers(*stored.checksum)))


def _upload_part(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    upload_id, number = request.query.get("uploadId", ""), request.part
    if number is None:
        raise Refused(400, "InvalidArgument", "Part number must be an integer.")
    store.upload(request.bucket, request.key, upload_id)  # before the work
    data, headers = decode(request.headers, body)
    content = Content.check(data, headers)
    store.add_part(request.bucket, request.key, upload_id, number, content)
    checksum = _checksum_headers(*content.checksum, None) if content.checksum else ()
    return Answer(200, (("ETag", f'"{content.etag}"'), *checksum))


def _create_upload(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    upload = store.create(request.bucket, request.key, request.headers)
    return _document("InitiateMultipartUploadResult", _where(request), _element("UploadId", upload.upload_id))


def _complete_upload(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    try:
        root = ElementTree.fromstring(bytes(body))
        listed = [_listed_part(node) for node in root if _name(node) == "Part"]
    except (ElementTree.ParseError, ValueError, KeyError):
        raise Refused(400, "MalformedXML", "The XML you provided was not well-formed.") from None
    upload_id = request.query["uploadId"]
    stored = store.complete(request.bucket, request.key, upload_id, listed, request.headers)
    algorithm, value = stored.checksum
    return _document(
        "CompleteMultipartUploadResult",
        _where(request),
        _element("ETag", f'"{stored.etag}"'),
        _element(f"Checksum{algorithm.upper()}", value),
        _element("ChecksumType", "FULL_OBJECT"),
    )


def _abort_upload(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    store.abort(request.bucket, request.key, request.query["uploadId"])
    return Answer(204)


def _list_parts(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    upload = store.upload(request.bucket, request.key, request.query["uploadId"])
    marker, limit = int(request.query.get("part-number-marker") or 0), _limit(request, "max-parts")
    numbers = [number for number in sorted(upload.parts) if number > marker]
    shown, algorithm = numbers[:limit], upload.algorithm
    nodes: list[str] = []
    for number in shown:
        content = upload.parts[number]
        fields = [
            _element("PartNumber", number),
            _element("LastModified", _iso(upload.begun_at)),
            _element("ETag", f'"{content.etag}"'),
            _element("Size", len(content.data)),
        ]
        if content.checksum is not None:
            fields.append(_element(f"Checksum{content.checksum[0].upper()}", content.checksum[1]))
        nodes.append(f"<Part>{''.join(fields)}</Part>")
    kind = ("ChecksumAlgorithm", (algorithm or "").upper()), ("ChecksumType", "FULL_OBJECT")
    return _document(
        "ListPartsResult",
        _where(request),
        _element("UploadId", upload.upload_id),
        _element("PartNumberMarker", marker),
        _element("NextPartNumberMarker", shown[-1] if shown else 0),
        _element("MaxParts", limit),
        _element("IsTruncated", str(len(numbers) > len(shown)).lower()),
        *(_element(name, value) for name, value in kind if algorithm),
        *nodes,
    )


def _list_uploads(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    prefix, limit = request.query.get("prefix", ""), _limit(request, "max-uploads")
    marker, marked_id = request.query.get("key-marker", ""), request.query.get("upload-id-marker", "")
    found = [upload for upload in store.uploads(request.bucket) if upload.key.startswith(prefix)]
    places = [
        place for place, upload in enumerate(found, start=1) if (upload.key, upload.upload_id) == (marker, marked_id)
    ]
    found = found[places[0] :] if places else [upload for upload in found if upload.key > marker]
    shown = found[:limit]
    nodes = [
        f"<Upload>{_element('Key', upload.key)}{_element('UploadId', upload.upload_id)}"
        f"{_element('Initiated', _iso(upload.begun_at))}</Upload>"
        for upload in shown
    ]
    return _document(
        "ListMultipartUploadsResult",
        _element("Bucket", request.bucket),
        _element("KeyMarker", marker),
        _element("NextKeyMarker", shown[-1].key if shown else ""),
        _element("NextUploadIdMarker", shown[-1].upload_id if shown else ""),
        _element("MaxUploads", limit),
        _element("IsTruncated", str(len(found) > len(shown)).lower()),
        *nodes,
    )


def _get_object(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    stored = store.get(request.bucket, request.key)
    size, headers = len(stored.data), _object_headers(stored, request)
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if match is None or not any(match.groups()):
        return Answer(200, headers, stored.data)
    first, last = match.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= size:
        raise Refused(416, "InvalidRange", "The requested range is not satisfiable.")
    # The object's checksum isn't the range's.
    headers = tuple((name, value) for name, value in headers if not name.startswith("x-amz-checksum-"))
    return Answer(206, (*headers, ("Content-Range", f"bytes {begin}-{end - 1}/{size}")), stored.data[begin:end])


def _head_object(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    stored = store.get(request.bucket, request.key)
    # The server sends no body for HEAD, and this length.
    return Answer(200, (*_object_headers(stored, request), ("Content-Length", str(len(stored.data)))))


def _delete_object(store: MemoryS3, request: Request, body: bytearray) -> Answer:
    store.delete(request.bucket, request.key)
    return Answer(204)


_HANDLERS: dict[str, Callable[[MemoryS3, Request, bytearray], Answer]] = {
    "CreateBucket": _create_bucket,
    "HeadBucket": _head_bucket,
    "PutObject": _put_object,
    "UploadPart": _upload_part,
    "CreateMultipartUpload": _create_upload,
    "CompleteMultipartUpload": _complete_upload,
    "AbortMultipartUpload": _abort_upload,
    "ListParts": _list_parts,
    "ListMultipartUploads": _list_uploads,
    "GetObject": _get_object,
    "HeadObject": _head_object,
    "DeleteObject": _delete_object,
}


# ---- bodies


def decode(headers: Mapping[str, str], body: bytearray) -> tuple[memoryview, Mapping[str, str]]:
    """The data of a body, and the headers with the trailers in them.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html

    Raises:
        Refused: an aws-chunked body that isn't as it should be.
    """
    view = memoryview(body)
    if not headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return view, headers
    chunks: list[memoryview] = []
    place = 0
    while True:
        end = body.find(b"\r\n", place)
        if end < 0:
            raise Refused(400, "IncompleteBody", "The body ends inside a chunk's head.")
        try:
            size = int(body[place:end].partition(b";")[0], 16)
        except ValueError:
            raise Refused(400, "InvalidRequest", "A chunk's length is no number.") from None
        place = end + 2
        if size == 0:
            break
        chunks.append(view[place : place + size])
        if body[place + size : place + size + 2] != b"\r\n":
            raise Refused(400, "IncompleteBody", "A chunk is shorter than it says.")
        place += size + 2
    data = chunks[0] if len(chunks) == 1 else memoryview(b"".join(chunks))
    rest = bytes(view[place:])
    lines = rest.decode("latin-1").split("\r\n")
    trailers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name
    }
    announced = headers.get("x-amz-trailer", "").lower()
    if (announced and announced not in trailers) or not (rest == b"\r\n" or rest.endswith(b"\r\n\r\n")):
        raise Refused(400, "MalformedTrailerError", "The trailer that was announced isn't there, or has no end.")
    if headers.get("x-amz-decoded-content-length") != str(len(data)):
        raise Refused(400, "IncompleteBody", "The decoded length is another one.")
    return data, {**headers, **trailers}


def _checksum_headers(algorithm: str, value: str, kind: str | None = "FULL_OBJECT") -> tuple[tuple[str, str], ...]:
    found: tuple[tuple[str, str], ...] = ((f"x-amz-checksum-{algorithm}", value),)
    return (*found, ("x-amz-checksum-type", kind)) if kind else found


def _object_headers(stored: StoredObject, request: Request) -> tuple[tuple[str, str], ...]:
    is_asked = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    return (
        ("ETag", f'"{stored.etag}"'),
        ("Last-Modified", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(stored.modified_at))),
        ("Accept-Ranges", "bytes"),
        *stored.headers.items(),
        *(_checksum_headers(*stored.checksum) if is_asked else ()),
    )


def _limit(request: Request, name: str) -> int:
    return min(PAGE, int(request.query.get(name) or PAGE))


def _listed_part(node: ElementTree.Element) -> ListedPart:
    fields = {_name(child): child.text or "" for child in node}
    found = {name: fields[f"Checksum{name.upper()}"] for name in HASHES if f"Checksum{name.upper()}" in fields}
    return ListedPart(int(fields["PartNumber"]), fields["ETag"], found)


def _name(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _document(root: str, *parts: str) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{"".join(parts)}</{root}>'
    return Answer(200, (("Content-Type", "application/xml"),), text.encode())


def _element(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"


def _where(request: Request) -> str:
    return _element("Bucket", request.bucket) + _element("Key", request.key)


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
