"""Parts that are read into memory before they are sent: streams, and what has to be hashed before or in order."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from fastput.engine.digests import Digests
from fastput.engine.job import Job
from fastput.model import Checksum, Part, encode_crc
from fastput.native.crc import crc32c, crc64nvme
from fastput.profile import Protection
from fastput.source import Source


@dataclass(frozen=True, slots=True)
class BufferedPart:
    """A part's bytes and what protects them.

    checksum is the value for the request's header or trailer; md5 is hexadecimal, None where nobody asked for it.
    is_last and note: as a Piece's.
    """

    data: Sequence[bytes | bytearray]
    crc64nvme: int
    checksum: str | None
    md5: str | None
    is_last: bool = False
    note: bytes = b""

    @property
    def length_bytes(self) -> int:
        return sum(map(len, self.data))

    def md5_of(self) -> str:
        """Of all of it, hexadecimal."""
        return _md5(self.data).hexdigest()


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
        piece = source.read(part.length_bytes)
        data, is_last, note, crc = piece.data, piece.is_last, piece.note, 0
        for buffer in data:
            crc = crc64nvme(buffer, crc)
    else:
        body = source.body(part, None)
        data = [bytearray(part.length_bytes)]
        body.readinto(data[0])
        if (error := source.failure_of(body)) is not None:
            raise error
        crc, is_last, note = body.crc64nvme, False, b""
    if digests is not None:
        for buffer in data:
            digests.update(buffer)
    md5 = _md5(data) if wants_md5 or protection.checksum is Checksum.MD5 else None
    value: str | None = None
    if protection.checksum is Checksum.CRC64NVME:
        value = encode_crc(crc, protection.checksum)
    elif protection.checksum is Checksum.CRC32C:
        sum32c = 0
        for buffer in data:
            sum32c = crc32c(buffer, sum32c)
        value = encode_crc(sum32c, protection.checksum)
    elif protection.checksum is Checksum.MD5 and md5 is not None:
        value = base64.b64encode(md5.digest()).decode()
    return BufferedPart(data, crc, value, md5.hexdigest() if md5 else None, is_last, note)


def copies_in_memory(source: Source, protection: Protection, job: Job) -> int:
    """How often a part is in memory: 1 if it goes from the source straight into the send buffer."""
    is_buffered = source.size_bytes is None or protection.is_before_body or job.verifies_etag or bool(job.digests)
    return 2 if is_buffered else 1


def _md5(data: Sequence[bytes | bytearray]) -> hashlib._Hash:
    md5 = hashlib.md5(usedforsecurity=False)
    for buffer in data:
        md5.update(buffer)
    return md5
