"""Frames of zstd, each with its content size and zstd's own checksum: docs/decisions/0015-seekable-zstd.md"""

from __future__ import annotations

import threading

import zstandard

from fastput.formats.damaged import Damaged

# Looks at next to nothing of what doesn't shrink and stores it as raw blocks; zstd's own 0 is its default, 3.
_AS_IT_IS = -100


class ZstdCodec:
    """zstd's contexts serve one thread at a time: each thread has its own, one for each level that it has used."""

    name = "zstd"
    suffix = ".zst"

    def __init__(self) -> None:
        self._contexts = _Contexts()

    def encode(self, content: bytes | bytearray | memoryview, level: int) -> bytes:
        return self._contexts.compressor(level).compress(content)

    def decode(self, frame: bytes | bytearray | memoryview, content_bytes: int) -> bytes:
        try:
            content = self._decode(frame, content_bytes)
        except zstandard.ZstdError as error:
            raise Damaged(f"zstd says: {error}") from error
        if len(content) != content_bytes:
            raise Damaged(f"the frame holds {len(content):,} bytes of content instead of {content_bytes:,}")
        return content

    def _decode(self, frame: bytes | bytearray | memoryview, content_bytes: int) -> bytes:
        # Before anything is allocated: what the frame says of itself may be anything.
        stated_bytes = zstandard.get_frame_parameters(frame).content_size
        if stated_bytes not in (content_bytes, zstandard.CONTENTSIZE_UNKNOWN):
            raise Damaged(f"the frame says {stated_bytes:,} bytes of content instead of {content_bytes:,}")
        decompressor = self._contexts.decompressor
        if stated_bytes == 0:
            # decompress() doesn't look at what follows the header of an empty frame.
            whole = decompressor.decompressobj()
            content = whole.decompress(frame)
            if not whole.eof or whole.unused_data:
                raise Damaged("the frame of no content is cut off, or something follows it")
        else:
            # 0 would mean: as much as the frame says.
            content = decompressor.decompress(frame, max_output_size=max(content_bytes, 1), allow_extra_data=False)
        return content


class _Contexts(threading.local):
    """Of one thread."""

    def __init__(self) -> None:
        self._compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()

    def compressor(self, level: int) -> zstandard.ZstdCompressor:
        made = self._compressors.get(level)
        if made is None:
            made = zstandard.ZstdCompressor(level=level or _AS_IT_IS, write_checksum=True, write_content_size=True)
            self._compressors[level] = made
        return made
