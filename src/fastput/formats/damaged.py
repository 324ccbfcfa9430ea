"""What the formats say of bytes that aren't what was written."""

from __future__ import annotations


class Damaged(Exception):
    """Bytes that can't be what was written.

    Attributes:
        why: in a few words.
        offset_bytes: where, in what was being read; None: it can't be told.
    """

    def __init__(self, why: str, offset_bytes: int | None = None) -> None:
        super().__init__(why if offset_bytes is None else f"{why} (at byte {offset_bytes:,})")
        self.why = why
        self.offset_bytes = offset_bytes
