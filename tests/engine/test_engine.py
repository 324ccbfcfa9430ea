"""The engine: window and memory, settings that change, streams, and mistakes of others that it survives."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from fastput.engine.engine import Engine
from fastput.engine.job import Job
from fastput.errors import (
    CredentialsError,
    EndpointError,
    FastputError,
    ObjectExists,
    SourceChanged,
    SourceNotFound,
    SourceReadError,
    UsageError,
)
from fastput.limits import StoreLimits
from fastput.model import Checksum, ObjectAttributes, ObjectUri, Progress
from fastput.source import FileSource, Source, StreamSource
from fastput.store.memory import MemoryStore
from fastput.transport import Transport
from fastput.tuner import Settings
from tests.engine.harness import PART, SECONDS, SMALL_PARTS, URI, CheckingStore, rig, stream
from tests.support.content import MIB, content, crc64nvme_base64

DATA = content(6 * PART + 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


# ---- window and memory


@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_the_window_is_used_and_never_exceeded(path: Path, window: int) -> None:
    """Was a bug, for a window of 1: the upload never ended (see tests/cli/test_put.py)."""
    with rig(window=window, holds=True) as engine:
        future = engine.engine.submit(engine.job(path))
        most = min(window, 7)
        engine.holding.wait_for(most)
        engine.settle()
        assert engine.holding.held == most
        assert engine.engine.snapshot().in_flight == most
        engine.holding.let_go()
        assert future.result(SECONDS).size_bytes == len(DATA)
        assert engine.watching.most_requests <= most
        engine.expect_nothing_held()


@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.MD5])
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_memory_bounds_the_bytes_in_flight(path: Path, checksum: Checksum, kind: str) -> None:
    memory_bytes = 7 * MIB
    reserved: list[int] = []
    with rig(window=50, memory_bytes=memory_bytes) as engine:
        job = engine.job(
            path if kind == "file" else stream(DATA),
            checksum=checksum,
            on_progress=lambda _: reserved.append(engine.engine.snapshot().reserved_bytes),
        )
        other = engine.engine.submit(engine.job(DATA, "other"))
        assert engine.engine.submit(job).result(SECONDS).size_bytes == len(DATA)
        assert other.result(SECONDS).size_bytes == len(DATA)
        assert max(reserved) <= memory_bytes
        assert engine.watching.most_bytes <= memory_bytes
        engine.expect_nothing_held()


def test_memory_that_holds_no_part_is_refused_before_anything_is_sent(path: Path) -> None:
    with rig(memory_bytes=PART // 2) as engine:
        error = engine.engine.submit(engine.job(path)).exception(SECONDS)
        assert isinstance(error, UsageError)
        assert "--memory" in str(error)
        assert engine.watching.requests == []
        engine.expect_nothing_held()


# ---- settings that change


def test_a_wider_window_is_used_at_once(path: Path) -> None:
    with rig(window=2, holds=True) as engine:
        future = engine.engine.submit(engine.job(path))
        engine.holding.wait_for(2)
        engine.engine.apply(Settings(window=5, part_bytes=PART))
        engine.holding.wait_for(5)
        engine.settle()
        assert engine.holding.held == 5
        engine.holding.let_go()
        future.result(SECONDS)
        engine.expect_nothing_held()


def test_a_narrower_window_lets_the_rest_drain(path: Path) -> None:
    with rig(window=5, holds=True) as engine:
        future = engine.engine.submit(engine.job(path))
        engine.holding.wait_for(5)
        engine.engine.apply(Settings(window=2, part_bytes=PART))
        engine.holding.let_go(3)
        engine.settle()
        assert engine.holding.held == 2, "nothing new while two are in flight"
        engine.holding.let_go()
        assert future.result(SECONDS).size_bytes == len(DATA)
        engine.expect_nothing_held()


def test_a_window_that_narrows_when_everything_is_in_flight(path: Path) -> None:
    """Was a bug: the upload never ended, for the same reason as with a window of 1: nobody looks
    whether there is another part while the window is full, and an upload isn't whole before somebody has."""
    with rig(window=7, holds=True) as engine:
        future = engine.engine.submit(engine.job(path))
        engine.holding.wait_for(7)
        engine.engine.apply(Settings(window=1, part_bytes=PART))
        engine.settle()
        engine.holding.let_go()
        assert future.result(SECONDS).size_bytes == len(DATA)


