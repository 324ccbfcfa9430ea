"""How content becomes independent frames, and is had back from them. Adding a compression is adding one file here."""

from fastput.codec.base import Codec
from fastput.codec.zstd import ZstdCodec

__all__ = ["Codec", "ZstdCodec"]
