"""Lists of digests as archives and tools read them: GNU coreutils, BagIt, CASDA. Pure: bytes out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# RFC 8493, 2.1.3: these and no others.
_BAG_ESCAPES = str.maketrans({"%": "%25", "\n": "%0A", "\r": "%0D"})


def checksum_line(digest: str, name: str) -> bytes:
    """A line of sha256sum or md5sum: a digest in hexadecimal, two spaces, a name as it is on disk.

    A name with a backslash or a line end is escaped, and the line then begins with a backslash, as coreutils do.
    """
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != name else ""
    return os.fsencode(f"{mark}{digest}  {escaped}\n")


def casda_line(crc32: str, sha1: str, size_bytes: int) -> bytes:
    """The content of a sidecar of CASDA, the ASKAP archive: CRC-32, SHA-1 and size, all in lower-case hexadecimal."""
    return f"{crc32} {sha1} {size_bytes:x}\n".encode()


@dataclass(frozen=True, slots=True)
class Payload:
    """A file of a bag: its path below data/, which has to be UTF-8."""

    path: str
    size_bytes: int
    sha256: str


def bag_files(payload: Sequence[Payload], day: str, software: str) -> Mapping[str, bytes]:
    """The files of a bag besides its payload, by name; the last one lists the others.

    https://www.rfc-editor.org/rfc/rfc8493

    Args:
        day: as 2026-01-02.
    """
    size_bytes = sum(entry.size_bytes for entry in payload)
    information = {
        "Bag-Software-Agent": software,
        "Bagging-Date": day,
        "Payload-Oxum": f"{size_bytes}.{len(payload)}",
    }
    files = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "bag-info.txt": "".join(f"{name}: {value}\n" for name, value in information.items()).encode(),
        "manifest-sha256.txt": b"".join(
            f"{entry.sha256}  data/{entry.path.translate(_BAG_ESCAPES)}\n".encode() for entry in payload
        ),
    }
    listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    return {**files, "tagmanifest-sha256.txt": listed.encode()}
