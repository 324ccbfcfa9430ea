"""The answers to PUTs, as csrc/answer.c reads them, beside the standard library; and what no answer may do."""

from __future__ import annotations

import http.client
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.native.put import Putter, body_bytes, read_head
from tests.support.content import decode_aws_chunked

NAMES = st.sampled_from(
    ["ETag", "etag", "x-amz-version-id", "X-Amz-Checksum-CRC64NVME", "Content-Length", "Connection", "Date", "Server",
     "x-amz-request-id", "Transfer-Encoding"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    st.sampled_from(["0", "17", "close", "keep-alive", "chunked", '"abc"', "99999999999999999999", "-1", " 5 ", ""]),
)


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


@given(st.integers(200, 599), st.lists(st.tuples(NAMES, VALUES), max_size=8, unique_by=lambda pair: pair[0].lower()))
def test_beside_the_standard_library(status: int, fields: list[tuple[str, str]]) -> None:
    head = f"HTTP/1.1 {status} Text\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    reference = http.client.HTTPResponse(_Socket(head.encode()), method="PUT")  # type: ignore[arg-type]
    reference.begin()
    length = reference.headers.get("Content-Length", "").strip()
    try:
        found = read_head(head.encode() + b"more")
    except ValueError:
        kept = reference.headers.get("x-amz-checksum-crc64nvme") or ""
        assert ("Content-Length" in reference.headers and not length.isdigit()) or len(kept) > 15
        return
    assert found is not None
    read_status, left_bytes, goes_on, etag, version_id, kept_crc, head_bytes = found
    assert (read_status, head_bytes) == (status, len(head))
    assert etag.decode() == (reference.headers.get("ETag") or "").strip()
    assert version_id.decode() == (reference.headers.get("x-amz-version-id") or "").strip()
    assert kept_crc.decode() == (reference.headers.get("x-amz-checksum-crc64nvme") or "").strip()
    if goes_on:
        assert not reference.will_close
        assert left_bytes == int(length or 0)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    for received in (data, b"HTTP/1.1 200 OK\r\n" + data, b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n"):
        try:
            found = read_head(received)
        except ValueError:
            continue
        assert found is None or found[0] >= 200


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\nETag: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag: " + b"x" * 200 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag: a\0b\r\n\r\n",
    ],
)
def test_what_is_not_understood(head: bytes) -> None:
    with pytest.raises(ValueError, match="not understood"):
        read_head(head)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n\r"])
def test_what_is_not_whole(data: bytes) -> None:
    assert read_head(data) is None


def test_heads_of_1xx_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    found = read_head(early + b"HTTP/1.1 204 No\r\n\r\n")
    assert found is not None
    assert found[:3] == (204, 0, True)


@pytest.mark.parametrize("size_bytes", [0, 1, 15, 16, 255, 256, 100_000])
def test_the_length_that_is_said_is_the_length_that_comes(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(size_bytes))
    _, request = Putter(100_000, 1).prepare((str(path).encode(), b"HEAD", size_bytes, path.stat().st_mtime_ns))
    assert request is not None
    assert request[:4] == b"HEAD"
    assert len(request) - 4 == body_bytes(size_bytes)
    assert decode_aws_chunked(request[4:]).data == bytes(size_bytes)


def test_what_there_is_no_room_for() -> None:
    putter = Putter(100, 2)
    file = (b"/dev/null", b"", 0, 0)
    wrong = [(b"/dev/null", b"", 101, 0), (b"/dev/null", b"x" * 9000, 0, 0), (b"a\0b", b"", 0, 0)]
    for files in ([], [file] * 3, *([each] for each in wrong)):
        with pytest.raises(ValueError, match=r"no room|files"):
            putter.send(-1, files)
