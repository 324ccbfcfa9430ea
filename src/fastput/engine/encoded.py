"""A source that is compressed on its way: frames made on all cores, in order, collected into parts.

    source -> runs of frames, each on a thread of its own (read, hash, compress) -> pieces, which end where frames do

A run is begun ahead of its turn, a bounded number of them. What is behind the last frame is in formats/tail.py.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from fastput.codec import Codec
from fastput.engine.job import Compression
from fastput.engine.leveler import Leveler
from fastput.formats.seekable import Frame
from fastput.formats.tail import ENCODING_METADATA, Facts, IndexPlace, tail_bytes
from fastput.limits import AMAZON_S3, MIB
from fastput.model import Checksum, Content, Part, SourceStat, encode_crc
from fastput.native.crc import crc64nvme, crc64nvme_combine
from fastput.source import Piece, Source, SourceBase
from fastput.tuner.compression import LinkRate

# Of content, in one hand-over to a thread; and begun ahead, for each of them.
_RUN_BYTES = 4 * MIB
_RUNS_AHEAD = 4
# What is compressed before anything is sent, to see whether it is worth it.
_SAMPLES, _SAMPLE_BYTES = 4, MIB // 2
# Lines are much alike.
_INDEX_LEVEL = 3
_CRC, _FRAME = struct.Struct("<Q"), struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class _Made:
    """A frame, and the CRC64NVME of its content."""

    data: bytes
    content_bytes: int
    crc64nvme: int


class EncodedSource(SourceBase):
    """
    Args:
        source: of any kind; it is closed with this one.
        link_rate: what the link is known to take now; any thread.
    """

    size_bytes: int | None = None

    def __init__(
        self, source: Source, codec: Codec, compression: Compression, link_rate: Callable[[], LinkRate]
    ) -> None:
        self.name = source.name
        self._source = source
        self._codec = codec
        self._encoding = f"{codec.name}-seekable"
        self._frame_bytes = compression.frame_bytes
        cores = len(os.sched_getaffinity(0))
        self._leveler = Leveler(compression.level, cores, link_rate)
        self._pool = ThreadPoolExecutor(cores, "fastput-codec")
        # A pipe may be slow: what it has given isn't kept waiting for more than a run for each core.
        self._most_runs = cores if source.size_bytes is None else _RUNS_AHEAD * cores
        self._local = threading.local()
        self._runs: deque[Future[list[_Made]]] = deque()
        self._made: deque[_Made] = deque()
        self._frames: list[Frame] = []
        self._begun_bytes = 0  # of the content
        self._has_ended = False  # the content
        self._object_bytes = 0
        self._content_bytes = 0
        self._content_crc64nvme = 0
        self._is_one_piece = False
        self._was_whole = False  # an earlier run has sent the end, too: it goes with the last of the content

    def stat(self) -> SourceStat | None:
        return self._source.stat()

    def check_unchanged(self) -> None:
        self._source.check_unchanged()

    def read(self, length_bytes: int) -> Piece:
        """Frames of about so many bytes together; with the last of them, what an object ends with."""
        if self._was_whole:
            return Piece([], is_last=True)
        is_first = not self._frames
        if self._leveler.needs_sample:
            self._sample()
        taken: list[bytes] = []
        frames: list[Frame] = []
        taken_bytes, crc = 0, 0
        while (made := self._next(taken_bytes, length_bytes)) is not None:
            taken.append(made.data)
            taken_bytes += len(made.data)
            frames.append(Frame(len(made.data), made.content_bytes))
            crc = crc64nvme_combine(crc, made.crc64nvme, made.content_bytes)
        self._take(frames, crc)
        is_last = self._has_ended and not self._runs and not self._made
        if is_last:
            taken.append(self._tail())
            self._is_one_piece = is_first
        return Piece(taken, is_last, _note(frames, crc))

    def metadata(self) -> Mapping[str, str]:
        said = {ENCODING_METADATA: self._encoding, "fastput-frame-size": str(self._frame_bytes)}
        if (size_bytes := self._content_bytes if self._is_one_piece else self._source.size_bytes) is not None:
            said["fastput-content-size"] = str(size_bytes)
        if self._is_one_piece:
            said["fastput-content-crc64nvme"] = encode_crc(self._content_crc64nvme, Checksum.CRC64NVME)
        return said

    def content(self) -> Content:
        crc = encode_crc(self._content_crc64nvme, Checksum.CRC64NVME)
        return Content(self._encoding, self._content_bytes, crc, len(self._frames), self._frame_bytes)

    def go_on(self, notes: Sequence[bytes], checks: Sequence[int]) -> int | None:
        offset_bytes = 0
        for number, note in enumerate(notes):
            frames, crc = parse_note(note)
            content_bytes = sum(frame.content_bytes for frame in frames)
            if number in checks and self._crc(offset_bytes, content_bytes) != crc:
                return number
            offset_bytes += content_bytes
        for note in notes:
            self._take(*parse_note(note))
        self._begun_bytes = self._content_bytes
        self._was_whole = self._content_bytes == self._source.size_bytes
        return None

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._source.close()

    # ---- frames, in order

    def _next(self, taken_bytes: int, wanted_bytes: int) -> _Made | None:
        """The next frame of a piece that has so many bytes already; None: it is full, or there are no more."""
        while not self._made:
            self._begin_runs()
            if not self._runs:
                return None
            self._made.extend(self._runs.popleft().result())
        self._begin_runs()
        is_enough = taken_bytes >= min(wanted_bytes, AMAZON_S3.min_part_bytes)
        if is_enough and taken_bytes + len(self._made[0].data) > wanted_bytes:
            return None
        return self._made.popleft()

    def _begin_runs(self) -> None:
        while not self._has_ended and len(self._runs) < self._most_runs:
            size_bytes = self._source.size_bytes
            if size_bytes is None:
                piece = self._source.read(max(_RUN_BYTES, self._frame_bytes))
                self._has_ended = piece.is_last
                if piece.length_bytes or not self._begun_bytes:
                    content = piece.data[0] if len(piece.data) == 1 else b"".join(piece.data)
                    self._runs.append(self._pool.submit(self._encode_memory, memoryview(content)))
                self._begun_bytes += piece.length_bytes
                continue
            places = self._places(size_bytes)
            self._has_ended = self._begun_bytes >= size_bytes
            if places:
                self._runs.append(self._pool.submit(self._encode_range, places))

    def _places(self, size_bytes: int) -> list[Part]:
        """Where the frames of the next run lie. An empty source is one empty frame."""
        places: list[Part] = []
        begin_bytes = self._begun_bytes
        while self._begun_bytes < size_bytes and self._begun_bytes - begin_bytes < _RUN_BYTES:
            end_bytes = self._source.cut(self._begun_bytes, min(self._begun_bytes + self._frame_bytes, size_bytes))
            places.append(Part(1, self._begun_bytes, end_bytes - self._begun_bytes))
            self._begun_bytes = end_bytes
        return places if size_bytes else [Part(1, 0, 0)]

    def _take(self, frames: Sequence[Frame], crc: int) -> None:
        """They are of the object from now on."""
        content_bytes = sum(frame.content_bytes for frame in frames)
        self._frames += frames
        self._object_bytes += sum(frame.compressed_bytes for frame in frames)
        self._content_bytes += content_bytes
        self._content_crc64nvme = crc64nvme_combine(self._content_crc64nvme, crc, content_bytes)

    def _tail(self) -> bytes:
        facts, payload = Facts(self._content_bytes, self._content_crc64nvme, self._frame_bytes), None
        if (index := self._source.index()) is not None:
            lines, members = index
            payload = self._codec.encode(lines, _INDEX_LEVEL)
            facts = replace(facts, index=IndexPlace(0, 0, crc64nvme(payload), members, self._codec.name))
        return tail_bytes(facts, self._frames, payload, self._object_bytes)

    def _sample(self) -> None:
        """Some of the content, to begin with the right level; a stream's first frames are sample enough."""
        if not (size_bytes := self._source.size_bytes):
            return
        length_bytes = min(_SAMPLE_BYTES, size_bytes)
        content_bytes = made_bytes = 0
        took_s = 0.0
        for number in range(_SAMPLES):
            offset_bytes = (size_bytes - length_bytes) * number // (_SAMPLES - 1)
            content, _ = self._read(Part(1, offset_bytes, length_bytes))
            begun_s = time.perf_counter()
            made_bytes += len(self._codec.encode(content, 1))
            took_s += time.perf_counter() - begun_s
            content_bytes += length_bytes
        self._leveler.sampled(content_bytes, made_bytes, took_s)

    def _crc(self, offset_bytes: int, length_bytes: int) -> int:
        """Of the content, read once more."""
        crc = 0
        while length_bytes:
            place = Part(1, offset_bytes, min(length_bytes, _RUN_BYTES))
            _, more = self._read(place)
            crc = crc64nvme_combine(crc, more, place.length_bytes)
            offset_bytes, length_bytes = offset_bytes + place.length_bytes, length_bytes - place.length_bytes
        return crc

    # ---- on the pool's threads

    def _encode_range(self, places: Sequence[Part]) -> list[_Made]:
        return [self._encode(*self._read(place)) for place in places]

    def _read(self, place: Part) -> tuple[memoryview, int]:
        """(content, its CRC64NVME) in this thread's own buffer, which stays in its core's cache."""
        buffer: bytearray | None = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < place.length_bytes:
            buffer = self._local.buffer = bytearray(max(self._frame_bytes, place.length_bytes))
        body = self._source.body(place, None)
        view = memoryview(buffer)[: place.length_bytes]
        body.readinto(view)
        if (error := self._source.failure_of(body)) is not None:
            raise error
        return view, body.crc64nvme

    def _encode_memory(self, content: memoryview) -> list[_Made]:
        begins = range(0, max(len(content), 1), self._frame_bytes)
        views = (content[begin : begin + self._frame_bytes] for begin in begins)
        return [self._encode(view, crc64nvme(view)) for view in views]

    def _encode(self, content: memoryview, crc: int) -> _Made:
        level = self._leveler.next()
        begun_s = time.perf_counter()
        data = self._codec.encode(content, level)
        self._leveler.note(level, len(content), len(data), time.perf_counter() - begun_s)
        return _Made(data, len(content), crc)


def _note(frames: Sequence[Frame], crc: int) -> bytes:
    return _CRC.pack(crc) + b"".join(_FRAME.pack(frame.compressed_bytes, frame.content_bytes) for frame in frames)


def parse_note(note: bytes) -> tuple[list[Frame], int]:
    """(the frames of a piece, the CRC64NVME of their content), from what a journal and a receipt have of it."""
    return [Frame(*pair) for pair in _FRAME.iter_unpack(note[_CRC.size :])], _CRC.unpack_from(note)[0]
