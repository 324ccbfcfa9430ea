"""Which bytes of an object are read for a range of its content, request by request. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastput.formats.seekable import SeekTable


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that lie in a row, and what of the content they hold.

    Attributes:
        frames: in these; none: the bytes are the content.
    """

    stored_offset_bytes: int
    stored_bytes: int
    offset_bytes: int
    length_bytes: int
    frames: range


def pieces(table: SeekTable | None, offset_bytes: int, length_bytes: int, most_bytes: int) -> Iterator[Piece]:
    """What holds a range of the content, in order. Of frames it is whole ones, and so it may begin before the range.

    Args:
        table: None: the object is its content.
        most_bytes: of content in a piece; more only where a frame has more.
    """
    if table is None:
        end_bytes = offset_bytes + length_bytes
        for begin in range(offset_bytes, end_bytes, most_bytes):
            taken_bytes = min(most_bytes, end_bytes - begin)
            yield Piece(begin, taken_bytes, begin, taken_bytes, range(0))
        return
    frames = table.frames_of(offset_bytes, length_bytes)
    begin = frames.start
    while begin < frames.stop:
        first = last = table.frame(begin)
        stop = begin + 1
        while stop < frames.stop:
            following = table.frame(stop)
            if following.content_offset_bytes + following.content_bytes - first.content_offset_bytes > most_bytes:
                break
            last = following
            stop += 1
        yield Piece(
            stored_offset_bytes=first.compressed_offset_bytes,
            stored_bytes=last.compressed_offset_bytes + last.compressed_bytes - first.compressed_offset_bytes,
            offset_bytes=first.content_offset_bytes,
            length_bytes=last.content_offset_bytes + last.content_bytes - first.content_offset_bytes,
            frames=range(begin, stop),
        )
        begin = stop
