"""The walk beside os.walk; what it doesn't send, and why."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from fastput.tree import walk as walk_module
from fastput.tree.links import LinkPolicy
from fastput.tree.walk import Found, Passed, walk
from tests.tree.trees import Tree, make, paths, trees


def found(root: Path, links: LinkPolicy = LinkPolicy.SKIP) -> list[bytes]:
    return [item.key_path for item in walk(root, links) if isinstance(item, Found)]


def passed(root: Path, links: LinkPolicy = LinkPolicy.SKIP) -> dict[bytes, Passed]:
    return {item.path: item for item in walk(root, links) if isinstance(item, Passed)}


@settings(deadline=None)
@given(trees)
def test_in_the_order_of_keys(tree: Tree) -> None:
    """A directory "a" beside files "a-" and "a0": its files come between them."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make(root, tree)
        assert found(root) == paths(root)


def test_a_directory_with_very_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sorted on disk, and has directories among its files."""
    monkeypatch.setattr(walk_module, "_MOST_IN_MEMORY", 100)
    make(tmp_path, {b"%d" % i: {b"x": b"", b"y": b""} if i % 7 == 0 else b"" for i in range(5000)})
    assert found(tmp_path) == paths(tmp_path)


def test_what_is_seen_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(5000))
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    path.chmod(0o640)
    os.link(path, tmp_path / "b")
    status = path.stat()
    for item in walk(tmp_path):
        assert isinstance(item, Found)
        entry = item.entry
        assert (entry.size_bytes, entry.mtime_ns, entry.ctime_ns) == (5000, status.st_mtime_ns, status.st_ctime_ns)
        assert (entry.inode, entry.device, entry.links) == (status.st_ino, status.st_dev, 2)
        assert (entry.mode, entry.uid, entry.gid) == (status.st_mode, status.st_uid, status.st_gid)
        assert entry.disk_bytes == status.st_blocks * 512
        assert (entry.is_file, entry.is_directory, entry.is_link) == (True, False, False)


def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        (tmp_path / "link").symlink_to("pipe")
        reasons = {path: (item.reason, item.is_failure) for path, item in passed(tmp_path).items()}
        assert reasons == {
            b"pipe": ("a pipe", False),
            b"socket": ("a socket", False),
            b"link": ("a symbolic link", False),
        }
        assert found(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device takes root")
def test_devices(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("no devices can be made here")
    assert passed(tmp_path)[b"device"].reason == "a character device"


def test_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path, {b"data": {b"x": b"1", b"deep": {b"y": b"22"}}})
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "file").symlink_to(tmp_path / "data" / "x")
    (tmp_path / "tree" / "dir").symlink_to(tmp_path / "data")
    (tmp_path / "tree" / "sub" / "dir").symlink_to("../../data/deep")
    (tmp_path / "tree" / "nothing").symlink_to("nowhere")
    root = tmp_path / "tree"
    assert found(root, LinkPolicy.FOLLOW) == [b"dir/deep/y", b"dir/x", b"file", b"sub/dir/y"]
    nothing = passed(root, LinkPolicy.FOLLOW)[b"nothing"]
    assert (nothing.reason, nothing.is_failure) == ("a link to nothing", True)


def test_loops_end(tmp_path: Path) -> None:
    make(tmp_path, {b"a": {b"b": {b"file": b""}}})
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to(".")
    (tmp_path / "root").symlink_to(tmp_path)
    assert found(tmp_path, LinkPolicy.FOLLOW) == [b"a/b/file"]
    loops = passed(tmp_path, LinkPolicy.FOLLOW)
    assert set(loops) == {b"a/b/up", b"a/self", b"root"}
    assert {item.reason for item in loops.values()} == {"a link back to a directory that it lies in"}


def test_links_are_recorded(tmp_path: Path) -> None:
    """In the place that their own keys have in the order."""
    make(tmp_path, {b"a": b"", b"a.x": b"", b"a.r": b"", b"b.s": b""})
    (tmp_path / "a.link").symlink_to("a")
    (tmp_path / "b").symlink_to("nowhere")
    names = [b"a", b"a.link.rclonelink", b"a.r", b"a.x", b"b.rclonelink", b"b.s"]
    assert found(tmp_path, LinkPolicy.RECORD) == sorted(names) == names


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    make(tmp_path / "data", {b"x": b""})
    (tmp_path / "link").symlink_to("data")
    assert found(tmp_path / "link") == [b"x"]


def test_a_directory_is_not_entered(tmp_path: Path) -> None:
    make(tmp_path, {b"a": {b"x": b""}, b"b": {b"y": b"", b"c": {b"z": b""}}, b"c": {b"w": b""}})
    items = walk(tmp_path, enters=lambda path: path not in (b"a", b"b/c"))
    assert [item.path for item in items] == [b"b/y", b"c/w"]


def test_no_such_root(tmp_path: Path) -> None:
    (item,) = walk(tmp_path / "nowhere")
    assert isinstance(item, Passed)
    assert (item.path, item.is_failure, item.is_directory) == (b"", True, True)
    assert "No such file or directory" in item.reason


def test_a_path_that_the_system_does_not_take(tmp_path: Path) -> None:
    """Names of 255 bytes, until the path has more than the system takes: reported, and the rest is walked."""
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("d" * 255, dir_fd=place)
        below = os.open("d" * 255, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    (tmp_path / "e").write_bytes(b"")
    items = list(walk(tmp_path))
    assert [item.path for item in items if isinstance(item, Found)] == [b"e"]
    (failed,) = (item for item in items if isinstance(item, Passed))
    assert (failed.is_failure, failed.is_directory) == (True, True)
    assert "too long" in failed.reason.lower()
