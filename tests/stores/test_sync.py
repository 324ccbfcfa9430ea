"""Whatever happens to a directory and to its copy: afterwards they are the same, and then nothing is left to do."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastput
from bench.servers import tcp_proxy
from bench.servers.tcp_proxy import Fault
from fastput.client.trees import TreeEvents, TreeReport
from fastput.model import Receipt
from fastput.tree.compare import How
from fastput.tree.decide import Send
from fastput.tree.transfer import Deletion, TransferOptions
from tests.stores.conftest import Bucket, Store
from tests.support.content import MIB, content

# Around "/" in the order of bytes; what is a directory never becomes a file: some stores are file systems.
directories = st.sampled_from(["", "d/", "d-/", "d0/", "d/e/", "d/e+/", "é/"])
names = st.sampled_from(["a.f", "b.f", "a b.f", "ü.f", "A.f", "a.f.f", "#.f"])
paths = st.builds(lambda directory, name: directory + name, directories, names)
# Of few sizes: most changes leave the size as it is.
contents = st.sampled_from([b"", b"one", b"two", b"six", b"longer"])
trees = st.dictionaries(paths, contents, max_size=12)
SYNC = TransferOptions(how=How.TIMES, deletes=Deletion(is_forced=True))


class Crash(Exception):
    pass


class Crashing(TreeEvents):
    """Fails after so many files."""

    def __init__(self, after: int) -> None:
        self.left = after

    def sent(self, send: Send, receipt: Receipt) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


def write(root: Path, tree: Mapping[str, bytes], sets_back: bool) -> None:
    """Makes the directory this; sets_back: what is written over keeps its mtime."""
    for place, _, files in os.walk(root, topdown=False):
        for name in files:
            path = Path(place, name)
            if str(path.relative_to(root)) not in tree:
                path.unlink()
    for name, data in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if path.read_bytes() == data:
                continue
            mtime_ns = path.stat().st_mtime_ns
            path.write_bytes(data)
            if sets_back:
                os.utime(path, ns=(mtime_ns, mtime_ns))
        else:
            path.write_bytes(data)


def stored(bucket: Bucket, prefix: str) -> dict[str, bytes]:
    listed = bucket.s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix).get("Contents", [])
    return {entry["Key"].removeprefix(prefix): bucket.read(entry["Key"]) for entry in listed}


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    states=st.lists(st.tuples(trees, st.booleans()), min_size=1, max_size=3),
    strangers=st.dictionaries(paths, contents, max_size=3),
    lost=st.sets(paths, max_size=3),
    crashes_after=st.integers(0, 4),
    hash_digits=st.sampled_from([0, 0, 1]),
    is_exact=st.booleans(),
)
def test_the_bucket_becomes_the_directory(
    client: fastput.Client,
    bucket: Bucket,
    states: list[tuple[dict[str, bytes], bool]],
    strangers: dict[str, bytes],
    lost: set[str],
    crashes_after: int,
    hash_digits: int,
    is_exact: bool,
) -> None:
    prefix = f"{uuid.uuid4()}/"
    options = TransferOptions(how=SYNC.how, deletes=SYNC.deletes, hash_digits=hash_digits, is_exact=is_exact)
    if not is_exact:
        # As with aws s3 sync, an object of the same size that is younger than a file is taken for it.
        strangers = dict.fromkeys(strangers, b"stranger")

    def sync(events: TreeEvents | None = None) -> TreeReport:
        return client.transfer(root, bucket.uri(prefix), options, events)

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory, "root")
        root.mkdir()
        for number, (tree, sets_back) in enumerate(states):
            # What was under way at a crash is known by its time only.
            write(root, tree, sets_back and number > 0 and not crashes_after)
            if number:
                for name, data in strangers.items():
                    bucket.s3.put_object(Bucket=bucket.name, Key=prefix + name, Body=data)
                for name in lost:
                    bucket.s3.delete_object(Bucket=bucket.name, Key=prefix + name)
            if crashes_after:
                try:
                    sync(Crashing(crashes_after))
                except Crash:
                    pass
            report = sync()
            assert report.failed == report.not_deleted == 0
            assert report.planned == len(tree)
            found = stored(bucket, prefix)
            if hash_digits:
                strange = {name for name in found if name in strangers}
                found = {name.partition("/")[2]: data for name, data in found.items() if name not in strange}
            assert found == tree
            again = sync()
            assert (again.sent, again.deleted, again.failed) == (0, 0, 0)
            assert again.planned == len(tree)


def test_a_time_set_back_hides_nothing(client: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    """Nor where the store says other ETags than it answered with, so that a run in between has asked for the time."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert [client.transfer(tmp_path, bucket.uri("p/"), SYNC).sent for _ in range(3)] == [1, 0, 0]
    mtime_ns = path.stat().st_mtime_ns
    path.write_bytes(b"two")
    os.utime(path, ns=(mtime_ns, mtime_ns))
    assert [client.transfer(tmp_path, bucket.uri("p/"), SYNC).sent for _ in range(3)] == [1, 0, 0]
    assert bucket.read("p/a") == b"two"


