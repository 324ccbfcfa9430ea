"""Memory of any item type and shape."""

from __future__ import annotations

import array
import math
import mmap
from typing import Any

import numpy as np
import pytest

from fastput.model import Part
from fastput.source import BufferSource
from tests.support.content import content


def sent(source: BufferSource) -> bytes:
    assert source.size_bytes is not None
    return source.body(Part(1, 0, source.size_bytes), None).read()


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", ">f4", "<f8", "c16", "?", "f2", "S3", "i4,f8"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (0,), (3, 0)])
def test_arrays(dtype: str, shape: tuple[int, ...]) -> None:
    size_bytes = np.dtype(dtype).itemsize * math.prod(shape)
    values = np.frombuffer(content(size_bytes), dtype=dtype).reshape(shape)
    assert sent(BufferSource(values)) == values.tobytes()


def test_parts_of_it() -> None:
    values = np.arange(100, dtype=">u4")
    source = BufferSource(values)
    assert source.body(Part(2, 10, 33), None).read() == values.tobytes()[10:43]


@pytest.mark.parametrize(
    "values", [np.zeros(10)[::2], np.asfortranarray(np.zeros((3, 4))), np.zeros((4, 4))[:, :2]], ids=str
)
def test_what_is_not_in_one_piece_is_refused(values: np.ndarray[Any, Any]) -> None:
    with pytest.raises(TypeError):
        BufferSource(values)


def test_other_buffers() -> None:
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:5] = b"hello"
        source = BufferSource(mapped)
        assert sent(source)[:5] == b"hello"
        source.close()
    assert sent(BufferSource(array.array("d", [1.0, 2.0]))) == array.array("d", [1.0, 2.0]).tobytes()
    assert sent(BufferSource(b"")) == b""
    assert sent(BufferSource(memoryview(b"abcdef")[1:4])) == b"bcd"


def test_closing_lets_go() -> None:
    data = bytearray(b"data")
    source = BufferSource(data)
    assert source.stat() is None
    source.check_unchanged()
    assert sent(source) == b"data"
    source.close()
    data.append(0)
