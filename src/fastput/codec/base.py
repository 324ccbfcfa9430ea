"""What the engine asks of a compression."""

from __future__ import annotations

from typing import Protocol


class Codec(Protocol):
    """Calls come from several threads at once, and leave the others running while they compute.

    Attributes:
        name: as it stands in metadata, e.g. "zstd".
        suffix: what a key gets, e.g. ".zst".
    """

    name: str
    suffix: str

    def encode(self, content: bytes | bytearray | memoryview, level: int) -> bytes:
        """One frame, which is decoded without any other.

        Args:
            level: 0: as it is, in a frame; more: smaller and slower.
        """

    def decode(self, frame: bytes | bytearray | memoryview, content_bytes: int) -> bytes:
        """The content of one frame, of which it is known how long it is.

        Raises:
            Damaged: it isn't one whole frame of so much content.
        """
