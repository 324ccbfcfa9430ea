"""Objects become files: whole ones or none, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastput
from bench.servers import sink, tcp_proxy
from bench.servers.seaweedfs import SeaweedFS
from bench.servers.tcp_proxy import TcpProxy
from fastput.client.reading.download import GetReceipt
from fastput.client.reading.part_file import beside
from fastput.engine.fetch_plan import cut, range_bytes
from fastput.errors import IntegrityError, Interrupted, JournalBusy, StoreError, UsageError
from fastput.model import Progress
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA = content(20 * MIB + 4321)
SECONDS = 60.0
Get = Callable[..., GetReceipt]


@pytest.fixture
def keys(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweedfs.env().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(seaweedfs: SeaweedFS, keys: None) -> Iterator[fastput.Client]:
    with fastput.Client(endpoint_url=seaweedfs.endpoint_url, resume=False) as client:
        yield client


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pattern") / "pattern"
    path.write_bytes(content(7 * MIB - 13))
    return path


@pytest.fixture
def held(pattern: Path) -> bytes:
    """What a sink has that is told to hold so much of the pattern."""
    return (pattern.read_bytes() * 10)[: 64 * MIB + 5]


@pytest.fixture
def server(pattern: Path, held: bytes, keys: None) -> Iterator[sink.Sink]:
    with sink.serve(held=sink.Held(pattern, len(held), crc64nvme_base64(held))) as server:
        yield server


@pytest.fixture
def proxy(server: sink.Sink) -> Iterator[TcpProxy]:
    with tcp_proxy.serve(server.ports[0], buffer_bytes=64 << 10) as proxy:
        yield proxy


def left(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline_s, "the moment never came"
        time.sleep(0.005)


@pytest.mark.parametrize("size_bytes", [0, 1, MIB, len(DATA)])
@pytest.mark.parametrize("key", ["key", "a b/ü+%41&?.fits"])
def test_an_object_becomes_a_file(
    client: fastput.Client, s3: S3Client, bucket: str, tmp_path: Path, size_bytes: int, key: str
) -> None:
    data = DATA[:size_bytes]
    s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata={"mtime": "1700000000.123456789"})
    receipt = client.get(f"s3://{bucket}/{key}", tmp_path)
    name = key.rpartition("/")[2]
    assert left(tmp_path) == {name}
    assert (tmp_path / name).read_bytes() == data
    assert (tmp_path / name).stat().st_mtime_ns == 1700000000_123456789
    assert (receipt.size_bytes, receipt.crc64nvme) == (len(data), crc64nvme_base64(data))
    assert receipt.etag == s3.head_object(Bucket=bucket, Key=key)["ETag"]
    assert receipt.proof
    assert Path(receipt.path) == tmp_path / name


def test_what_was_put_is_got_and_compared(client: fastput.Client, bucket: str, tmp_path: Path) -> None:
    uri, target = f"s3://{bucket}/key", tmp_path / "target"
    target.write_text("an older one")
    sent = client.put(DATA, uri)
    receipt = client.get(uri, target)
    assert (receipt.crc64nvme, receipt.proof, receipt.resumed_bytes) == (sent.crc64nvme, "crc64nvme", 0)
    assert target.read_bytes() == DATA
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_there_is_no_such_object(client: fastput.Client, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such object") as raised:
        client.get(f"s3://{bucket}/key", tmp_path / "target")
    assert (raised.value.status, left(tmp_path)) == (404, set())


def test_there_is_no_such_directory(client: fastput.Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"data")
    with pytest.raises(UsageError, match="no such directory"):
        client.get(f"s3://{bucket}/key", tmp_path / "none" / "target")


def test_there_is_no_room(pattern: Path, keys: None, tmp_path: Path) -> None:
    with (
        sink.serve(held=sink.Held(pattern, 1 << 60)) as server,
        fastput.Client(endpoint_url=server.endpoint_url, resume=False) as client,
        pytest.raises(UsageError, match=r"are needed and .* free"),
    ):
        client.get("s3://bucket/key", tmp_path / "target")
    assert left(tmp_path) == set()


def test_other_bytes_than_the_store_says(pattern: Path, held: bytes, keys: None, tmp_path: Path) -> None:
    wrong = crc64nvme_base64(b"other bytes")
    with (
        sink.serve(held=sink.Held(pattern, len(held), wrong)) as server,
        fastput.Client(endpoint_url=server.endpoint_url, resume=False) as client,
        pytest.raises(IntegrityError, match=f"{crc64nvme_base64(held)}.*{wrong}".replace("+", r"\+")),
    ):
        client.get("s3://bucket/key", tmp_path / "target")
    assert left(tmp_path) == set()


def test_connections_that_break(proxy: TcpProxy, server: sink.Sink, held: bytes, tmp_path: Path) -> None:
    """Each goes on where it was: hardly more is sent than there is."""

    def cut_some() -> None:
        for place in range(1, 5):
            until(lambda place=place: proxy.down_bytes > place * 10 * MIB)  # type: ignore[misc]
            proxy.cut()

    cutting = threading.Thread(target=cut_some)
    cutting.start()
    with fastput.Client(endpoint_url=proxy.endpoint_url, concurrency=4, resume=False) as client:
        receipt = client.get("s3://bucket/key", tmp_path / "target")
    cutting.join()
    assert (tmp_path / "target").read_bytes() == held
    assert receipt.proof == "crc64nvme"
    assert proxy.connections >= 4 + 4


def test_an_object_that_is_replaced_meanwhile(
    seaweedfs: SeaweedFS, keys: None, s3: S3Client, bucket: str, tmp_path: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=DATA)
    port = int(seaweedfs.endpoint_url.rpartition(":")[2])
    is_replaced = threading.Event()

    def replace() -> None:
        until(lambda: proxy.down_bytes > 5 * MIB)
        proxy.flows.clear()
        s3.put_object(Bucket=bucket, Key="key", Body=DATA[1:] + b"x")
        is_replaced.set()
        proxy.flows.set()

    with tcp_proxy.serve(port, buffer_bytes=64 << 10) as proxy:
        replacing = threading.Thread(target=replace)
        replacing.start()
        with (
            fastput.Client(endpoint_url=proxy.endpoint_url, concurrency=1, resume=False) as client,
            pytest.raises(StoreError, match="was replaced"),
        ):
            client.get(f"s3://{bucket}/key", tmp_path / "target")
        replacing.join()
    assert is_replaced.is_set()
    assert left(tmp_path) == set()


def interrupted(client: fastput.Client, proxy: TcpProxy, target: Path) -> None:
    """Cancelled when some ranges are there and nothing comes any more."""
    stopping = stop_at(proxy, 20 * MIB)

    def cancel(progress: Progress) -> None:
        if progress.parts_confirmed >= 2 and not proxy.flows.is_set():
            client.cancel()

    with pytest.raises(Interrupted):
        client.get("s3://bucket/key", target, on_progress=cancel)
    stopping.join()
    part, journal = beside(target)
    assert left(target.parent) == {part.name, journal.name}
    proxy.cut()
    proxy.flows.set()


def stop_at(proxy: TcpProxy, at_bytes: int) -> threading.Thread:
    """Everything stands still from there on, until it flows again."""

    def stop() -> None:
        until(lambda: proxy.down_bytes > at_bytes)
        proxy.flows.clear()

    thread = threading.Thread(target=stop)
    thread.start()
    return thread


def test_an_interrupted_one_goes_on(proxy: TcpProxy, server: sink.Sink, held: bytes, tmp_path: Path) -> None:
    target = tmp_path / "target"
    with fastput.Client(endpoint_url=proxy.endpoint_url, concurrency=2, resume=False) as client:
        interrupted(client, proxy, target)
        before_bytes = proxy.down_bytes
        receipt = client.get("s3://bucket/key", target)
        sent_bytes = proxy.down_bytes - before_bytes
    assert target.read_bytes() == held
    assert left(tmp_path) == {"target"}
    assert receipt.resumed_bytes >= 2 * MIB
    assert sent_bytes < len(held) - receipt.resumed_bytes + MIB


def test_what_was_damaged_meanwhile_is_fetched_again(
    proxy: TcpProxy, server: sink.Sink, held: bytes, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    with fastput.Client(endpoint_url=proxy.endpoint_url, concurrency=2, resume=False) as client:
        interrupted(client, proxy, target)
        with beside(target)[0].open("r+b") as file:
            for offset in range(0, len(held), MIB // 2):
                file.seek(offset)
                file.write(b"damage")
        receipt = client.get("s3://bucket/key", target)
    assert target.read_bytes() == held
    assert receipt.resumed_bytes == 0


@pytest.mark.parametrize("journal", [b"", b"{", b"[]", b"null", b'{"version": 1}', b"\xff"])
def test_a_journal_that_makes_no_sense(server: sink.Sink, held: bytes, tmp_path: Path, journal: bytes) -> None:
    part, kept = beside(tmp_path / "target")
    part.write_bytes(bytes(len(held)))
    kept.write_bytes(journal)
    with fastput.Client(endpoint_url=server.endpoint_url, resume=False) as client:
        assert client.get("s3://bucket/key", tmp_path / "target").resumed_bytes == 0
    assert (tmp_path / "target").read_bytes() == held
    assert left(tmp_path) == {"target"}


def test_two_to_one_file(proxy: TcpProxy, server: sink.Sink, held: bytes, tmp_path: Path) -> None:
    stop_at(proxy, 10 * MIB)
    target = tmp_path / "target"
    with fastput.Client(endpoint_url=proxy.endpoint_url, resume=False) as client:
        first = threading.Thread(target=client.get, args=("s3://bucket/key", target))
        first.start()
        until(lambda: not proxy.flows.is_set())
        with (
            fastput.Client(endpoint_url=server.endpoint_url, resume=False) as other,
            pytest.raises(JournalBusy, match="another process"),
        ):
            other.get("s3://bucket/key", target)
        proxy.flows.set()
        first.join()
    assert target.read_bytes() == held


_GET = "import fastput, sys; fastput.Client(endpoint_url=sys.argv[1], concurrency=2, resume=False).get(*sys.argv[2:])"


def test_one_that_is_killed_goes_on(proxy: TcpProxy, server: sink.Sink, held: bytes, tmp_path: Path) -> None:
    target = tmp_path / "target"
    stop_at(proxy, 20 * MIB)
    process = subprocess.Popen([sys.executable, "-c", _GET, proxy.endpoint_url, "s3://bucket/key", str(target)])
    try:
        until(lambda: not proxy.flows.is_set() and beside(target)[1].exists())
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL
    proxy.cut()
    proxy.flows.set()
    with fastput.Client(endpoint_url=proxy.endpoint_url, resume=False) as client:
        receipt = client.get("s3://bucket/key", target)
    assert target.read_bytes() == held
    assert left(tmp_path) == {"target"}
    assert receipt.resumed_bytes >= MIB


def test_a_link_in_the_part_files_place(server: sink.Sink, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    beside(tmp_path / "target")[0].symlink_to(victim)
    with fastput.Client(endpoint_url=server.endpoint_url, resume=False) as client, pytest.raises(UsageError):
        client.get("s3://bucket/key", tmp_path / "target")
    assert victim.read_text() == "precious"


def test_a_name_as_long_as_there_are(server: sink.Sink, held: bytes, tmp_path: Path) -> None:
    with fastput.Client(endpoint_url=server.endpoint_url, resume=False) as client:
        client.get("s3://bucket/key", tmp_path / ("n" * 255))
    assert left(tmp_path) == {"n" * 255}


@given(size_bytes=st.integers(0, 1 << 34))
def test_ranges_are_all_of_the_object(size_bytes: int) -> None:
    end_bytes = 0
    for number, part in enumerate(cut(size_bytes, range_bytes(size_bytes)), start=1):
        assert (part.number, part.offset_bytes) == (number, end_bytes)
        assert 0 < part.length_bytes <= 8 * MIB
        end_bytes += part.length_bytes
    assert end_bytes == size_bytes