def test_what_is_gone_is_deleted_in_whatever_order_it_is_listed(
    client: fastput.Client, bucket: Bucket, tmp_path: Path
) -> None:
    """Some stores list by directory: "d/e" before "d-/a", where S3 has it behind."""
    for path in ("d-/kept", "d0/kept"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"")
    for path in ("d/e/a", "d/e+/a", "d/a", "d-/a", "d0/a", "d.f", "d!"):
        bucket.s3.put_object(Bucket=bucket.name, Key=f"p/{path}", Body=b"")
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).deleted == 7
    assert stored(bucket, "p/") == {"d-/kept": b"", "d0/kept": b""}


@settings(
    max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    states=st.lists(trees, min_size=2, max_size=3),
    cut_after_bytes=st.sampled_from([0, 300, 1_500, 10_000]),
    connections=st.integers(1, 6),
)
def test_on_a_network_that_breaks(
    store: Store, bucket: Bucket, states: list[dict[str, bytes]], cut_after_bytes: int, connections: int
) -> None:
    """The store answers once, and then connections are cut: that is tried again, and the end is the same."""
    prefix, port = f"{uuid.uuid4()}/", urlsplit(store.server.endpoint_url).port
    assert port is not None
    with tempfile.TemporaryDirectory() as directory, tcp_proxy.serve(port) as proxy:
        root = Path(directory, "root")
        root.mkdir()
        for tree in states:
            write(root, tree, sets_back=False)
            proxy.script(Fault())
            proxy.script(Fault(reset_after_bytes=cut_after_bytes), connections=connections)
            with fastput.Client(endpoint_url=proxy.endpoint_url, state_dir=Path(directory, "state")) as client:
                report = client.transfer(root, bucket.uri(prefix), SYNC)
            assert (report.planned, report.failed, report.not_deleted) == (len(tree), 0, 0), report.first_error
            assert stored(bucket, prefix) == tree
            proxy.heal()
        with fastput.Client(endpoint_url=proxy.endpoint_url, state_dir=Path(directory, "state")) as client:
            again = client.transfer(root, bucket.uri(prefix), SYNC)
        assert (again.sent, again.deleted) == (0, 0)


def test_from_another_machine(client: fastput.Client, store: Store, bucket: Bucket, tmp_path: Path) -> None:
    """Nothing is known of what was sent but what the objects say: their mtimes."""
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a", "b", "c"):
        (root / name).write_bytes(name.encode())
    (root / "large").write_bytes(content(6 * MIB))
    assert client.transfer(root, bucket.uri("p/"), SYNC).sent == 4
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(root, elsewhere)  # with their times
    (elsewhere / "b").write_bytes(b"B")
    report = client.transfer(elsewhere, bucket.uri("p/"), SYNC)
    assert (report.sent, report.planned) == (1, 4)
    assert bucket.read("p/b") == b"B"
    os.utime(elsewhere / "c", (0, 0))
    assert client.transfer(elsewhere, bucket.uri("p/"), SYNC).sent == 1


def test_by_checksum(client: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    """What was sent with other times isn't sent again; what has another content of the same size is."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "large").write_bytes(content(6 * MIB))
    by_checksum = TransferOptions(how=How.CHECKSUMS)
    assert client.transfer(tmp_path, bucket.uri("p/"), by_checksum).sent == 3
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    assert client.transfer(tmp_path, bucket.uri("p/"), by_checksum).sent == 0
    bucket.s3.put_object(Bucket=bucket.name, Key="p/b", Body=b"B")
    assert client.transfer(tmp_path, bucket.uri("p/"), by_checksum).sent == 1
    assert bucket.read("p/b") == b"b"


def test_only_sizes(client: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    bucket.s3.put_object(Bucket=bucket.name, Key="p/a", Body=b"two")
    report = client.transfer(tmp_path, bucket.uri("p/"), TransferOptions(how=How.SIZES))
    assert (report.sent, report.skipped) == (0, {"the same size": 1})


def test_thousands_of_keys(client: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    """More than a page, in several directories: the order of the store's listing doesn't matter."""
    for i in range(1300):
        path = tmp_path / f"d{i % 3}" / f"{i:04d}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "d1-x").write_bytes(b"")
    (tmp_path / "d10").write_bytes(b"")
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).sent == 1302
    again = client.transfer(tmp_path, bucket.uri("p/"), SYNC)
    assert (again.sent, again.deleted, again.planned) == (0, 0, 1302)
    shutil.rmtree(tmp_path / "d1")
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).deleted == 433


@pytest.mark.parametrize("key", ["a+b", "a b", "100%", "a&b", "<x>", "é\u0301", "a\nb", "a\tb"])
def test_keys_that_are_hard_to_list(
    client: fastput.Client, store: Store, bucket: Bucket, tmp_path: Path, key: str
) -> None:
    if store.name == "moto" and "\n" in key:
        pytest.skip("moto doesn't take line breaks")
    (tmp_path / key).write_bytes(b"x")
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).sent == 1
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).sent == 0
    (tmp_path / key).unlink()
    assert client.transfer(tmp_path, bucket.uri("p/"), SYNC).deleted == 1
