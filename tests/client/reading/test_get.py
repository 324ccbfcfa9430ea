"""Objects, prefixes and members become files, inside of the directory that was named and nowhere else."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastput
from fastput.client.reading.archive import Archives
from fastput.client.reading.download import Downloads
from fastput.client.reading.get import Getter
from fastput.client.reading.part_file import beside
from fastput.errors import DamagedArchive, Interrupted, ObjectExists, StoreError, UsageError
from fastput.formats.tar import Kind
from fastput.model import ObjectUri
from fastput.store import StoreOptions
from fastput.store.memory import MemoryStore
from fastput.store.s3 import S3Store
from tests.support.archives import compressed, entry, files_below, odd_tree, of_tree, packed, plain
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECRET = "root:x:0:0"


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_tree(tmp_path_factory.mktemp("odd") / "tree")


@pytest.fixture
def obs(s3: S3Client, bucket: str, tree: Path) -> str:
    s3.put_object(Bucket=bucket, Key="obs.tar.zst", Body=packed(of_tree(tree), 100_000))
    return f"s3://{bucket}/obs.tar.zst"


def test_compressed_objects(client: fastput.Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    text, noise = b"a,b,c\n" * 1_500_000, content(5 * MIB)
    mtime = {"mtime": "1700000000.123456789"}
    for key, data in (("run/text.csv", text), ("run/noise", noise)):
        client.put(data, f"s3://{bucket}/{key}", compress=3, metadata=mtime)
    client.put(text, f"s3://{bucket}/encoded", compress=3, content_encoding=True)
    s3.put_object(Bucket=bucket, Key="run/others.zst", Body=(others := b"\x28\xb5\x2f\xfd" + content(100)))
    found = {got.source: got for got in client.get_all(f"s3://{bucket}/run/", tmp_path / "got")}
    assert files_below(tmp_path / "got") == {"text.csv": text, "noise": noise, "others.zst": others}
    got = found[f"s3://{bucket}/run/text.csv.zst"]
    assert (got.error, got.size_bytes, got.crc64nvme) == (None, len(text), crc64nvme_base64(text))
    assert (tmp_path / "got" / "text.csv").stat().st_mtime_ns == 1700000000_123456789
    assert [got.error for got in client.get_all(f"s3://{bucket}/encoded", tmp_path / "named")] == [None]
    assert (tmp_path / "named").read_bytes() == text
    assert [got.error for got in client.get_all(f"s3://{bucket}/run/text.csv.zst", tmp_path, raw=True)] == [None]
    unpacked = subprocess.run(["zstd", "-dcq", tmp_path / "text.csv.zst"], capture_output=True)
    assert unpacked.stdout == text


def test_two_objects_for_one_file(client: fastput.Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a", Body=b"plain")
    s3.put_object(Bucket=bucket, Key="p/a.zst", Body=compressed(b"compressed", 100))
    errors = [got.error for got in client.get_all(f"s3://{bucket}/p/", tmp_path)]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "UsageError"]


def test_existing_files(client: fastput.Client, s3: S3Client, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=b"new")
    target = tmp_path / "target"
    target.write_text("old")
    os.link(target, tmp_path / "second")
    kept = next(client.get_all(f"s3://{bucket}/key", target, no_clobber=True))
    assert isinstance(kept.error, ObjectExists)
    assert next(client.get_all(f"s3://{bucket}/key", target, dry_run=True)).error is None
    assert target.read_text() == "old"
    assert next(client.get_all(f"s3://{bucket}/key", target)).error is None
    assert (target.read_text(), (tmp_path / "second").read_text()) == ("new", "old")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("fifo", "link"):
        assert isinstance(next(client.get_all(f"s3://{bucket}/key", tmp_path / name)).error, UsageError)
    assert next(client.get_all(f"s3://{bucket}/key", tmp_path / "none" / "a", dry_run=True)).error is None
    assert sorted(os.listdir(tmp_path)) == ["fifo", "link", "second", "target"]


def test_hostile_keys(tmp_path: Path) -> None:
    """No real server takes all of these."""
    store = MemoryStore()
    for key in ("good", "../../up", "/absolute", "a/../../up", "a\0b", "link/through", "dir/x"):
        store.objects[f"s3://bucket/p/{key}"] = b"x"
        store._etags[f"s3://bucket/p/{key}"] = '"x"'
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (target / "link").symlink_to(tmp_path / "outside")
    (target / "dir").symlink_to("link")
    with closing(Archives(store)) as archives:
        getter = Getter(store, archives, Downloads(store, prove=no_proof))
        found = getter.get(["s3://bucket/p/"], str(target))
        results = {got.source.removeprefix("s3://bucket/p/"): got.error for got in found}
    assert {key for key, error in results.items() if error is None} == {"good"}
    assert all(isinstance(error, UsageError) for key, error in results.items() if key != "good")
    assert files_below(target) == {"good": b"x"}
    assert [os.listdir(tmp_path / name) for name in ("outside", "in")] == [[], ["target"]]


def no_proof(path: str, uri: object) -> fastput.Verification:
    raise AssertionError("nothing is as large as that")


@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_a_whole_archive(
    client: fastput.Client, bucket: str, s3: S3Client, tree: Path, tmp_path: Path, is_compressed: bool
) -> None:
    packings = of_tree(tree)
    data = packed(packings, 100_000) if is_compressed else plain(packings)
    s3.put_object(Bucket=bucket, Key="obs.tar", Body=data)
    umask = os.umask(0o077)
    (tmp_path / "got" / "d").mkdir(parents=True)
    try:
        for _ in range(2):  # also over what is there
            beside(tmp_path / "got" / "d" / "01")[0].write_text("left by another run")
            results = list(client.get_all(f"s3://{bucket}/obs.tar//", tmp_path / "got"))
            assert [got.error for got in results] == [None] * sum(p.member.kind is not Kind.DIRECTORY for p in packings)
    finally:
        os.umask(umask)
    listing = "find . -mindepth 1 -printf '%P %y %m %T@ %l\\0' | sort -z"
    roots = (tree, tmp_path / "got")
    seen = [subprocess.run(["bash", "-c", listing], cwd=root, capture_output=True).stdout for root in roots]
    assert seen[0] == seen[1]
    assert files_below(tmp_path / "got") == files_below(tree)
    assert os.path.samefile(tmp_path / "got" / "hard", tmp_path / "got" / "d" / "a.fits")


def test_parts_of_an_archive(client: fastput.Client, obs: str, tree: Path, tmp_path: Path) -> None:
    for name in ("d/a.fits", "hard", "empty", "d/deep/large"):
        got = next(client.get_all(f"{obs}//{name}", tmp_path / "one"))
        data = (tree / name).read_bytes()
        assert (got.error, got.size_bytes, got.crc64nvme) == (None, len(data), crc64nvme_base64(data))
        assert (tmp_path / "one").read_bytes() == data
        assert (tmp_path / "one").stat().st_mtime_ns == (tree / name).stat().st_mtime_ns
    for number, directory in enumerate(("d", "d/")):
        assert {got.error for got in client.get_all(f"{obs}//{directory}", tmp_path / f"below{number}")} == {None}
        assert files_below(tmp_path / f"below{number}") == files_below(tree / "d")
    # Of several sources each has its own name.
    (tmp_path / "several").mkdir()
    sources = [f"{obs}//d/deep", f"{obs}//d/01", f"{obs}//none", f"{obs}//soft"]
    errors = [got.error for got in client.get_all(sources, tmp_path / "several")]
    assert [type(error) for error in errors] == [type(None), type(None), StoreError, type(None)]
    assert files_below(tmp_path / "several" / "deep") == files_below(tree / "d" / "deep")
    assert (tmp_path / "several" / "01").read_bytes() == content(1_000, 1)
    assert os.readlink(tmp_path / "several" / "soft") == "d"
    assert next(client.get_all(obs, f"{tmp_path}/")).path == str(tmp_path / "obs.tar")
    listed = subprocess.run(["tar", "tf", tmp_path / "obs.tar"], capture_output=True)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, len(of_tree(tree)))
    with pytest.raises(UsageError, match=r"end .* with a /"):
        next(client.get_all([obs, obs], tmp_path / "none"))


def test_hostile_members(client: fastput.Client, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    target.mkdir()
    (target / "mine").write_text("mine")
    link = str(outside).encode()
    packings = [
        entry(b"../up", b"x"),
        entry(link + b"/absolute", b"x"),
        entry(b"a\0b", b"x"),
        entry(b"good", b"good"),
        entry(b"link", kind=Kind.SYMLINK, link=link),
        entry(b"link/through", b"x"),
        entry(b"link/directory", kind=Kind.DIRECTORY),
        entry(b"grab", kind=Kind.HARDLINK, link=b"../outside/secret"),
        entry(b"mine2", kind=Kind.HARDLINK, link=b"mine"),
        entry(b"self", kind=Kind.HARDLINK, link=b"self"),
        entry(b"twice", b"first"),
        entry(b"twice", b"second"),
        entry(b"zeros", bytes(10), is_ok=False),
        entry(b"zeros2", kind=Kind.HARDLINK, link=b"zeros"),
    ]
    s3.put_object(Bucket=bucket, Key="evil.tar", Body=plain(packings))
    for _ in range(2):  # the second time the link is there
        errors = {got.source.rpartition("evil.tar//")[2]: got.error for got in client.get_all(
            f"s3://{bucket}/evil.tar//", target)}  # fmt: skip
        names = {name: type(error).__name__ for name, error in errors.items()}
        assert names == {
            "../up": "UsageError", f"{outside}/absolute": "UsageError", "a\\x00b": "UsageError", "good": "NoneType",
            "link": "NoneType", "link/through": "UsageError", "link/directory": "UsageError", "grab": "DamagedArchive",
            "mine2": "DamagedArchive", "self": "DamagedArchive", "twice": "UsageError", "zeros": "SourceError",
            "zeros2": "SourceError",
        }  # fmt: skip
        assert {name: (target / name).read_text() for name in ("good", "mine", "twice")} == {
            "good": "good", "mine": "mine", "twice": "first",
        }  # fmt: skip
        assert sorted(os.listdir(target)) == ["good", "link", "mine", "twice"]
        assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": SECRET}
        assert sorted(os.listdir(tmp_path)) == ["outside", "target"]
    # Of a run before, or of somebody else.
    s3.put_object(Bucket=bucket, Key="evil.tar", Body=plain([entry(b"link/through", b"x")]))
    through = next(client.get_all(f"s3://{bucket}/evil.tar//", target))
    assert isinstance(through.error, UsageError)
    assert os.listdir(outside) == ["secret"]


def test_damaged_archives(client: fastput.Client, bucket: str, s3: S3Client, tmp_path: Path) -> None:
    packings = [entry(b"%d" % number, content(10_000, number)) for number in range(10)]
    bad = bytearray(plain(packings))
    bad[30_000] ^= 1
    frames = bytearray(packed(packings, 20_000))
    frames[30_000] ^= 1
    for key, data, most_lost in (("a.tar", bad, 1), ("b.tar.zst", frames, 3)):
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(data))
        results = list(client.get_all(f"s3://{bucket}/{key}//", tmp_path / key))
        failed = [got for got in results if got.error is not None]
        assert 1 <= len(failed) <= most_lost
        assert all(isinstance(got.error, DamagedArchive) for got in failed)
        found = files_below(tmp_path / key)
        assert len(found) == len(packings) - len(failed)
        assert all(data == content(10_000, int(name)) for name, data in found.items())
        whole = next(client.get_all(f"s3://{bucket}/{key}", tmp_path / "whole"))
        assert isinstance(whole.error, DamagedArchive)
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "b.tar.zst"]


class Ending(S3Store):
    """Of a real server; from a byte on nothing is read any more."""

    end_bytes = 0

    def __init__(self, options: StoreOptions) -> None:
        super().__init__(options)
        self.read_bytes = 0

    def read(
        self, uri: ObjectUri, first_byte: int, last_byte: int, version_id: str | None = None, etag: str = ""
    ) -> bytes:
        if self.end_bytes and first_byte > self.end_bytes:
            raise Interrupted("that was all")
        self.read_bytes += last_byte + 1 - first_byte
        return super().read(uri, first_byte, last_byte, version_id, etag)


def test_a_large_one_goes_on(options: dict[str, str], bucket: str, s3: S3Client, tmp_path: Path) -> None:
    data = content(30 * MIB)
    s3.put_object(Bucket=bucket, Key="key.zst", Body=compressed(data, MIB))
    uri, target = f"s3://{bucket}/key.zst", tmp_path / "key"
    store = Ending(StoreOptions(**options))
    with closing(store), closing(Archives(store)) as archives:
        getter = Getter(store, archives, Downloads(store, prove=no_proof))
        store.end_bytes = 15 * MIB
        with pytest.raises(Interrupted):
            next(getter.get([uri], str(target)))
        assert set(os.listdir(tmp_path)) == {path.name for path in beside(target)}
        store.end_bytes = store.read_bytes = 0
        assert next(getter.get([uri], str(target))).error is None
    assert target.read_bytes() == data
    assert 10 * MIB < store.read_bytes < 20 * MIB
    assert os.listdir(tmp_path) == ["key"]
