"""A survey beside du, find and the statistics module."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.errors import SourceNotFound, SourceUnreadable
from fastput.native.scan import ROW
from fastput.tree.select import Rule, Selection
from fastput.tree.survey import run as run_module
from fastput.tree.survey.facts import AGES, OTHERS
from fastput.tree.survey.run import SurveyOptions, survey
from fastput.tree.survey.tally import Groups, Tally
from tests.tree.trees import Tree, make, paths, trees

METADATA_ONLY = SurveyOptions(sample_mib=0)


@settings(deadline=None, max_examples=50)
@given(trees)
def test_beside_du_and_find(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make(root, tree)
        found = survey([root], METADATA_ONLY)
        sizes = [os.path.getsize(os.path.join(os.fsencode(root), path)) for path in paths(root)]
        assert (found.total.files, found.total.size_bytes) == (len(sizes), sum(sizes))
        assert found.directory_count == len(list(os.walk(root))) - 1
        assert sum(share.files for share in found.extensions.values()) == len(sizes)
        assert sum(share.size_bytes for share in found.directories.values()) == sum(sizes)
        assert sum(share.files for share in found.ages) == len(sizes)
        json.dumps(found.to_dict())
        if not sizes:
            assert found.sizes is None
            return
        assert found.sizes is not None
        assert found.sizes.mean_bytes == pytest.approx(statistics.fmean(sizes))
        assert found.sizes.deviation_bytes == pytest.approx(statistics.pstdev(sizes))
        assert found.sizes.median_bytes == statistics.median_low(sizes)
        assert (found.sizes.smallest[0], found.sizes.largest[0]) == (min(sizes), max(sizes))
        assert os.path.getsize(found.sizes.largest[1]) == max(sizes)


def test_many_directories_with_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_BATCH_ENTRIES", 10)
    make(tmp_path, {b"%d" % i: {b"%d" % k + b"n" * 250: b"x" * k for k in range(25)} for i in range(60)})
    found = survey([tmp_path], METADATA_ONLY)
    assert (found.total.files, found.total.size_bytes, found.directory_count) == (1500, 60 * 300, 60)
    by_du = subprocess.run(["du", "-s", "--block-size=1", tmp_path], capture_output=True, check=True)
    disk = int(by_du.stdout.split()[0])
    directories = sum(os.stat(place).st_blocks * 512 for place, _, _ in os.walk(tmp_path))
    assert found.disk_bytes == disk - directories
    assert found.directories[OTHERS].files == (60 - 20) * 25


def test_rules_of_several_directories_match_as_those_of_put(tmp_path: Path) -> None:
    """Behind the directory's name; and run10 isn't taken for run1."""
    for name in ("run1", "run10"):
        make(tmp_path / name, {b"a": b"1", b"b": b"22"})
    rules = Selection((Rule(False, "*"), Rule(True, "run10/a"), Rule(True, "run1/b")))
    both = survey([tmp_path / "run1", tmp_path / "run10"], SurveyOptions(sample_mib=0, selection=rules))
    assert {os.path.basename(name): share.size_bytes for name, share in both.directories.items()} == {
        "run10": 1, "run1": 2
    }  # fmt: skip
    one = survey([tmp_path / "run1"], SurveyOptions(sample_mib=0, selection=Selection((Rule(False, "b"),))))
    assert one.total.size_bytes == 1


def rows(sizes: list[int], mtime_ns: int = 0) -> np.ndarray:
    made = np.zeros(len(sizes), np.dtype(ROW))
    made["size_bytes"], made["mode"], made["mtime_ns"], made["links"] = sizes, 0o100644, mtime_ns, 1
    return made


@given(st.lists(st.lists(st.integers(0, 2**62), min_size=1, max_size=30), min_size=1, max_size=5))
def test_sizes_of_any_kind(batches: list[list[int]]) -> None:
    tally = Tally(0)
    for sizes in batches:
        # The sum of all must fit: the file systems' do.
        tally.add(rows([size >> 8 for size in sizes]), str)
    together = [size >> 8 for sizes in batches for size in sizes]
    found = tally.sizes()
    assert found is not None
    assert tally.size_bytes == sum(together)
    assert found.mean_bytes == pytest.approx(statistics.fmean(together))
    assert found.deviation_bytes == pytest.approx(statistics.pstdev(together), rel=1e-9, abs=1e-6)
    assert found.median_bytes == pytest.approx(statistics.median_low(together), rel=0.004)
    powers = [0] * len(found.powers)
    for size in together:
        powers[size.bit_length()] += 1
    assert [share.files for share in found.powers] == powers


def test_a_deviation_that_a_sum_of_squares_would_lose() -> None:
    tally = Tally(0)
    for _ in range(100):
        tally.add(rows([2**45, 2**45 + 2]), str)
    found = tally.sizes()
    assert found is not None
    assert found.deviation_bytes == pytest.approx(1.0)


def test_ages() -> None:
    now_ns = time.time_ns()
    tally = Tally(now_ns)
    for _, age_s in AGES:
        tally.add(rows([1], now_ns - int((age_s - 1) * 1e9)), str)
        tally.add(rows([10], now_ns - int((age_s + 1) * 1e9)), str)
    tally.add(rows([100], now_ns + 10**12), str)
    assert [share.size_bytes for share in tally.ages()] == [101, 11, 11, 11, 11, 10]


def test_names_without_end() -> None:
    groups = Groups()
    for i in range(20_000):
        groups.add(b".%d" % i, 1, 1)
    groups.add(b".0", 1, 100)
    found = groups.largest(3)
    assert found[".0"].size_bytes == 101
    assert len(found) == 4
    assert sum(share.files for share in found.values()) == 20_001


def test_extensions(tmp_path: Path) -> None:
    names = [b"a.fits", b"b.fits", b".hidden", b"..x", b"a.", b"plain", b"a.tar.gz", b"x.\xff"]
    make(tmp_path, dict.fromkeys(names, b"12"))
    found = survey([tmp_path], METADATA_ONLY)
    expected: dict[str, int] = {}
    for name in names:
        extension = os.path.splitext(name)[1].decode("utf-8", "backslashreplace")
        expected[extension] = expected.get(extension, 0) + 1
    assert {name: share.files for name, share in found.extensions.items()} == expected


def test_a_sample_is_compressed(tmp_path: Path) -> None:
    """Zeros and noise, half and half by bytes: the sample finds about that; all of it is read where it is small."""
    noise = os.urandom(3 << 20)
    (tmp_path / "a.zero").write_bytes(bytes(3 << 20))
    (tmp_path / "b.noise").write_bytes(noise)
    (tmp_path / "empty").write_bytes(b"")
    found = survey([tmp_path], SurveyOptions(sample_mib=6)).compression
    assert found is not None
    assert (found.places, found.read_bytes) == (6, 6 << 20)
    pieces = [bytes(1 << 20)] * 3 + [noise[i << 20 : (i + 1) << 20] for i in range(3)]
    assert found.compressed_bytes == sum(len(zstandard.compress(piece, 3)) for piece in pieces)
    assert found.by_extension[".zero"] > 1000
    assert found.by_extension[".noise"] == pytest.approx(1.0, rel=0.01)


def test_a_sample_of_many_goes_by_bytes(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i}.small").write_bytes(b"x" * 100)
    for i in range(20):
        (tmp_path / f"{i}.large").write_bytes(b"x" * 1_000_000)
    found = survey([tmp_path], SurveyOptions(sample_mib=10)).compression
    assert found is not None
    assert set(found.by_extension) == {".large"}
    assert found.places == 10


def test_nothing_to_sample(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert survey([tmp_path]).compression is None


def test_duplicates(tmp_path: Path) -> None:
    noise = os.urandom(5000)
    make(tmp_path, {b"a": noise, b"b": {b"c": noise, b"d": noise[::-1]}, b"e": b"x", b"f": b"x", b"g": b"", b"h": b""})
    found = survey([tmp_path], SurveyOptions(0, finds_duplicates=True)).duplicates
    assert found is not None
    shown = {size: {os.path.basename(path) for path in group} for size, group in found.groups}
    assert shown == {5000: {"a", "c"}, 1: {"e", "f"}}
    assert (found.spare.files, found.spare.size_bytes, found.read_bytes) == (2, 5001, 15_002)


def test_links_and_several_roots(tmp_path: Path) -> None:
    make(tmp_path, {b"one": {b"x": b"1"}, b"two": {b"y": b"22"}})
    (tmp_path / "one" / "link").symlink_to("x")
    (tmp_path / "one" / "loop").symlink_to("..")
    os.link(tmp_path / "one" / "x", tmp_path / "one" / "z")
    os.mkfifo(tmp_path / "two" / "pipe")
    found = survey([tmp_path / "one", tmp_path / "two"], METADATA_ONLY)
    assert (found.total.files, found.link_count, found.hard_links, found.special_count) == (3, 2, 2, 1)
    assert {Path(name).name: share.files for name, share in found.directories.items()} == {"one": 2, "two": 1}


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceUnreadable, match="not a directory"):
        survey([tmp_path / "file"])
    with pytest.raises(SourceNotFound, match="no such directory"):
        survey([tmp_path / "nowhere"])
