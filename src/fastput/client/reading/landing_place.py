"""A directory that objects and members arrive below, and nothing outside of it, whatever lies there already."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fastput.client.reading.part_file import beside, unwritable
from fastput.errors import ObjectExists, UsageError
from fastput.formats.safe import Refused, below
from fastput.text import printable


class LandingPlace:
    """Threads share it. Paths are relative, as formats.safe gives them.

    Args:
        root: made when something arrives; it may be a link itself.
        no_clobber: what is there already is left alone.
        dry_run: nothing is made.
    """

    def __init__(self, root: str, no_clobber: bool = False, dry_run: bool = False) -> None:
        self.root = Path(root)
        self._no_clobber = no_clobber
        self.is_dry = dry_run
        self._made: set[Path] = set()  # directories, and no links
        self._taken: set[int] = set()  # hashes of paths: there may be millions
        self._modes: dict[Path, tuple[int, int]] = {}

    def path(self, path: bytes) -> Path:
        """Where it goes, whether it may or not."""
        return self.root / os.fsdecode(path)

    def claim(self, path: bytes) -> Path | None:
        """A file's path; its directory is there then, and nothing else becomes that file. None: nothing is to be made.

        Raises:
            ObjectExists: it is there, and is to be left alone.
            UsageError: it was claimed before, or a link or a file is in the way.
            FastputError: its directory can't be made.
        """
        target = self.path(path)
        if self._no_clobber and os.path.lexists(target):
            raise ObjectExists(f"{printable(str(target))}: is there already, and --no-clobber was given")
        if (taken := hash(path)) in self._taken:
            raise UsageError(f"{printable(str(target))}: something else became that file before: get this by itself")
        self._taken.add(taken)
        if self.is_dry:
            return None
        self._make(target.parent)
        _check_replaceable(target)
        return target

    def directory(self, path: bytes, mode: int, mtime_ns: int) -> None:
        """Makes a directory, which gets its mode and time from finish(). Errors as claim()."""
        if not self.is_dry:
            directory = self.path(path)
            self._make(directory)
            self._modes[directory] = (mode, mtime_ns)

    def symlink(self, path: bytes, link: bytes, mtime_ns: int) -> None:
        """Errors as claim()."""

        def make(fresh: Path) -> None:
            fresh.symlink_to(os.fsdecode(link))
            os.utime(fresh, ns=(mtime_ns, mtime_ns), follow_symlinks=False)

        self._link(path, make)

    def hardlink(self, path: bytes, file: Path) -> None:
        """Errors as claim()."""
        self._link(path, lambda fresh: os.link(file, fresh, follow_symlinks=False))
        # rename() leaves both names of one file.
        beside(self.path(path))[0].unlink(missing_ok=True)

    def finish(self) -> None:
        """Gives directories their modes and times: what is below them changes neither any more.

        Raises:
            FastputError: one doesn't take them.
        """
        for directory, (mode, mtime_ns) in sorted(self._modes.items(), reverse=True):
            try:
                directory.chmod(mode & 0o777)
                os.utime(directory, ns=(mtime_ns, mtime_ns))
            except OSError as error:
                raise unwritable(directory, error) from error

    def _make(self, directory: Path) -> None:
        if directory in self._made:
            return
        try:
            if directory == self.root:
                if directory.exists() and not directory.is_dir():
                    raise UsageError(f"{printable(str(directory))}: is no directory: give another one")
                directory.mkdir(parents=True, exist_ok=True)
            else:
                self._make(directory.parent)
                with suppress(FileExistsError):
                    directory.mkdir()
                if not stat.S_ISDIR(directory.lstat().st_mode):
                    raise UsageError(
                        f"{printable(str(directory))}: is a link or a file, and nothing is put behind it: remove it, "
                        "or give another directory"
                    )
        except OSError as error:
            raise unwritable(directory, error) from error
        self._made.add(directory)

    def _link(self, path: bytes, make: Callable[[Path], None]) -> None:
        if (target := self.claim(path)) is not None:
            replace_by(target, make)


def replace_by(target: Path, make: Callable[[Path], None]) -> None:
    """What is made beside it gets its name.

    Raises:
        FastputError: it can't be made.
    """
    fresh = beside(target)[0]
    try:
        try:
            make(fresh)
        except FileExistsError:  # an earlier run has left it
            fresh.unlink()
            make(fresh)
        fresh.replace(target)
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(target, error) from error
        raise


def _check_replaceable(target: Path) -> None:
    """
    Raises:
        UsageError: it is a directory, or leads to a device or a pipe, as /dev/null does.
    """
    with suppress(OSError):  # whoever writes there says what it is
        is_directory = stat.S_ISDIR(target.lstat().st_mode)
        mode = target.stat().st_mode
        if is_directory or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = "a directory" if is_directory else "no file"
            raise UsageError(f"{printable(str(target))}: is {what}: remove it, or give another name")


def path_of(name: bytes) -> bytes:
    """formats.safe.below(), as an error for people.

    Raises:
        UsageError: the name isn't followed.
    """
    try:
        return below(name)
    except Refused as error:
        raise refused(name, str(error)) from None


def refused(name: bytes, why: str) -> UsageError:
    """The error for a name that isn't followed."""
    return UsageError(f"{printable(name.decode('utf-8', 'surrogateescape'))}: refused: {why}")
