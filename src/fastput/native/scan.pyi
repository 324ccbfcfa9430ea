from typing_extensions import Buffer

ROW: list[tuple[str, str]]

class Entry:
    name: bytes
    mode: int
    error: int
    size_bytes: int
    disk_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    links: int
    uid: int
    gid: int
    def __init__(
        self,
        name: bytes,
        mode: int,
        size_bytes: int,
        disk_bytes: int,
        mtime_ns: int,
        ctime_ns: int,
        inode: int,
        device: int,
        links: int,
        uid: int,
        gid: int,
        error: int = 0,
    ) -> None: ...
    def values(self) -> tuple[bytes, int, int, int, int, int, int, int, int, int, int, int]: ...
    @property
    def is_directory(self) -> bool: ...
    @property
    def is_file(self) -> bool: ...
    @property
    def is_link(self) -> bool: ...

class Batch(Buffer):
    def __init__(self, entry_room: int) -> None: ...
    def __len__(self) -> int: ...
    def clear(self) -> None: ...
    def name(self, i: int) -> bytes: ...
    def extensions(self, first: int) -> list[bytes]: ...
    def entries(self, first: int = 0) -> list[Entry]: ...

class Directory:
    def __init__(self, path: bytes, follow: bool = False) -> None: ...
    def read(self, batch: Batch) -> bool: ...
    def close(self) -> None: ...
