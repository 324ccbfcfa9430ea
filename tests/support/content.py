"""Bytes to send, and what they should be, computed by others than fastput."""

from __future__ import annotations

import base64
import functools
import random
from collections.abc import Mapping
from dataclasses import dataclass

from awscrt import checksums

KIB = 1 << 10
MIB = 1 << 20


@functools.cache
def content(size_bytes: int, seed: int = 1) -> bytes:
    """The same random bytes each time."""
    return random.Random(seed).randbytes(size_bytes)


def crc64nvme_base64(data: bytes) -> str:
    """As S3 writes it in x-amz-checksum-crc64nvme."""
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()


def crc32c_base64(data: bytes) -> str:
    """As S3 writes it in x-amz-checksum-crc32c."""
    return base64.b64encode(checksums.crc32c(data).to_bytes(4, "big")).decode()


@dataclass(frozen=True)
class Framed:
    """A decoded aws-chunked body."""

    data: bytes
    chunks: tuple[int, ...]
    trailers: Mapping[str, str]


def decode_aws_chunked(body: bytes) -> Framed:
    """Strictly, after https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    data = bytearray()
    chunks: list[int] = []
    while True:
        line, separator, body = body.partition(b"\r\n")
        assert separator
        assert line.decode("ascii").strip("0123456789abcdef") == "", f"{line!r} is no chunk's length"
        size_bytes = int(line, 16)
        if size_bytes == 0:
            break
        assert len(body) >= size_bytes + 2
        assert body[size_bytes : size_bytes + 2] == b"\r\n"
        data += body[:size_bytes]
        body = body[size_bytes + 2 :]
        chunks.append(size_bytes)
    trailers: dict[str, str] = {}
    while True:
        line, separator, body = body.partition(b"\r\n")
        assert separator, "the body ends inside its trailers"
        if not line:
            break
        name, _, value = line.decode("ascii").partition(":")
        trailers[name] = value
    assert body == b"", "something follows the trailers"
    return Framed(bytes(data), tuple(chunks), trailers)
