"""What callers of a Client give, as the engine takes it; what makes no sense is a UsageError."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from fastput.engine.digests import NAMES as DIGEST_NAMES
from fastput.engine.job import Compression
from fastput.errors import UsageError
from fastput.limits import KIB, MIB
from fastput.model import Checksum, ObjectUri
from fastput.source import BufferSource, FileSource, Source, StreamSource
from fastput.timetable import Timetable
from fastput.tuner import Bounds
from fastput.units import format_size, parse_size

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Sendable = str | os.PathLike[str] | BinaryIO | Buffer

AUTO = "auto"
ENCODING = "zstd"  # of compressed objects that keep their key
MAX_LEVEL = 19  # above it zstd takes hundreds of MiB for each core
MIN_FRAME_BYTES, MAX_FRAME_BYTES = 16 * KIB, 64 * MIB


def resolve_uri(source: Sendable, uri: str, suffix: str = "") -> ObjectUri:
    """The object that a source goes to: a URI that ends in "/" gets the file's name.

    Args:
        suffix: what the key is to end with.

    Raises:
        UsageError: no S3 URI, or no valid key.
    """
    target = ObjectUri.parse(uri)
    if not target.key or target.key.endswith("/"):
        if not isinstance(source, (str, os.PathLike)):
            raise UsageError(f"{uri} ends in no key, and the source has no name to put there")
        target = target.with_key(target.key + os.path.basename(os.fspath(source)))
    return target.with_key(target.key if target.key.endswith(suffix) else target.key + suffix)


def open_source(source: Sendable) -> Source:
    """Opens a path, and takes what is open or in memory as it is.

    Raises:
        SourceError: it can't be opened.
        UsageError: it is nothing that can be sent.
    """
    if isinstance(source, (str, os.PathLike)):
        return FileSource(source)
    if hasattr(source, "readinto"):
        return StreamSource(cast("BinaryIO", source), name=str(getattr(source, "name", "<stream>")))
    try:
        return BufferSource(cast("Buffer", source))
    except (TypeError, ValueError, BufferError):
        kind = type(source).__name__
        raise UsageError(f"a {kind} can't be sent: give a path, a binary file, or a contiguous buffer") from None


def parse_compression(compress: str | int | None, frame_size: int | str | None) -> Compression | None:
    """
    Raises:
        UsageError: no level of zstd, or a frame size that nobody can use.
    """
    if compress is None:
        if frame_size is not None:
            raise UsageError("a frame size is for what is compressed: give --compress, too")
        return None
    frame_bytes = MIB if frame_size is None else size_bytes(frame_size)
    if not MIN_FRAME_BYTES <= frame_bytes <= MAX_FRAME_BYTES:
        sizes = f"{format_size(MIN_FRAME_BYTES)} to {format_size(MAX_FRAME_BYTES)}"
        raise UsageError(f"frames of {frame_bytes:,} bytes: give {sizes}")
    if compress == AUTO:
        return Compression(None, frame_bytes)
    level = int(compress) if str(compress).isdecimal() else 0
    if not 1 <= level <= MAX_LEVEL:
        raise UsageError(f"there is no compression level {compress!r}; give auto, or 1 to {MAX_LEVEL}")
    return Compression(level, frame_bytes)


def rate_limit(limit_rate: str | Timetable) -> Callable[[], float | None]:
    """What says how many bytes a second may be sent now, by the local time; None: any number.

    Raises:
        UsageError: it is no rate and no timetable.
    """
    timetable = Timetable.parse(limit_rate) if isinstance(limit_rate, str) else limit_rate

    def now() -> float | None:
        local = time.localtime()
        return timetable.at(3600 * local.tm_hour + 60 * local.tm_min + local.tm_sec)

    return now


def size_bytes(size: int | str) -> int:
    """A number of bytes, or a text such as "16MiB".

    Raises:
        UsageError: it is no size.
    """
    return parse_size(size) if isinstance(size, str) else size


def parse_checksum(name: str) -> Checksum | None:
    """None: the strongest that the store takes.

    Raises:
        UsageError: there is no such checksum.
    """
    try:
        return None if name == AUTO else Checksum(name)
    except ValueError:
        known = ", ".join((AUTO, *(checksum.value for checksum in Checksum)))
        raise UsageError(f"there is no checksum {name!r}; there are {known}") from None


def parse_digests(names: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order.

    Raises:
        UsageError: there is no such digest.
    """
    for name in names:
        if name not in DIGEST_NAMES:
            raise UsageError(f"there is no digest {name!r}; there are {', '.join(DIGEST_NAMES)}")
    return tuple(dict.fromkeys(names))


def rechecks_all(how: str) -> bool:
    """Whether "all" of an earlier run is read again, or a "sample".

    Raises:
        UsageError: neither.
    """
    if how not in ("sample", "all"):
        raise UsageError(f"verify_resume is sample or all, not {how!r}")
    return how == "all"


def window_bounds(concurrency: int | None) -> Bounds:
    """Of the window: it is tuned, but for one that is given."""
    cpus = len(os.sched_getaffinity(0))
    return Bounds(cpus=cpus) if concurrency is None else Bounds(concurrency, concurrency, cpus)
