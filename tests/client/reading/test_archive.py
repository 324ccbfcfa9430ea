"""Objects that are opened: few requests, few bytes, and never wrong ones."""

from __future__ import annotations

import functools
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastput
from fastput.client.reading.archive import Archive, Archives, Span
from fastput.client.reading.file import open_location
from fastput.errors import DamagedArchive, SourceError, StoreError, UsageError
from fastput.formats.tar import Kind
from fastput.model import ObjectUri
from fastput.store import StoreOptions
from fastput.store.memory import MemoryStore
from fastput.store.s3 import S3Store
from tests.support.archives import compressed, entry, packed, plain, tar
from tests.support.content import KIB, MIB, content

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

URI = ObjectUri("bucket", "key.tar.zst")
PACKINGS = [
    entry(b"d", kind=Kind.DIRECTORY),
    entry(b"d/a", content(700, 1)),
    entry(b"d/b", content(3_000, 2)),
    entry(b"d/bad", bytes(100), is_ok=False),
    entry(b"d/empty"),
    entry(b"d/hard", kind=Kind.HARDLINK, link=b"d/a"),
    entry(b"d/soft", kind=Kind.SYMLINK, link=b"a"),
    entry(b"e\xff", content(1_500, 3)),
]
FILES = {packing.member.name: packing.content for packing in PACKINGS if packing.member.kind is Kind.FILE}
TAR, LINES = tar(PACKINGS)


class Counting(S3Store):
    """Counts what is asked of a real server."""

    def __init__(self, options: StoreOptions) -> None:
        super().__init__(options)
        self.asked: list[tuple[str, str]] = []

    def _ask(self, uri: ObjectUri, action: str, operation: str, key: str | None = "", **arguments: Any) -> Any:
        self.asked.append((operation, arguments.get("Range", "")))
        return super()._ask(uri, action, operation, key, **arguments)


@contextmanager
def opened(data: bytes, key: str = URI.key) -> Iterator[Archives]:
    store = MemoryStore()
    store.receive(f"/bucket/{key}", {}, data)
    with closing(Archives(store)) as archives:
        yield archives


def read_all(archive: Archive) -> bytes:
    return b"".join(archive.stream(archive.content()))


@pytest.mark.parametrize("data", [plain(PACKINGS), packed(PACKINGS, 1_000)], ids=["plain", "compressed"])
def test_content_and_members(data: bytes) -> None:
    with opened(data) as archives:
        archive = archives.open(URI)
        assert read_all(archive) == (TAR if archive.is_compressed else data)
        for name, expected in FILES.items():
            if name == b"d/bad":
                with pytest.raises(SourceError, match="zeros"):
                    archive.file(name)
                continue
            member = archive.file(name)
            assert b"".join(archive.stream(archive.span(member))) == expected
        assert archive.file(b"d/hard") == archive.file(b"d/a")
        for name, why in ((b"d", "is a directory"), (b"d/soft", "is a link to 'a'")):
            with pytest.raises(UsageError, match=why):
                archive.file(name)
        with pytest.raises(StoreError, match="no such member"):
            archive.file(b"d/none")
        assert [member.name for member in archive.members(b"d")] == [p.member.name for p in PACKINGS[1:7]]
        assert b"".join(archives.open(URI, raw=True).stream(archives.open(URI, raw=True).content())) == data


