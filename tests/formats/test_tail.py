"""What objects end with: written, read back, looked at with other eyes, and damaged."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from awscrt import checksums
from hypothesis import example, given
from hypothesis import strategies as st

from fastput.formats.damaged import Damaged
from fastput.formats.seekable import Frame, table_bytes
from fastput.formats.tail import (
    FACTS_BYTES,
    INDEX_HEADER_BYTES,
    Facts,
    IndexPlace,
    Need,
    Tail,
    facts_frame,
    index_frame,
    load_tail,
    tail_bytes,
)

MAGICS = (b"fastput\x01", b"\x57\x2a\x4d\x18\xf8\x01\x00\x00", b"\xb1\xea\x92\x8f")
FRAMES = [Frame(50, 100), Frame(60, 100), Frame(13, 7)]
INDEX = b"an index"
U64 = st.integers(0, 2**64 - 1)
LARGEST = IndexPlace(2**63, 2**63, 2**64 - 1, 2**63, "zstd")


def crc_text(data: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()


def written(is_compressed: bool, has_index: bool) -> bytes:
    """A whole object, whose frames are zeros."""
    body = bytes(123) if is_compressed else bytes(207)
    index = IndexPlace(0, 0, checksums.crc64nvme(INDEX), 3, "") if has_index else None
    facts = Facts(207, 99, 100 if is_compressed else None, index)
    return body + tail_bytes(facts, FRAMES if is_compressed else None, INDEX if has_index else None, len(body))


OBJECTS = [written(is_compressed, has_index) for is_compressed in (True, False) for has_index in (True, False)]


def loaded(data: bytes) -> Tail:
    tail = load_tail(data, len(data))
    assert isinstance(tail, Tail)
    return tail


def test_the_bytes_are_as_decided() -> None:
    """docs/decisions/0015-seekable-zstd.md"""
    data = written(True, True)
    table = table_bytes(FRAMES)
    assert data[123:131] == struct.pack("<II", 0x184D2A56, len(INDEX))
    assert data[131 : 131 + len(INDEX)] == INDEX
    facts = data[131 + len(INDEX) : -len(table)]
    assert data.endswith(table)
    assert facts[:8] == struct.pack("<II", 0x184D2A57, len(facts) - 8)
    assert facts[-8:] == b"fastput\x01"
    length = int.from_bytes(facts[-12:-8], "little")
    text = facts[-20 - length : -20]
    assert 8 + length + 20 == len(facts) == FACTS_BYTES
    assert int.from_bytes(facts[-20:-12], "big") == checksums.crc64nvme(text)
    assert json.loads(text) == {
        "version": 1,
        "content_bytes": 207,
        "content_crc64nvme": base64.b64encode((99).to_bytes(8, "big")).decode(),
        "frame_bytes": 100,
        "table_crc64nvme": crc_text(table),
        "index": {
            "offset_bytes": 131,
            "length_bytes": len(INDEX),
            "crc64nvme": crc_text(INDEX),
            "members": 3,
            "compression": "",
        },
    }


@pytest.mark.parametrize("data", OBJECTS)
def test_read_back(data: bytes) -> None:
    tail = loaded(data)
    assert tail.facts is not None
    assert (tail.facts.content_bytes, tail.facts.content_crc64nvme) == (207, 99)
    if tail.table is not None:
        assert [tail.table.frame(number).content_bytes for number in range(3)] == [100, 100, 7]
        assert tail.facts.frame_bytes == 100
    if tail.facts.index is not None:
        begin = tail.facts.index.offset_bytes
        assert data[begin : begin + tail.facts.index.length_bytes] == INDEX
        assert data[begin - INDEX_HEADER_BYTES :].startswith(index_frame(INDEX))


@pytest.mark.parametrize("data", OBJECTS)
def test_the_need_is_what_is_enough(data: bytes) -> None:
    """From any first piece of the end, at most two further ones are asked for, each larger, and the last is enough."""
    for length in range(len(data)):
        asked, had = 0, length
        while isinstance(tail := load_tail(data[len(data) - had :], len(data)), Need):
            assert had < tail.length_bytes <= len(data)
            asked, had = asked + 1, tail.length_bytes
        assert asked <= 2
        assert tail.facts is not None


@given(U64, U64, st.none() | U64, st.none() | U64)
@example(2**64 - 1, 2**64 - 1, 2**64 - 1, 2**64 - 1)
def test_facts_are_of_one_length(content_bytes: int, crc: int, frame_bytes: int | None, table_crc: int | None) -> None:
    for index in (None, LARGEST):
        assert len(facts_frame(Facts(content_bytes, crc, frame_bytes, index, table_crc))) == FACTS_BYTES


@pytest.mark.parametrize("data", OBJECTS)
def test_every_bit_of_the_tail(data: bytes) -> None:
    """A flipped bit in the facts or the table is found. The index has a CRC of its own, for whoever reads it."""
    facts_at = data.rfind(MAGICS[1])
    for at in range(facts_at, len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[at] ^= 1 << bit
            with pytest.raises(Damaged) as caught:
                load_tail(bytes(flipped), len(data))
            assert caught.value.offset_bytes is not None
            assert 0 <= caught.value.offset_bytes <= len(data)


@pytest.mark.parametrize("data", OBJECTS)
def test_every_truncation(data: bytes) -> None:
    for length in range(len(data)):
        cut = data[:length]
        if any(magic in cut for magic in MAGICS):
            with pytest.raises(Damaged):
                load_tail(cut, length)
        else:
            assert load_tail(cut, length) == Tail(None, None)


@given(st.sampled_from(OBJECTS), st.data())
def test_several_damages(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        damaged[draw.draw(st.integers(len(data) - 600, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(damaged[: len(data) - draw.draw(st.integers(0, 40))])
    try:
        tail = loaded(cut)
    except Damaged:
        return
    # Nothing wrong is believed: it is what was written, or none of ours.
    assert tail.facts in (None, loaded(data).facts)
    assert tail.table is None or tail.facts is not None


@given(st.binary(max_size=100), st.integers(0, 2**40))
@example(table_bytes(FRAMES), 123 + len(table_bytes(FRAMES)))
def test_anything(data: bytes, before_bytes: int) -> None:
    try:
        tail = load_tail(data, len(data) + before_bytes)
    except Damaged:
        return
    assert isinstance(tail, Need) or tail.facts is None


def test_plain_objects() -> None:
    for data in (b"", b"x", bytes(10_000), b"text\n" * 300):
        assert load_tail(data, len(data)) == Tail(None, None)


@pytest.mark.parametrize("data", OBJECTS)
def test_a_plain_object_that_holds_one_of_ours(data: bytes) -> None:
    """As a tar does, with the zeros behind its last member."""
    outer = bytes(512) + data + bytes(1024)
    assert load_tail(outer, len(outer)) == Tail(None, None)


def test_another_programs_table() -> None:
    data = bytes(123) + table_bytes(FRAMES)
    tail = loaded(data)
    assert tail.facts is None
    assert tail.table is not None
    assert tail.table.content_bytes == 207
    with pytest.raises(Damaged, match="another length"):
        load_tail(b"x" + data, len(data) + 1)


def test_one_wrong_bit_asks_for_no_gigabytes() -> None:
    tail = bytearray(written(True, True)[123:])
    tail[-6] ^= 0x01  # 2^24 frames more
    with pytest.raises(Damaged):
        load_tail(bytes(tail), 10 << 40)


def with_facts(document: object) -> bytes:
    text = json.dumps(document).encode().ljust(FACTS_BYTES - 28)
    crc = checksums.crc64nvme(text).to_bytes(8, "big")
    return struct.pack("<II", 0x184D2A57, FACTS_BYTES - 8) + text + crc + struct.pack("<I", len(text)) + b"fastput\x01"


GOOD = {"version": 1, "content_bytes": 0, "content_crc64nvme": "AAAAAAAAAAA="}


@pytest.mark.parametrize(
    "document",
    [
        None, [], {}, GOOD | {"version": 2}, GOOD | {"content_bytes": -1}, GOOD | {"content_bytes": True},
        GOOD | {"content_bytes": "0"}, GOOD | {"content_crc64nvme": 5}, GOOD | {"content_crc64nvme": "AAAA"},
        GOOD | {"content_crc64nvme": "é"}, GOOD | {"index": 5}, GOOD | {"index": {}}, GOOD | {"content_bytes": 1},
        GOOD | {"table_crc64nvme": "AAAAAAAAAAA="}, GOOD | {"frame_bytes": 0.5},
    ],
)  # fmt: skip
def test_facts_with_a_crc_that_make_no_sense(document: object) -> None:
    data = with_facts(document)
    with pytest.raises(Damaged):
        load_tail(data, len(data))


def test_the_facts_above_would_be_good() -> None:
    assert loaded(with_facts(GOOD)) == Tail(Facts(0, 0), None)


def test_an_index_and_its_facts_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        tail_bytes(Facts(0, 0), None, b"index", 0)
    with pytest.raises(ValueError, match="go together"):
        tail_bytes(Facts(0, 0, index=LARGEST), None, None, 0)
