"""The seek table of zstd's seekable format: where each frame of an object is, and what of the content it holds. Pure.

https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from fastput.formats.damaged import Damaged

# Programs that don't know what a skippable frame holds pass over it: magic, length of what follows, both u32 LE.
SKIPPABLE_HEADER = struct.Struct("<II")
TABLE_MAGIC = 0x184D2A5E
# The end of the table: frames, descriptor, magic.
_FOOTER = struct.Struct("<IBI")
_FOOTER_MAGIC = 0x8F92EAB1
_HAS_CHECKSUMS = 0x80
_RESERVED_BITS = 0x7C
MAX_FRAMES = 1 << 27


@dataclass(frozen=True, slots=True)
class Frame:
    """The sizes of one frame, as it is stored and of its content; both below 4 GiB."""

    compressed_bytes: int
    content_bytes: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where one frame is in the object, and its content in the whole content."""

    compressed_offset_bytes: int
    compressed_bytes: int
    content_offset_bytes: int
    content_bytes: int


def table_bytes(frames: Sequence[Frame]) -> bytes:
    """The seek table of these frames, as the skippable frame that an object ends with.

    Raises:
        ValueError: more frames than the format takes.
        OverflowError: a frame of 4 GiB or more.
    """
    if len(frames) > MAX_FRAMES:
        raise ValueError(f"{len(frames):,} frames; a seek table takes {MAX_FRAMES:,}")
    sizes = chain.from_iterable((frame.compressed_bytes, frame.content_bytes) for frame in frames)
    entries = _little_endian(array("I", sizes)).tobytes()
    header = SKIPPABLE_HEADER.pack(TABLE_MAGIC, len(entries) + _FOOTER.size)
    return header + entries + _FOOTER.pack(len(frames), 0, _FOOTER_MAGIC)


def table_length(end: bytes) -> int | None:
    """How long the seek table is, its header included, that an object with this end has; None: it ends with none.

    Raises:
        Damaged: it says what no table says. The place counts from the beginning of end.
    """
    if len(end) < _FOOTER.size:
        return None
    count, descriptor, magic = _FOOTER.unpack_from(end, len(end) - _FOOTER.size)
    if magic != _FOOTER_MAGIC:
        return None
    if count > MAX_FRAMES or descriptor & _RESERVED_BITS:
        raise Damaged("the footer of the seek table says what no table says", len(end) - _FOOTER.size)
    entries_bytes: int = count * _entry_bytes(descriptor)
    return SKIPPABLE_HEADER.size + entries_bytes + _FOOTER.size


def load_table(data: bytes) -> SeekTable:
    """Reads a seek table, from its header to its end, also one of another program with checksums (which are left out).

    Raises:
        Damaged: it is none. The place counts from the beginning of data.
    """
    if table_length(data) != len(data):
        raise Damaged("this is no seek table, or not all of it", 0)
    if SKIPPABLE_HEADER.unpack_from(data) != (TABLE_MAGIC, len(data) - SKIPPABLE_HEADER.size):
        raise Damaged("the header of the seek table isn't one, or gives another length than its footer", 0)
    _, descriptor, _ = _FOOTER.unpack_from(data, len(data) - _FOOTER.size)
    entries = array("I", data[SKIPPABLE_HEADER.size : -_FOOTER.size])
    fields = _entry_bytes(descriptor) // entries.itemsize
    entries = _little_endian(entries)
    return SeekTable.of_sizes(entries[0::fields], entries[1::fields])


def _entry_bytes(descriptor: int) -> int:
    return 12 if descriptor & _HAS_CHECKSUMS else 8


def _little_endian(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class SeekTable:
    """Which frames hold a range of the content, and where they are. Frames count from 0."""

    __slots__ = ("_compressed", "_content")

    def __init__(self, frames: Sequence[Frame]) -> None:
        # Where each frame begins, and, one more, where the last one ends.
        self._compressed = _sums(frame.compressed_bytes for frame in frames)
        self._content = _sums(frame.content_bytes for frame in frames)

    @classmethod
    def of_sizes(cls, compressed_bytes: Iterable[int], content_bytes: Iterable[int]) -> SeekTable:
        """The same of millions of frames, without an object for each."""
        table = cls(())
        table._compressed = _sums(compressed_bytes)
        table._content = _sums(content_bytes)
        return table

    @property
    def count(self) -> int:
        return len(self._content) - 1

    @property
    def compressed_bytes(self) -> int:
        """Of all frames; what follows them isn't counted."""
        return self._compressed[-1]

    @property
    def content_bytes(self) -> int:
        return self._content[-1]

    def frame(self, number: int) -> Place:
        """
        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= number < self.count:
            raise IndexError(f"frame {number:,} of {self.count:,}")
        compressed, compressed_end = self._compressed[number : number + 2]
        content, content_end = self._content[number : number + 2]
        return Place(compressed, compressed_end - compressed, content, content_end - content)

    def frames_of(self, offset_bytes: int, length_bytes: int) -> range:
        """The frames that hold this range of the content, or as much of it as there is."""
        # Of frames that begin at the same byte, all but the last are empty.
        first = bisect_right(self._content, offset_bytes) - 1
        stop = bisect_left(self._content, min(offset_bytes + length_bytes, self.content_bytes))
        return range(first, stop) if length_bytes > 0 else range(0)


def _sums(sizes: Iterable[int]) -> array[int]:
    return array("Q", accumulate(sizes, initial=0))
