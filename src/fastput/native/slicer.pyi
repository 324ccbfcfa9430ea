from collections.abc import Sequence

from typing_extensions import Buffer

class PartBody:
    length_bytes: int
    body_bytes: int
    read_bytes: int
    read_ns: int
    read_cpu_ns: int
    trailer: str | None
    @property
    def crc64nvme(self) -> int: ...
    @property
    def crc32c(self) -> int: ...
    @property
    def failure(self) -> OSError | EOFError | ValueError | None: ...
    def readinto(self, buffer: Buffer, /) -> int: ...
    def read(self, size: int = -1, /) -> bytes: ...

class FileBody(PartBody):
    fd: int
    offset_bytes: int
    def __init__(
        self,
        fd: int,
        offset_bytes: int,
        length_bytes: int,
        file_bytes: int,
        mtime_ns: int,
        trailer: str | None = None,
        is_sparse: bool = False,
    ) -> None: ...

class MemoryBody(PartBody):
    def __init__(self, buffer: Buffer, trailer: str | None = None) -> None: ...

class ChainBody(PartBody):
    def __init__(self, buffers: Sequence[Buffer], trailer: str | None = None) -> None: ...

def is_cached(fd: int, offset_bytes: int, /) -> bool | None: ...
def will_need(fd: int, offset_bytes: int, length_bytes: int, /) -> None: ...
def wont_need(fd: int, offset_bytes: int, length_bytes: int, /) -> None: ...
