"""Seek tables, against a reading of the specification that has nothing in common with the one of fastput."""

from __future__ import annotations

import struct
from pathlib import Path

import indexed_zstd
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fastput.formats.damaged import Damaged
from fastput.formats.seekable import Frame, Place, SeekTable, load_table, table_bytes, table_length
from tests.support.content import content

SIZES = st.integers(0, 2**32 - 1)
FRAMES = st.lists(st.builds(Frame, SIZES, SIZES), max_size=20)


def parsed(table: bytes) -> list[tuple[int, ...]]:
    """After zstd_seekable_compression_format.md, entry by entry."""
    assert table[:4] == b"\x5e\x2a\x4d\x18"
    assert int.from_bytes(table[4:8], "little") == len(table) - 8
    assert table[-4:] == b"\xb1\xea\x92\x8f"
    count, descriptor = int.from_bytes(table[-9:-5], "little"), table[-5]
    width = 3 if descriptor & 0x80 else 2
    assert len(table) == 8 + 4 * width * count + 9
    return [struct.unpack_from(f"<{width}I", table, 8 + 4 * width * number) for number in range(count)]


def with_checksums(frames: list[Frame]) -> bytes:
    entries = b"".join(struct.pack("<III", f.compressed_bytes, f.content_bytes, 0xDEADBEEF) for f in frames)
    return (
        struct.pack("<II", 0x184D2A5E, len(entries) + 9) + entries + struct.pack("<IBI", len(frames), 0x80, 0x8F92EAB1)
    )


@given(FRAMES)
def test_the_table_is_as_specified(frames: list[Frame]) -> None:
    table = table_bytes(frames)
    assert parsed(table) == [(frame.compressed_bytes, frame.content_bytes) for frame in frames]
    assert table_length(b"before" + table) == len(table)


@given(FRAMES, st.booleans())
def test_places(frames: list[Frame], has_checksums: bool) -> None:
    data = with_checksums(frames) if has_checksums else table_bytes(frames)
    for table in (load_table(data), SeekTable(frames)):
        assert table.count == len(frames)
        compressed = content_offset = 0
        for number, frame in enumerate(frames):
            place = Place(compressed, frame.compressed_bytes, content_offset, frame.content_bytes)
            assert table.frame(number) == place
            compressed += frame.compressed_bytes
            content_offset += frame.content_bytes
        assert (table.compressed_bytes, table.content_bytes) == (compressed, content_offset)
        for number in (-1, len(frames)):
            with pytest.raises(IndexError):
                table.frame(number)


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 45), st.integers(0, 45))
def test_frames_of_a_range(sizes: list[int], offset: int, length: int) -> None:
    owners = [number for number, size in enumerate(sizes) for _ in range(size)]
    held = owners[offset : offset + length]
    found = SeekTable([Frame(9, size) for size in sizes]).frames_of(offset, length)
    assert list(found) == (list(range(held[0], held[-1] + 1)) if held else [])


def test_more_than_32_bits() -> None:
    table = SeekTable([Frame(2**32 - 1, 2**32 - 1)] * 10_000)
    assert table.frame(9_999).content_offset_bytes == 9_999 * (2**32 - 1)
    assert table.frames_of(5_000 * (2**32 - 1), 1) == range(5_000, 5_001)


def test_a_frame_has_less_than_4_gib() -> None:
    with pytest.raises(OverflowError):
        table_bytes([Frame(2**32, 1)])


@given(FRAMES, st.data())
def test_wrong_tables(frames: list[Frame], data: st.DataObject) -> None:
    table = bytearray(table_bytes(frames))
    structure = [*range(8), *range(len(table) - 9, len(table))]
    at, bit = data.draw(st.sampled_from(structure)), data.draw(st.integers(0, 7))
    ignored = at == len(table) - 5 and bit < 2  # the specification leaves these two to whoever writes
    table[at] ^= 1 << bit
    if ignored:
        assert load_table(bytes(table)).count == len(frames)
        return
    # 0 frames with checksums take as much as 0 without.
    if not frames and at == len(table) - 5 and bit == 7:
        assert load_table(bytes(table)).count == 0
        return
    with pytest.raises(Damaged):
        load_table(bytes(table))


@given(st.binary(max_size=64))
def test_anything(data: bytes) -> None:
    with pytest.raises(Damaged):
        load_table(data)
    with pytest.raises(Damaged):
        load_table(table_bytes([Frame(1, 2)]) + data[:1] + b"x")
    with pytest.raises(Damaged):
        load_table(table_bytes([Frame(1, 2)])[1:])


def test_other_programs_seek_with_it(tmp_path: Path) -> None:
    pieces = [content(size, seed) for seed, size in enumerate([70_000, 1, 300_000, 12_345], 1)]
    stored = [zstandard.compress(piece) for piece in pieces]
    frames = [Frame(len(frame), len(piece)) for frame, piece in zip(stored, pieces, strict=True)]
    (tmp_path / "x.zst").write_bytes(b"".join(stored) + table_bytes(frames))
    whole = b"".join(pieces)
    with indexed_zstd.IndexedZstdFile(str(tmp_path / "x.zst")) as file:
        for offset in (0, 69_999, 70_000, 70_001, 370_000, len(whole) - 1):
            file.seek(offset)
            assert file.read(100) == whole[offset : offset + 100]
