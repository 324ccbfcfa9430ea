"""Parts that are read into memory before they are sent: streams, and checksums that go before the body."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from fastput.model import Checksum, Part, encode_crc
from fastput.native.crc import crc32c, crc64nvme
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class BufferedPart:
    """A part's bytes and what protects them; checksum is the request header's value."""

    data: bytearray
    crc64nvme: int
    checksum: str | None


def buffer_part(source: Source, part: Part, checksum: Checksum) -> BufferedPart:
    """Reads a part (a stream: its next bytes) and hashes it. Blocks; for a thread that may.

    Raises:
        SourceError: reading failed, or the file isn't what it was.
    """
    if source.size_bytes is None:
        data = source.read(part.length_bytes)
        crc = crc64nvme(data)
    else:
        body = source.body(part, None)
        data = bytearray(part.length_bytes)
        body.readinto(data)
        if (error := source.failure_of(body)) is not None:
            raise error
        crc = body.crc64nvme
    value: str | None = None
    if checksum is Checksum.CRC64NVME:
        value = encode_crc(crc, checksum)
    elif checksum is Checksum.CRC32C:
        value = encode_crc(crc32c(data), checksum)
    elif checksum is Checksum.MD5:
        value = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    return BufferedPart(data, crc, value)
