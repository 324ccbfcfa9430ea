"""Frames of zstd, and whole objects of them as other programs read them."""

from __future__ import annotations

import io
import subprocess
import threading
from pathlib import Path

import indexed_zstd
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fastput.codec import Codec, ZstdCodec
from fastput.formats.damaged import Damaged
from fastput.formats.seekable import Frame
from fastput.formats.tail import Facts, IndexPlace, Tail, load_tail, tail_bytes
from tests.support.content import content

CODEC: Codec = ZstdCodec()
TEXT = b"".join(b"%d,%d\n" % (number, number * number) for number in range(20_000))
PIECES = [TEXT[:100_000], content(150_000), b"", TEXT[100_000:], b"x"]
WHOLE = b"".join(PIECES)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Frames of several levels, an index, facts and a seek table."""
    stored = [CODEC.encode(piece, level) for piece, level in zip(PIECES, (3, 0, 1, 9, 0), strict=True)]
    frames = [Frame(len(frame), len(piece)) for frame, piece in zip(stored, PIECES, strict=True)]
    index = CODEC.encode(TEXT, 3)  # frames within a skippable frame aren't looked at
    body = b"".join(stored)
    facts = Facts(len(WHOLE), 0, 1 << 20, IndexPlace(0, 0, 0, 1, "zstd"))
    path = tmp_path / "x.zst"
    path.write_bytes(body + tail_bytes(facts, frames, index, len(body)))
    return path


def test_the_zstd_program(archive: Path) -> None:
    assert subprocess.run(["zstd", "-dcq", archive], capture_output=True, check=True).stdout == WHOLE
    listed = subprocess.run(["zstd", "-lv", archive], capture_output=True, text=True, check=True).stdout
    assert f"# Zstandard Frames: {len(PIECES)}\n" in listed
    assert "# Skippable Frames: 3\n" in listed
    assert f"({len(WHOLE)} B)" in listed
    assert "Check: XXH64" in listed


def test_python_zstandard(archive: Path) -> None:
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read_bytes()), read_across_frames=True)
    assert stream.read() == WHOLE


def test_indexed_zstd(archive: Path) -> None:
    with indexed_zstd.IndexedZstdFile(str(archive)) as file:
        for offset in (0, 99_999, 100_000, 250_000, 250_001, len(WHOLE) - 2):
            file.seek(offset)
            assert file.read(60_000) == WHOLE[offset : offset + 60_000]


def test_frames_by_the_table(archive: Path) -> None:
    data = archive.read_bytes()
    tail = load_tail(data, len(data))
    assert isinstance(tail, Tail)
    assert tail.table is not None
    places = [tail.table.frame(number) for number in tail.table.frames_of(0, len(WHOLE))]
    frames = [
        (data[place.compressed_offset_bytes :][: place.compressed_bytes], place.content_bytes) for place in places
    ]
    assert b"".join(CODEC.decode(*frame) for frame in frames) == WHOLE


@given(st.binary(max_size=5000), st.sampled_from([0, 1, 3, 19]))
def test_there_and_back(data: bytes, level: int) -> None:
    frame = CODEC.encode(memoryview(data), level)
    parameters = zstandard.get_frame_parameters(frame)
    assert (parameters.content_size, parameters.has_checksum) == (len(data), True)
    assert zstandard.decompress(frame) == data
    assert CODEC.decode(memoryview(frame), len(data)) == data


def test_level_0_adds_next_to_nothing() -> None:
    data = content(1 << 20)
    # 3 bytes for each of its blocks of 128 KiB, and a header and a checksum.
    assert len(CODEC.encode(data, 0)) <= len(data) + 8 * 3 + 14


def test_frames_without_a_content_size() -> None:
    for data in (TEXT, b"x", b""):
        stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
        frame = stream.compress(data) + stream.flush()
        assert CODEC.decode(frame, len(data)) == data
        with pytest.raises(Damaged):
            CODEC.decode(frame, len(data) + 1)
        if data:
            with pytest.raises(Damaged):
                CODEC.decode(frame, len(data) - 1)


@pytest.mark.parametrize("data", [b"", b"x", TEXT, content(5000)])
@pytest.mark.parametrize("level", [0, 3])
def test_damage(data: bytes, level: int) -> None:
    frame = CODEC.encode(data, level)
    wrong = {
        "another length": (frame, len(data) + 1),
        "cut off": (frame[:-1], len(data)),
        "nothing": (b"", len(data)),
        "followed by a byte": (frame + b"x", len(data)),
        "followed by a frame": (frame + frame, len(data)),
        "a skippable frame": (b"\x57\x2a\x4d\x18\x00\x00\x00\x00", len(data)),
    }
    for name, (bytes_of_it, content_bytes) in wrong.items():
        if name == "a skippable frame" and not data:
            continue
        with pytest.raises(Damaged):
            CODEC.decode(bytes_of_it, content_bytes)


@given(st.data())
def test_a_flipped_bit(draw: st.DataObject) -> None:
    data = TEXT[:3000]
    frame = bytearray(CODEC.encode(data, draw.draw(st.sampled_from([0, 3]))))
    frame[draw.draw(st.integers(0, len(frame) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    try:
        assert CODEC.decode(frame, len(data)) == data  # a bit that says nothing
    except Damaged:
        pass


def test_a_frame_that_claims_4_gib_allocates_nothing() -> None:
    # A header with a content size of 8 bytes.
    frame = b"\x28\xb5\x2f\xfd\xe0" + (1 << 50).to_bytes(8, "little") + bytes(20)
    with pytest.raises(Damaged, match="instead of 5"):
        CODEC.decode(frame, 5)


def test_threads() -> None:
    failed: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for round_number in range(20):
                data = content(50_000, seed) + TEXT[: 1000 * round_number]
                frame = CODEC.encode(data, round_number % 4)
                assert zstandard.decompress(frame) == data
                assert CODEC.decode(frame, len(data)) == data
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
