"""Memory is reserved before a part is read; what isn't free waits."""

from __future__ import annotations


class Budget:
    """Bytes that may be in flight. Used by the loop's thread only."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.reserved_bytes = 0

    def reserve(self, size_bytes: int) -> bool:
        """Takes the bytes if they are free."""
        if self.reserved_bytes + size_bytes > self.limit_bytes:
            return False
        self.reserved_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """Gives reserved bytes back."""
        if size_bytes > self.reserved_bytes:
            raise AssertionError(f"{size_bytes} bytes released of {self.reserved_bytes} reserved")
        self.reserved_bytes -= size_bytes