def test_parts_that_are_not_planned_yet_take_the_new_size(path: Path) -> None:
    with rig(window=1, holds=True, part_bytes=PART) as engine:
        future = engine.engine.submit(engine.job(path))
        engine.holding.wait_for(1)
        engine.engine.apply(Settings(window=2, part_bytes=2 * PART))
        engine.holding.let_go()
        receipt = future.result(SECONDS)
        assert [part.length_bytes for part in receipt.parts] == [PART, 2 * PART, 2 * PART, PART + 5]
        assert engine.store.objects == {"s3://bucket/key": DATA}


# ---- streams

BORDERS = [0, 1, PART - 1, PART, PART + 1, 2 * PART, 3 * PART, 3 * PART + 1]


@pytest.mark.parametrize("checksum", list(Checksum))
@pytest.mark.parametrize("size_bytes", BORDERS)
def test_streams(size_bytes: int, checksum: Checksum) -> None:
    data = content(size_bytes)
    with rig() as engine:
        receipt = engine.engine.submit(engine.job(stream(data), checksum=checksum)).result(SECONDS)
        assert engine.store.objects == {"s3://bucket/key": data}
        assert (receipt.size_bytes, receipt.crc64nvme) == (size_bytes, crc64nvme_base64(data))
        assert len(receipt.parts) == max(1, -(-size_bytes // PART))
        assert (receipt.upload_id is None) == (size_bytes < PART)
        engine.expect_nothing_held()


class Breaking(io.BytesIO):
    """A stream that fails where it would have ended."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if got_bytes := super().readinto(buffer):
            return got_bytes
        raise OSError(5, os.strerror(5))


@pytest.mark.parametrize("size_bytes", BORDERS)
def test_streams_that_break(size_bytes: int) -> None:
    def open_source() -> Source:
        return StreamSource(Breaking(content(size_bytes)), "<pipe>")  # type: ignore[arg-type]

    with rig() as engine:
        error = engine.engine.submit(engine.job(open_source)).exception(SECONDS)
        assert isinstance(error, SourceReadError)
        assert os.strerror(5) in str(error)
        assert engine.store.objects == {}
        engine.expect_nothing_held()


def test_a_stream_longer_than_its_part_numbers() -> None:
    limits = StoreLimits(min_part_bytes=1000, max_part_bytes=PART, max_parts=3)
    with rig(limits=limits, window=2) as engine:
        error = engine.engine.submit(engine.job(stream(content(4 * PART)))).exception(SECONDS)
        assert isinstance(error, UsageError)
        assert "the stream is longer" in str(error)
        assert engine.store.objects == {}
        engine.expect_nothing_held()


def test_a_stream_of_exactly_its_part_numbers() -> None:
    """Was a bug: refused as too long, though nothing of it is left to send: where it ends is only
    known when a part after the last is asked for, and that is refused before it is read."""
    limits = StoreLimits(min_part_bytes=1000, max_part_bytes=PART, max_parts=3)
    data = content(3 * PART)
    with rig(limits=limits, window=2) as engine:
        engine.engine.submit(engine.job(stream(data))).result(SECONDS)
        assert engine.store.objects == {"s3://bucket/key": data}


# ---- sources that fail or change


def test_a_source_that_can_not_be_opened() -> None:
    with rig() as engine:
        error = engine.engine.submit(engine.job(Path("/nowhere"))).exception(SECONDS)
        assert isinstance(error, SourceNotFound)
        assert engine.watching.requests == []
        engine.expect_nothing_held()


@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.MD5])
@pytest.mark.parametrize("size_bytes", [1000, len(DATA)])
def test_a_disk_that_fails(path: Path, checksum: Checksum, size_bytes: int) -> None:
    """The file's descriptor is replaced by a directory's: reading it fails for real."""
    os.truncate(path, size_bytes)

    def open_source() -> Source:
        source = FileSource(path)
        directory = os.open(path.parent, os.O_RDONLY)
        os.dup2(directory, source._fd)
        os.close(directory)
        return source

    with rig() as engine:
        error = engine.engine.submit(engine.job(open_source, checksum=checksum)).exception(SECONDS)
        assert isinstance(error, SourceReadError)
        assert "Is a directory" in str(error)
        assert engine.store.objects == {}
        engine.expect_nothing_held()


@pytest.mark.parametrize("checksum", [Checksum.CRC64NVME, Checksum.MD5, Checksum.NONE])
@pytest.mark.parametrize("change", ["grow", "shrink", "touch", "replace", "remove"])
def test_a_file_that_changes_under_way(path: Path, checksum: Checksum, change: str) -> None:
    changes = {
        "grow": lambda: os.truncate(path, len(DATA) + 1),
        "shrink": lambda: os.truncate(path, len(DATA) - 1),
        "touch": lambda: os.utime(path, ns=(0, 12345)),
        "replace": lambda: os.rename(path.with_name("other"), path),
        "remove": path.unlink,
    }
    path.with_name("other").write_bytes(DATA)

    def on_progress(progress: Progress) -> None:
        if progress.parts_confirmed == 1:
            changes[change]()

    with rig(window=2) as engine:
        error = engine.engine.submit(engine.job(path, checksum=checksum, on_progress=on_progress)).exception(SECONDS)
        assert isinstance(error, SourceChanged)
        assert engine.store.objects == {}
        engine.expect_nothing_held()


def test_a_small_file_that_changes_after_it_was_read(path: Path) -> None:
    """Was a bug: SourceChanged, which promises that nothing was completed, though the PutObject has
    made the object. Either the object counts (all its bytes were read before the change, and were checked then), or
    it has to go."""
    os.truncate(path, 1000)
    with rig(holds=True) as engine:
        future = engine.engine.submit(engine.job(path))
        engine.holding.wait_for(1)
        os.utime(path, ns=(0, 12345))
        engine.holding.let_go()
        error = future.exception(SECONDS)
        assert isinstance(error, SourceChanged)
        assert "holds what it was before" in str(error)
        assert engine.store.objects


# ---- others' mistakes


def test_a_progress_callback_that_fails(path: Path) -> None:
    """Was a bug: it failed every upload of the client with "fastput failed inside", left the
    multipart upload on the store and the file open, and with the real transport close() hung for ever."""

    def on_progress(progress: Progress) -> None:
        raise ValueError("a mistake of the caller's")

    with rig() as engine:
        bad = engine.engine.submit(engine.job(path, "bad", on_progress=on_progress))
        good = [engine.engine.submit(engine.job(DATA, f"good-{number}")) for number in range(3)]
        for future in good:
            assert future.result(SECONDS).size_bytes == len(DATA)
        bad.exception(SECONDS)  # whether it goes on or ends is a matter of taste
        engine.expect_nothing_held()


def test_a_stream_that_fails_in_its_own_way() -> None:
    """Was a bug: as above. A damaged gzip or a cut-off one raises neither OSError nor ValueError."""

    class Cut(io.BytesIO):
        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")

    def open_source() -> Source:
        return StreamSource(Cut())  # type: ignore[arg-type]

    with rig(window=20, holds=True) as engine:
        good = engine.engine.submit(engine.job(DATA, "good"))
        engine.holding.wait_for(1)
        bad = engine.engine.submit(engine.job(open_source, "bad"))
        engine.holding.let_go()
        assert isinstance(bad.exception(SECONDS), FastputError)
        assert good.result(SECONDS).size_bytes == len(DATA)
        engine.expect_nothing_held()


def test_a_source_that_can_not_be_opened_in_its_own_way() -> None:
    """Was a bug: as above. numpy's datetime64 arrays raise ValueError when a buffer is asked for."""

    def open_source() -> Source:
        raise ValueError("cannot include dtype 'M' in a buffer")

    with rig(window=20, holds=True) as engine:
        good = engine.engine.submit(engine.job(DATA, "good"))
        engine.holding.wait_for(1)
        bad = engine.engine.submit(engine.job(open_source, "bad"))
        assert isinstance(bad.exception(SECONDS), FastputError)
        engine.holding.let_go()
        assert good.result(SECONDS).size_bytes == len(DATA)
        engine.expect_nothing_held()


# ---- the store's control plane


class NoAbort(CheckingStore):
    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        raise EndpointError("gone")


def test_an_upload_that_is_left_is_named(path: Path) -> None:
    store = NoAbort()
    with rig(store=store) as engine:
        job = engine.job(path, on_progress=lambda _: path.unlink(missing_ok=True))
        error = engine.engine.submit(job).exception(SECONDS)
        assert isinstance(error, SourceChanged)
        assert error.upload_id in store.uploads
        assert f"multipart upload {error.upload_id} is left on the store" in str(error)


@pytest.mark.parametrize("size_bytes", [1000, len(DATA)])
def test_no_clobber(size_bytes: int) -> None:
    data = content(size_bytes)
    with rig() as engine:
        engine.engine.submit(engine.job(data, no_clobber=True)).result(SECONDS)
        again = engine.engine.submit(engine.job(bytes(size_bytes), no_clobber=True)).exception(SECONDS)
        assert isinstance(again, ObjectExists)
        assert engine.store.objects == {"s3://bucket/key": data}
        engine.expect_nothing_held()


@pytest.mark.parametrize("size_bytes", [1000, len(DATA)])
def test_no_clobber_when_somebody_was_faster(size_bytes: int) -> None:
    """The object appears when ours is under way: after the look, before the end."""
    with rig(holds=True, window=8) as engine:
        store = engine.store
        future = engine.engine.submit(engine.job(content(size_bytes), no_clobber=True))
        engine.holding.wait_for(1)
        if size_bytes == 1000:
            engine.holding.let_go()
            future.result(SECONDS)
            return
        store.objects["s3://bucket/key"] = b"theirs"
        engine.holding.let_go()
        assert isinstance(future.exception(SECONDS), ObjectExists)
        assert store.objects == {"s3://bucket/key": b"theirs"}
        engine.expect_nothing_held()


def test_an_upload_that_failed_says_so_when_what_asked_the_store_is_off_it() -> None:
    """Was a bug: it was said while uploads that were begun to find out what the store takes were still being aborted,
    and a process that ended then left them."""

    class Slow(CheckingStore):
        may_abort = threading.Event()

        def abort(self, uri: ObjectUri, upload_id: str) -> None:
            assert self.may_abort.wait(SECONDS)
            super().abort(uri, upload_id)

    store = Slow()
    left: list[str] = []
    with rig(store=store, profile=None) as engine:
        engine.engine.submit(engine.job(b"there already")).result(SECONDS)
        future = engine.engine.submit(engine.job(DATA, checksum=None, no_clobber=True))
        future.add_done_callback(lambda _: left.extend(store.uploads))
        while not future.done() and not any("aborted" in (each.waits_for or "") for each in engine.engine._active):
            engine.settle()
        store.may_abort.set()
        with pytest.raises(ObjectExists):
            future.result(SECONDS)
        assert left == []
        engine.expect_nothing_held()


def test_an_upload_cancelled_before_it_began() -> None:
    with rig(window=1, holds=True) as engine:
        futures = [engine.engine.submit(engine.job(content(1000), f"key-{number}")) for number in range(5)]
        engine.holding.wait_for(1)
        assert futures[-1].cancel()
        engine.engine.apply(Settings(window=4))
        engine.holding.let_go()
        for future in futures[:-1]:
            assert future.result(SECONDS).size_bytes == 1000
        assert "s3://bucket/key-4" not in engine.store.objects
        engine.expect_nothing_held()


def test_no_upload_is_left_when_there_is_no_way_to_the_store(path: Path) -> None:
    def refuse(*_: object) -> Transport:
        raise CredentialsError("none")

    store = MemoryStore()
    engine = Engine(store, refuse, Settings(part_bytes=PART), 64 * MIB, limits=SMALL_PARTS)
    job = Job(lambda: FileSource(path), URI, ObjectAttributes())
    with pytest.raises(CredentialsError, match="none"):
        engine.submit(job).result(SECONDS)
    engine.close()
    assert store.uploads == {}