def test_one_member_of_many(s3: S3Client, bucket: str, options: dict[str, str]) -> None:
    """Frames are smaller here: what counts is that no others are read, and how often is asked."""
    member = content(MIB, 7)
    others = [entry(b"run/%06d.fits" % number) for number in range(3_000)]
    packings = [*others, entry(b"run/a.fits", content(500 * KIB, 5)), entry(b"run/b.fits", member)]
    archive = packed(packings, MIB // 64)  # the member straddles 65 frames
    s3.put_object(Bucket=bucket, Key="a.tar.zst", Body=archive)
    store = Counting(StoreOptions(**options))
    with closing(Archives(store)) as archives:
        with open_location(archives, f"s3://{bucket}/a.tar.zst//run/a.fits", raw=False) as file:
            assert file.read() == content(500 * KIB, 5)
        store.asked.clear()
        opened = archives.open(ObjectUri(bucket, "a.tar.zst"))
        assert b"".join(opened.stream(opened.span(opened.file(b"run/b.fits")))) == member
    assert [operation for operation, _ in store.asked] == ["get_object"] * len(store.asked)
    assert len(store.asked) <= 3
    first, last = map(int, store.asked[-1][1].removeprefix("bytes=").split("-"))
    assert last - first < 1.05 * MIB + 2 * MIB // 64


def test_a_table_that_is_larger_than_the_guess() -> None:
    data = compressed(bytes(300_000), 5)  # 60,000 frames
    with opened(data) as archives:
        assert archives.open(URI).read(299_998, 2) == bytes(2)


def test_it_is_replaced_meanwhile(s3: S3Client, bucket: str, options: dict[str, str]) -> None:
    uri = ObjectUri(bucket, "key")
    s3.put_object(Bucket=bucket, Key="key", Body=content(MIB, 1))
    with closing(Archives(S3Store(StoreOptions(**options)))) as archives:
        archive = archives.open(uri)
        assert archive.read(0, 10) == content(MIB, 1)[:10]
        s3.put_object(Bucket=bucket, Key="key", Body=content(MIB, 2))
        with pytest.raises(StoreError, match="was replaced") as raised:
            archive.read(0, 10)
        assert raised.value.status == 412


def test_what_metadata_promises(s3: S3Client, bucket: str, options: dict[str, str]) -> None:
    data = compressed(content(5_000), 1_000)[:-1_000]
    with closing(Archives(S3Store(StoreOptions(**options)))) as archives:
        for key, metadata in (("a.zst", {"fastput-encoding": "zstd-seekable"}), ("b.zst", {})):
            s3.put_object(Bucket=bucket, Key=key, Body=data[:3_000], Metadata=metadata)
        with pytest.raises(DamagedArchive, match=r"a\.zst: its end.*lost.*byte 3,000"):
            archives.open(ObjectUri(bucket, "a.zst"))
        assert read_all(archives.open(ObjectUri(bucket, "b.zst"))) == data[:3_000]
        with pytest.raises(DamagedArchive, match="has no index"):
            archives.open(ObjectUri(bucket, "b.zst")).find(b"x")


@functools.cache
def archive_of(is_compressed: bool) -> bytes:
    return packed(PACKINGS, 1_000) if is_compressed else plain(PACKINGS)


@settings(max_examples=300)
@given(st.booleans(), st.data())
def test_damage_is_seen(is_compressed: bool, draw: st.DataObject) -> None:
    good = archive_of(is_compressed)
    data = bytearray(good)
    for _ in range(draw.draw(st.integers(1, 2))):
        place = draw.draw(st.integers(0, len(data) - 1))
        kind = draw.draw(st.sampled_from(["flip", "truncate", "extend", "remove"]))
        if kind == "flip":
            data[place] ^= 1 << draw.draw(st.integers(0, 7))
        elif kind == "truncate":
            del data[max(place, 1) :]
        elif kind == "remove":
            del data[place : place + draw.draw(st.integers(1, 2_000))]
        else:
            data += draw.draw(st.binary(min_size=1, max_size=20)) if draw.draw(st.booleans()) else good[:place]
        if not data:
            return
    with opened(bytes(data)) as archives:
        for name, expected in FILES.items():
            if name != b"d/bad":
                with_no_wrong_bytes(archives, f"//{name.decode(errors='surrogateescape')}", expected)
        try:
            archive = archives.open(URI)
        except DamagedArchive:
            return
        if archive.is_ours:  # what has lost its end isn't known for one of ours without its metadata
            with_no_wrong_bytes(archives, "", TAR if is_compressed else good)


def with_no_wrong_bytes(archives: Archives, member: str, expected: bytes) -> None:
    with suppress(DamagedArchive), open_location(archives, f"{URI}{member}", raw=False) as file:
        assert file.read() == expected


@pytest.mark.parametrize("frame", [0, 3, 6])
def test_a_damaged_frame_is_named(frame: int) -> None:
    data = bytearray(archive_of(is_compressed=True))
    with opened(bytes(data)) as archives:
        place = next(archives.open(URI).plan(Span("", frame * 1_000, 1)))
    data[place.stored_offset_bytes + place.stored_bytes - 6] ^= 1
    with opened(bytes(data)) as archives:
        archive = archives.open(URI)
        where = rf"frame {frame} of .*byte {place.stored_offset_bytes:,} of the object"
        with pytest.raises(DamagedArchive, match=where):
            read_all(archive)
        assert archive.read(frame * 1_000 + 1_000, 1_000) == TAR[frame * 1_000 + 1_000 :][:1_000]


# ---- files


@given(st.lists(st.tuples(st.integers(0, 11_000), st.integers(0, 3_000)), max_size=10), st.booleans())
def test_any_place_of_a_file(steps: list[tuple[int, int]], is_compressed: bool) -> None:
    data = content(10_000)
    with (
        opened(compressed(data, 700) if is_compressed else data) as archives,
        open_location(archives, str(URI), raw=False) as file,
    ):
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        for place, length_bytes in steps:
            assert file.seek(place) == place
            assert file.read(length_bytes) == data[place : place + length_bytes]
        assert file.seek(-5, io.SEEK_END) == 9_995
        assert file.read() == data[-5:]


def test_other_libraries_read_it(client: fastput.Client, bucket: str, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(700_000, dtype="<u4").reshape(700, 1000)
    numpy.save(tmp_path / "a.npy", array)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"{number}.bin", content(50_000, number))
    with tarfile.open(tmp_path / "a.tar", "w") as packed_files:
        packed_files.add(tmp_path / "a.npy", "a.npy")
        packed_files.add(tmp_path / "a.zip", "a.zip")
    for name in ("a.npy", "a.zip", "a.tar"):
        client.put(tmp_path / name, f"s3://{bucket}/{name}", compress=3)
    with fastput.open(f"s3://{bucket}/a.npy.zst", client=client) as file:
        assert numpy.array_equal(numpy.load(file), array)
    with client.open(f"s3://{bucket}/a.zip.zst") as file, zipfile.ZipFile(file) as found:
        assert found.testzip() is None
        assert found.read("31.bin") == content(50_000, 31)
    with client.open(f"s3://{bucket}/a.tar.zst") as file, tarfile.open(fileobj=file) as unpacked:
        extracted = unpacked.extractfile("a.zip")
        assert extracted is not None
        assert extracted.read() == (tmp_path / "a.zip").read_bytes()
    with client.open(f"s3://{bucket}/a.npy.zst", raw=True) as file:
        assert file.read(4) == bytes.fromhex("28b52ffd")


def test_a_file_has_a_client_of_its_own(options: dict[str, str], s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a.jsonl", Body=b'{"a": 1}\n{"a": 2}\n')
    with fastput.open(f"s3://{bucket}/a.jsonl", **options) as file:
        assert [json.loads(line) for line in file] == [{"a": 1}, {"a": 2}]
    with pytest.raises(StoreError):
        fastput.open(f"s3://{bucket}/none", **options)
