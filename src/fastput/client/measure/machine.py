"""This machine's own ceilings: what no store could make faster. Each takes half a second or so."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from fastput.client.measure.facts import Machine
from fastput.errors import SourceReadError, SourceUnreadable
from fastput.limits import GIB, KIB, MIB
from fastput.native.crc import crc64nvme
from fastput.native.slicer import is_cached, wont_need
from fastput.source import FileSource

_READERS = 8
_BLOCK_BYTES = 8 * MIB
_MOST_READ_BYTES = 2 * GIB
_SAMPLE_BYTES = 32 * MIB
_ZSTD_LEVELS = (1, 3)


def measure_machine(path: str | None, each_s: float, is_stopped: Callable[[], bool]) -> Machine:
    """
    Args:
        each_s: how long each measurement may take.

    Raises:
        SourceError: the file can't be read.
    """
    disk = cached = None
    is_cold = False
    data = _mixture()
    if path is not None:
        with _opened(path) as descriptor:
            disk, is_cold, cached = _disk(descriptor, each_s, is_stopped)
            data = os.pread(descriptor, _SAMPLE_BYTES, 0)
    rates, ratios = _compress(data, each_s, is_stopped)
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        disk_bytes_per_s=disk,
        is_disk_cold=is_cold,
        cached_bytes_per_s=cached,
        hash_bytes_per_s=_hash(each_s, is_stopped),
        zstd_bytes_per_s=rates,
        zstd_ratio=ratios,
        loopback_bytes_per_s=_loopback(each_s, is_stopped),
    )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """
    Raises:
        SourceError: no regular file, or the disk failed while it was read.
    """
    with contextlib.closing(FileSource(path)) as source:  # it knows what is no file
        if not source.size_bytes:
            raise SourceUnreadable(f"{path}: an empty file shows nothing of the disk: give a larger one")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    except OSError as error:
        raise SourceReadError(f"{path}: reading failed: {error.strerror}: check the disk") from None
    finally:
        os.close(descriptor)


def _disk(
    descriptor: int, each_s: float, is_stopped: Callable[[], bool]
) -> tuple[float, bool, float]:
    """Bytes a second, whether they came from the disk, and bytes a second from the cache."""
    size_bytes = os.fstat(descriptor).st_size
    was_cached = is_cached(descriptor, 0)
    os.fsync(descriptor)  # pages that were just written couldn't be dropped
    wont_need(descriptor, 0, size_bytes)
    # Pages that somebody has mapped stay, and tmpfs has no other place for them.
    is_cold = is_cached(descriptor, 0) is False
    disk = _read(descriptor, size_bytes, 2 * each_s, is_stopped)
    read_bytes = min(size_bytes, int(disk * each_s) + _BLOCK_BYTES)
    _read(descriptor, read_bytes, each_s, is_stopped)
    cached = _read(descriptor, read_bytes, each_s, is_stopped)
    if was_cached is False:
        wont_need(descriptor, 0, size_bytes)
    return disk, is_cold, cached


def _mixture() -> bytes:
    """Half noise, half nothing: as instruments' data, neither hopeless nor trivial."""
    return b"".join(os.urandom(64 * KIB) + bytes(64 * KIB) for _ in range(_SAMPLE_BYTES // (128 * KIB)))


def _read(descriptor: int, size_bytes: int, within_s: float, is_stopped: Callable[[], bool]) -> float:
    """Bytes a second, by as many readers as fastput has at most."""
    offsets = iter(range(0, min(size_bytes, _MOST_READ_BYTES), _BLOCK_BYTES))
    lock = threading.Lock()  # guards offsets
    began_s = time.monotonic()

    def read() -> int:
        buffer, done_bytes = bytearray(_BLOCK_BYTES), 0
        while time.monotonic() < began_s + within_s and not is_stopped():
            with lock:
                offset_bytes = next(offsets, None)
            if offset_bytes is None:
                break
            done_bytes += os.preadv(descriptor, [buffer], offset_bytes)
        return done_bytes

    with ThreadPoolExecutor(_READERS, thread_name_prefix="fastput-read") as pool:
        readers = [pool.submit(read) for _ in range(_READERS)]
        read_bytes = sum(reader.result() for reader in readers)
    return read_bytes / max(time.monotonic() - began_s, 1e-6)


def _rate(work: Callable[[], int], within_s: float, is_stopped: Callable[[], bool]) -> float:
    """Bytes a second of work that says how many it has done; at least once."""
    began_s, done_bytes = time.monotonic(), 0
    while True:
        done_bytes += work()
        elapsed_s = time.monotonic() - began_s
        if elapsed_s >= within_s or is_stopped():
            return done_bytes / max(elapsed_s, 1e-6)


def _hash(within_s: float, is_stopped: Callable[[], bool]) -> float:
    # As large as what fastput hashes at a time (csrc/slicer.c): it has just been read, and is in the cache.
    data = os.urandom(512 * KIB)

    def work() -> int:
        crc64nvme(data)
        return len(data)

    return _rate(work, within_s, is_stopped)


def _compress(
    data: bytes, within_s: float, is_stopped: Callable[[], bool]
) -> tuple[dict[str, float], dict[str, float]]:
    """By level; nothing without zstandard, which fastput doesn't need."""
    try:
        import zstandard
    except ImportError:
        return {}, {}
    rates, ratios = {}, {}
    pieces = [data[first : first + MIB] for first in range(0, len(data), MIB)]
    for level in _ZSTD_LEVELS:
        compressor = zstandard.ZstdCompressor(level=level)
        sizes = [0, 0]

        def work(compress: Callable[[bytes], bytes], turn: Iterator[bytes], sizes: list[int]) -> int:
            piece = next(turn)
            sizes[0] += len(piece)
            sizes[1] += len(compress(piece))
            return len(piece)

        turn = cycle(pieces)
        rates[str(level)] = _rate(
            lambda compress=compressor.compress, turn=turn, sizes=sizes: work(compress, turn, sizes),  # type: ignore[misc]
            within_s, is_stopped,
        )  # fmt: skip
        ratios[str(level)] = sizes[0] / sizes[1]
    return rates, ratios


def _loopback(within_s: float, is_stopped: Callable[[], bool]) -> float:
    """One stream to this process itself: two of its threads and the kernel between them."""
    data = bytes(MIB)
    with socket.create_server(("127.0.0.1", 0)) as server:
        def take() -> int:
            with server.accept()[0] as connection:
                buffer, taken_bytes = bytearray(MIB), 0
                while count := connection.recv_into(buffer):
                    taken_bytes += count
                return taken_bytes

        with ThreadPoolExecutor(1, thread_name_prefix="fastput-loopback") as pool:
            taken = pool.submit(take)
            began_s = time.monotonic()
            with socket.create_connection(server.getsockname()) as client:
                while time.monotonic() < began_s + within_s and not is_stopped():
                    client.sendall(data)
            return taken.result() / (time.monotonic() - began_s)


class CpuShare:
    """How busy the machine's CPUs are, by whomever, since this was made. https://man7.org/linux/man-pages/man5/proc_stat.5.html"""

    def __init__(self) -> None:
        self._then = _jiffies()

    def share(self) -> float | None:
        """None where the system doesn't say, or the time was too short."""
        now, then = _jiffies(), self._then
        if now is None or then is None or now[1] <= then[1]:
            return None
        return (now[0] - then[0]) / (now[1] - then[1])


def _jiffies() -> tuple[int, int] | None:
    """Busy ones, and all."""
    try:
        first = Path("/proc/stat").read_text().partition("\n")[0]
        # user nice system idle iowait irq softirq steal; guests are in user already.
        times = [int(word) for word in first.split()[1:9]]
        return sum(times) - times[3] - times[4], sum(times)
    except (OSError, ValueError, IndexError):
        return None
