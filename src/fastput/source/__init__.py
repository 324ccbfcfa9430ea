"""Bytes [a, b) of whatever is to be sent. Adding a kind of source is adding one file here."""

from fastput.source.base import Piece, Source, SourceBase
from fastput.source.buffer import BufferSource
from fastput.source.file import FileSource
from fastput.source.stream import StreamSource

__all__ = ["BufferSource", "FileSource", "Piece", "Source", "SourceBase", "StreamSource"]
