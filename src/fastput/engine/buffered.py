"""Parts that are read into memory before they are sent: streams, and what has to be hashed before or in order."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from fastput.engine.digests import Digests
from fastput.model import Checksum, Part, encode_crc
from fastput.native.crc import crc32c, crc64nvme
from fastput.profile import Protection
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class BufferedPart:
    """A part's bytes and what protects them.

    checksum is the value for the request's header or trailer; md5 is hexadecimal, None where nobody asked for it.
    """

    data: bytearray
    crc64nvme: int
    checksum: str | None
    md5: str | None


def buffer_part(
    source: Source, part: Part, protection: Protection, wants_md5: bool, digests: Digests | None
) -> BufferedPart:
    """Reads a part (a stream: its next bytes) and hashes it. Blocks; for a thread that may.

    Args:
        digests: updated with the part's bytes; then parts have to be read in order, one at a time.

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
    if digests is not None:
        digests.update(data)
    md5 = hashlib.md5(data, usedforsecurity=False) if wants_md5 or protection.checksum is Checksum.MD5 else None
    value: str | None = None
    if protection.checksum is Checksum.CRC64NVME:
        value = encode_crc(crc, protection.checksum)
    elif protection.checksum is Checksum.CRC32C:
        value = encode_crc(crc32c(data), protection.checksum)
    elif protection.checksum is Checksum.MD5 and md5 is not None:
        value = base64.b64encode(md5.digest()).decode()
    return BufferedPart(data, crc, value, md5.hexdigest() if md5 else None)
