"""Sorted streams of the same names, side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastput.model import ConfirmedFile
from fastput.tree.compare import Listed
from fastput.tree.walk import Found, Passed

_T = TypeVar("_T", Found | Passed, Listed, ConfirmedFile)


class Unordered(Exception):
    """A stream that isn't in the order of its keys' bytes, as S3's are: some stores list in one of their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """What there is of one path. Each may be missing, but not all."""

    path: bytes
    local: Found | Passed | None
    listed: Listed | None
    known: ConfirmedFile | None


def join(local: Iterator[Found | Passed], listed: Iterator[Listed], known: Iterator[ConfirmedFile]) -> Iterator[Row]:
    """A row for each path that occurs in any of them, in order.

    Raises:
        Unordered: what was yielded until then is right, but incomplete.
    """
    files, objects, records = _Stream(local), _Stream(listed), _Stream(known)
    streams = (files, objects, records)
    while heads := [stream.path for stream in streams if stream.path is not None]:
        path = min(heads)
        yield Row(path, files.take(path), objects.take(path), records.take(path))


class _Stream(Generic[_T]):
    def __init__(self, items: Iterator[_T]) -> None:
        self._items: Iterator[_T] = items
        self.path: bytes | None = None
        self._item: _T | None = None
        self._advance()

    def take(self, path: bytes) -> _T | None:
        """The item of this path, if it is the next."""
        item = self._item
        if self.path != path or item is None:
            return None
        self._advance()
        return item

    def _advance(self) -> None:
        before = self.path
        self._item = next(self._items, None)
        self.path = None if self._item is None else order_of(self._item)
        if before is not None and self.path is not None and self.path <= before:
            raise Unordered(f"{self.path!a} behind {before!a}")


def order_of(item: Found | Passed | Listed | ConfirmedFile) -> bytes:
    """By what an item is sorted: a key below the prefix."""
    if isinstance(item, Found):
        return item.key_path
    if isinstance(item, Passed) and item.is_directory and item.path:
        return item.path + b"/"
    return item.path
