"""The member index of an archive, as the bytes that it is. Pure.

An archive may have millions of members: the bytes are searched, and only the lines that are wanted are parsed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

from fastput.formats.members import IndexedMember, parse

# Quotes within names are escaped: what stands between these can't be part of one.
_NAME = b'{"name":'
_LINKS = (b',"type":"symlink",', b',"type":"hardlink",')


class Index:
    """Names are given as they stand: they may be hostile."""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    @property
    def count(self) -> int:
        return self._lines.count(b"\n")

    def find(self, name: bytes) -> IndexedMember | None:
        """
        Raises:
            Damaged: the line isn't one.
        """
        return next(parse(self._with(_NAME + _json(name) + b",")), None)

    def below(self, directory: bytes) -> Iterator[IndexedMember]:
        """The members below a directory, in their order; below b"": all.

        Raises:
            Damaged: a line isn't one.
        """
        if not directory:
            return parse(io.BytesIO(self._lines))
        return parse(self._with(_NAME + _json(directory + b"/")[:-1]))

    def links(self) -> Iterator[IndexedMember]:
        """Symbolic and hard links. Errors as below()."""
        for mark in _LINKS:
            yield from parse(self._with(mark))

    def _with(self, mark: bytes) -> Iterator[bytes]:
        """The lines that have it."""
        lines, end = self._lines, 0
        while (at := lines.find(mark, end)) >= 0:
            end = lines.find(b"\n", at) + 1 or len(lines)
            yield lines[lines.rfind(b"\n", 0, at) + 1 : end]


def _json(name: bytes) -> bytes:
    """As members.line() writes it."""
    return json.dumps(name.decode("utf-8", "surrogateescape")).encode()
