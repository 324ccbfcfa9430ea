from typing import Protocol

from fastput.native.slicer import PartBody

Entry = tuple[bytes, bytes | None, int, int, int, int, int]
Piece = tuple[int, int, str | None]

class Content(Protocol):
    def entries(self) -> list[Entry]: ...
    def was_read(self, pieces: list[Piece], crc64nvme: int) -> None: ...
    def rest(self) -> bytes: ...

class PackBody(PartBody):
    def __init__(self, content: Content, length_bytes: int, trailer: str | None = None) -> None: ...
    @property
    def failure(self) -> Exception | None: ...  # type: ignore[override]
