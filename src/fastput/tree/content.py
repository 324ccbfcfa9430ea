"""What is in a file, by its CRC64NVME."""

from __future__ import annotations

import contextlib
import os

from fastput.limits import MIB
from fastput.native.crc import crc64nvme

_READ_BYTES = 4 * MIB


def hash_file(path: str | bytes | os.PathLike[str], size_bytes: int) -> int | None:
    """The CRC64NVME of a file that has as many bytes as it had; None: it hasn't, or can't be read."""
    crc = 0
    left_bytes = size_bytes
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        buffer = bytearray(min(_READ_BYTES, size_bytes))
        view = memoryview(buffer)
        while got := file.readinto(buffer):
            crc = crc64nvme(view[:got], crc)
            left_bytes -= got
        return crc if left_bytes == 0 else None
    return None
