"""A bucket of so many empty objects that there are only as names: what lists it, and refuses everything else.

with listing.serve(1_000_000) as url: ...    # p/0000/0000000.dat to p/0999/0999999.dat, as bench.trees makes files
"""

from __future__ import annotations

import bisect
import contextlib
import http.server
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, urlsplit

EACH_DIRECTORY = 1000
PAGE_KEYS = 1000
_HEAD = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_OBJECT = (
    "<Contents><Key>{}</Key><LastModified>2030-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>0</Size></Contents>"
)


def path_of(number: int) -> str:
    """Of a file below its root: in the order of numbers, and of bytes."""
    return f"{number // EACH_DIRECTORY:04d}/{number:07d}.dat"


@contextlib.contextmanager
def serve(count: int, prefix: str = "p/") -> Iterator[str]:
    """In a process of its own; ends with the block."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_run, args=(there, count, prefix), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def _run(connection: Connection, count: int, prefix: str) -> None:
    keys = [prefix + path_of(number) for number in range(count)]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"keys": keys}))
    connection.send(server.server_address[1])
    server.serve_forever()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys: list[str]

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        status = 200 if "list-type" in query else 404
        body = _page(self.keys, query).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def _page(keys: list[str], query: dict[str, str]) -> str:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    at = bisect.bisect_right(keys, query["continuation-token"]) if "continuation-token" in query else 0
    at = max(at, bisect.bisect_left(keys, prefix))
    entries: list[str] = []
    last = ""
    while at < len(keys) and keys[at].startswith(prefix) and len(entries) < PAGE_KEYS:
        name, found, _ = keys[at][len(prefix) :].partition(delimiter) if delimiter else (keys[at], "", "")
        if found:
            group = prefix + name + found
            entries.append(f"<CommonPrefixes><Prefix>{group}</Prefix></CommonPrefixes>")
            at = bisect.bisect_left(keys, group + "\U0010ffff")
        else:
            entries.append(_OBJECT.format(keys[at]))
            at += 1
        last = keys[at - 1]
    has_more = at < len(keys) and keys[at].startswith(prefix)
    more = f"<NextContinuationToken>{last}</NextContinuationToken>" if has_more else ""
    truncated = f"<IsTruncated>{str(has_more).lower()}</IsTruncated>"
    return f"{_HEAD}<KeyCount>{len(entries)}</KeyCount>{truncated}{more}{''.join(entries)}</ListBucketResult>"
