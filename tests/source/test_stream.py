"""Streams of unknown length: short reads, ends and failures."""

from __future__ import annotations

import gzip
import io
import os
import threading

import pytest

from fastput.errors import SourceReadError
from fastput.source import StreamSource
from tests.support.content import content


class Dribble(io.RawIOBase):
    """Gives at most a few bytes a read, as pipes and sockets do, and then does something else."""

    def __init__(self, data: bytes, step_bytes: int, error: BaseException | None = None) -> None:
        self._inner = io.BytesIO(data)
        self._step_bytes = step_bytes
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got_bytes = self._inner.readinto(buffer[: self._step_bytes])
        if not got_bytes and self._error is not None:
            raise self._error
        return got_bytes


def test_short_reads_are_put_together() -> None:
    source = StreamSource(Dribble(content(1000), 7))  # type: ignore[arg-type]
    assert (source.size_bytes, source.stat()) == (None, None)
    parts = [source.read(300).data[0] for _ in range(5)]
    assert [len(part) for part in parts] == [300, 300, 300, 100, 0]
    assert b"".join(parts) == content(1000)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("read of closed file")])
def test_an_error_in_the_middle(error: Exception) -> None:
    source = StreamSource(Dribble(content(1000), 7, error), "<stdin>")  # type: ignore[arg-type]
    source.read(900)
    with pytest.raises(SourceReadError, match=r"<stdin>: reading failed: .*(error|closed)"):
        source.read(200)


def test_a_stream_that_breaks_in_its_own_way() -> None:
    """Was a bug: only OSError and ValueError were turned into SourceReadError. A cut-off gzip raises
    EOFError, a damaged one zlib.error; they went through to the engine, which failed every upload of the client."""
    cut = gzip.compress(content(100_000))[:50_000]
    with gzip.open(io.BytesIO(cut)) as stream, pytest.raises(SourceReadError):
        StreamSource(stream).read(100_000)  # type: ignore[arg-type]


def test_a_pipe() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(content(300_000))

    thread = threading.Thread(target=write)
    thread.start()
    with open(reading, "rb", buffering=0) as pipe:
        source = StreamSource(pipe)
        assert source.read(200_000).data[0] + source.read(200_000).data[0] == content(300_000)
        assert source.read(1).data == [b""]
    thread.join()


def test_a_pipe_that_is_empty_for_a_moment_has_not_ended() -> None:
    """Was a bug: readinto's None (nothing now, on a non-blocking descriptor) was taken for the end,
    and the object was cut off there without a word."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.write(writing, b"first")
    with open(reading, "rb", buffering=0) as pipe:
        source = StreamSource(pipe)
        result: list[object] = []

        def read() -> None:
            try:
                result.append(bytes(source.read(100).data[0]))
            except SourceReadError as error:
                result.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join(0.2)  # not for its end: so that the pipe is likely to be found empty
        os.write(writing, b"second")
        os.close(writing)
        thread.join()
    # Waiting is right; an error is too. Silence isn't.
    assert result == [b"firstsecond"] or isinstance(result[0], SourceReadError)


def test_closing_leaves_the_stream_open() -> None:
    stream = io.BytesIO(b"x")
    StreamSource(stream).close()
    assert not stream.closed
