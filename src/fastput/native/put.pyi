NOT_TRIED: int
DONE: int
CHANGED: int
UNREADABLE: int
REFUSED: int
STRANGE: int
LOST: int
MOST_HEAD_BYTES: int

File = tuple[bytes, bytes, int, int]

def body_bytes(size_bytes: int, /) -> int: ...
def read_head(data: bytes, /) -> tuple[int, int, bool, bytes, bytes, bytes, int] | None: ...

class Sent:
    outcome: int
    error_number: int
    status: int
    crc64nvme: int
    device: int
    inode: int
    ctime_ns: int
    etag: str
    version_id: str
    kept_crc64nvme: str

class Putter:
    most_bytes: int
    def __init__(self, most_bytes: int, most_files: int) -> None: ...
    @property
    def read_ns(self) -> int: ...
    @property
    def read_cpu_ns(self) -> int: ...
    def send(self, socket: int, files: list[File], /) -> tuple[list[Sent], bool]: ...
    def prepare(self, file: File, /) -> tuple[Sent, bytes | None]: ...
    def answered(self, received: bytes, /) -> tuple[Sent, int, bool] | None: ...
