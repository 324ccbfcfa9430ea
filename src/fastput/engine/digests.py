"""Digests of a whole object that archives ask for, taken in the pass that sends it: parts are read in order for them.

The library's: OpenSSL uses the CPU's SHA instructions (docs/decisions/0008-digests-and-manifests.md).
"""

from __future__ import annotations

import hashlib
import threading
import zlib
from typing import TYPE_CHECKING, Protocol

from fastput.errors import Interrupted
from fastput.limits import MIB
from fastput.model import Part
from fastput.source import Source

if TYPE_CHECKING:
    from typing_extensions import Buffer

NAMES = ("crc32", "md5", "sha1", "sha256", "sha512")


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    """zlib's CRC-32 in hashlib's shape."""

    def __init__(self) -> None:
        self._crc = 0

    def update(self, data: Buffer, /) -> None:
        self._crc = zlib.crc32(data, self._crc)

    def hexdigest(self) -> str:
        return f"{self._crc:08x}"


class Digests:
    """Fed from front to back, by one thread at a time."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._hashes: dict[str, _Hash] = {
            name: _Crc32() if name == "crc32" else hashlib.new(name, usedforsecurity=False) for name in names
        }

    def update(self, data: Buffer) -> None:
        """The next bytes of the object."""
        for digest in self._hashes.values():
            digest.update(data)

    def hexdigests(self) -> dict[str, str]:
        """{name: hexadecimal digest of all bytes so far}"""
        return {name: digest.hexdigest() for name, digest in self._hashes.items()}


def digest_source(source: Source, names: tuple[str, ...], stop: threading.Event) -> dict[str, str]:
    """The digests of a source with a size, by reading all of it. Blocks.

    Raises:
        SourceError: it can't be read, or isn't what it was.
        Interrupted: stop was set.
    """
    digests = Digests(names)
    body = source.body(Part(1, 0, source.size_bytes or 0), None)
    view = memoryview(bytearray(4 * MIB))
    while (count := body.readinto(view)) > 0:
        if stop.is_set():
            raise Interrupted("interrupted")
        digests.update(view[:count])
    if (error := source.failure_of(body)) is not None:
        raise error
    return digests.hexdigests()
