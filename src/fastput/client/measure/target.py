"""Whom a survey sends to: a store, or anything that answers like one at an http(s) URL without credentials."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from fastput.answers import parse_answer, to_error, unreachable
from fastput.client.measure.setup import tls_context
from fastput.errors import StoreError, UsageError
from fastput.limits import MIB
from fastput.model import Checksum, Credentials, Endpoint, ListedPart, ObjectAttributes, ObjectUri, TlsOptions

_TIMEOUT_S = 20.0


class Uploads(Protocol):
    """What a survey asks of a Store."""

    def endpoint(self, uri: ObjectUri) -> Endpoint: ...
    def credentials(self) -> Credentials: ...
    def tls(self) -> TlsOptions: ...
    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str: ...
    def abort(self, uri: ObjectUri, upload_id: str) -> None: ...
    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]: ...
    def close(self) -> None: ...


class _Nobody(NamedTuple):
    """Requests are signed all the same; who needs no credentials doesn't look."""

    access_key: str = "nobody"
    secret_key: str = "nothing"
    token: str | None = None


class OpenServer:
    """An http(s) URL whose server wants no credentials, e.g. fastput bench --sink."""

    def __init__(self, url: str, tls: TlsOptions) -> None:
        """
        Raises:
            UsageError: no URL of a server.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no URL: {error}; write http://host:port") from None
        if not host or "@" in parts.netloc or parts.query or parts.fragment:
            raise UsageError(f"{url!r} is no URL of a sink; write http://host:port")
        self._tls = tls
        self._prefix = quote(parts.path.rstrip("/"), safe="/%")
        self._scheme, self._host, self._port = parts.scheme, host, port or (443 if parts.scheme == "https" else 80)

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        return Endpoint(self._scheme, self._host, self._port, f"{self._prefix}/{uri.bucket}", "us-east-1")

    def credentials(self) -> Credentials:
        return _Nobody()

    def tls(self) -> TlsOptions:
        return self._tls

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        body = self._ask("POST", uri, "uploads", "create a multipart upload")
        try:
            found = {node.tag.rpartition("}")[2]: node.text for node in ElementTree.fromstring(body)}
        except (ElementTree.ParseError, ValueError):
            found = {}
        upload_id = found.get("UploadId")
        if not upload_id:
            url = f"{self._scheme}://{self._host}:{self._port}"
            raise StoreError(f"{url} answers, but not as a store does: is it fastput bench --sink?")
        return upload_id

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        self._ask("DELETE", uri, f"uploadId={quote(upload_id, safe='')}", "abort the multipart upload")

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        self._ask("GET", uri, f"uploadId={quote(upload_id, safe='')}", "list the parts of the upload")
        return iter(())

    def close(self) -> None:
        pass

    def _ask(self, method: str, uri: ObjectUri, query: str, action: str) -> bytes:
        endpoint = self.endpoint(uri)
        if endpoint.is_tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_S, context=tls_context(self._tls)
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            with closing(connection):
                connection.request(method, f"{endpoint.path_prefix}/{quote(uri.key, safe='/')}?{query}")
                answer = connection.getresponse()
                body = answer.read(MIB)
        except (OSError, http.client.HTTPException) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise unreachable(uri, endpoint.url, reason) from None
        if not 200 <= answer.status < 300:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            raise to_error(parse_answer(answer.status, headers, body), uri, action)
        return body
