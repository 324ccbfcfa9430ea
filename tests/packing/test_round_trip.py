"""Any tree, packed and perhaps compressed, sent to a real store and fetched again, is the same tree."""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastput
from bench.servers.seaweedfs import SeaweedFS
from fastput.client.packing import PackOptions
from tests.support.content import KIB, content
from tests.support.trees import Held, held
from tests.tree.trees import names

FRAME_BYTES = 16 * KIB
# Around the borders of tar's blocks and of frames, and several frames.
_SIZES = [0, 1, 511, 512, 513, 1024, FRAME_BYTES - 1536, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 100_000]


class Hole(int):
    """A file of so many zeros that aren't there, and one byte."""


class Link(bytes):
    """A symbolic link to this."""


class Same(int):
    """Another name of a file that was made before: which one."""


files = st.one_of(
    st.sampled_from(_SIZES),
    st.integers(0, 70_000),
    st.integers(0, 3 * FRAME_BYTES).map(Hole),
    st.sampled_from([b"a", b"../up", b"/absolute", b"\xff", b"x" * 150]).map(Link),
    st.integers(0, 5).map(Same),
)
trees = st.recursive(
    st.dictionaries(names | st.binary(min_size=1, max_size=3).map(lambda name: b"y" * 200 + name.hex().encode()), files,
                    max_size=6),
    lambda below: st.dictionaries(names, st.one_of(files, below), max_size=4),
    max_leaves=12,
)  # fmt: skip


def make(place: bytes, tree: dict[bytes, object], made: list[bytes], times: Iterator[int]) -> None:
    os.makedirs(place, exist_ok=True)
    for name, what in tree.items():
        path = os.path.join(place, name)
        if isinstance(what, dict):
            make(path, what, made, times)
            continue
        if isinstance(what, Link):
            os.symlink(what, path)
        elif isinstance(what, Same) and made:
            os.link(made[what % len(made)], path)
        else:
            size = int(what) if isinstance(what, int) else 0
            with open(path, "wb") as file:
                if isinstance(what, Hole):
                    file.seek(size)
                    file.write(b"\x01")
                else:
                    # Half of it shrinks.
                    file.write(content(100_000)[: size // 2] + b"x" * (size - size // 2))
            os.chmod(path, 0o600 + size % 8 * 8)
            made.append(path)
        os.utime(path, ns=(0, next(times)), follow_symlinks=False)
    os.utime(place, ns=(0, next(times)))


def a_time() -> Iterator[int]:
    """Before the epoch, whole seconds, to the nanosecond."""
    at = 0
    while True:
        at += 1
        yield [-1_250_000_000, 10**18, 1_700_000_000_123_456_789][at % 3] + at // 3


@pytest.fixture(scope="module")
def client(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fastput.Client]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweedfs.env().items():
            patch.setenv(name, value)
        state = tmp_path_factory.mktemp("state")
        with fastput.Client(endpoint_url=seaweedfs.endpoint_url, state_dir=state, part_size="5MiB") as client:
            yield client


@settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(tree=trees, compress=st.sampled_from([None, "auto", 1, 9]), most_bytes=st.sampled_from([None, None, 60_000]))
def test_a_tree_comes_back(
    client: fastput.Client, bucket: str, tree: dict[bytes, object], compress: str | int | None, most_bytes: int | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = os.fsencode(directory) + b"/root"
        made: list[bytes] = []
        make(root, tree, made, a_time())
        before = held(root)
        if not before:
            return
        key = str(uuid.uuid4())
        frame_size = FRAME_BYTES if compress is not None else None
        report = client.pack(
            os.fsdecode(root), f"s3://{bucket}/{key}", PackOptions(most_bytes), compress=compress, frame_size=frame_size
        )
        report.check()
        assert report.planned == report.packed == sum(not stat.S_ISDIR(each.kind) for each in before.values())
        out = Path(directory, "out")
        for receipt in report.archives:
            assert [got for got in client.get_all(f"{receipt.uri}//", str(out)) if got.error is not None] == []
        after = held(out)
        if most_bytes is not None:
            before, after = across_archives(before), across_archives(after)
        assert after == before


def across_archives(found: dict[bytes, Held]) -> dict[bytes, Held]:
    """Without what several archives can't tell: that two files are one, and when a directory got its last file."""
    return {
        name: each._replace(links=(), mtime_ns=0 if stat.S_ISDIR(each.kind) else each.mtime_ns)
        for name, each in found.items()
    }
