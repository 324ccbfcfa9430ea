"""What a transfer starts from: a directory, several things beside one another, or a list of names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Protocol

from fastput.errors import UsageError
from fastput.native.scan import Entry
from fastput.tree.links import LinkPolicy
from fastput.tree.runs import Runs
from fastput.tree.walk import Found, Passed, as_entry, look, walk

Enters = Callable[[bytes], bool]


class Root(Protocol):
    """A sorted stream of files, by their key_path."""

    @property
    def name(self) -> str:
        """By which the same is known again; absolute."""

    def walk(
        self, links: LinkPolicy, enters: Enters, tells_directories: bool = False
    ) -> Iterator[Found | Passed]: ...

    def path(self, path: bytes) -> str:
        """Where a file is that walk() has found."""


@dataclass(frozen=True, slots=True)
class DirectoryRoot:
    """What lies in a directory goes right below the prefix."""

    directory: str

    @property
    def name(self) -> str:
        return os.path.abspath(self.directory)

    def walk(self, links: LinkPolicy, enters: Enters, tells_directories: bool = False) -> Iterator[Found | Passed]:
        return walk(self.directory, links, enters, tells_directories)

    def path(self, path: bytes) -> str:
        return os.path.join(self.directory, os.fsdecode(path))


class SeveralRoots:
    """Files and directories, each below the prefix under its own name.

    Raises:
        UsageError: two have the same name.
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self._sources: dict[bytes, str] = {}
        for source in sources:
            name = os.fsencode(os.path.basename(os.path.abspath(source)))
            if name in self._sources:
                raise UsageError(f"{self._sources[name]} and {source} would both become {os.fsdecode(name)}")
            self._sources[name] = source

    @property
    def name(self) -> str:
        return "\n".join(os.path.abspath(source) for source in self._sources.values())

    def walk(self, links: LinkPolicy, enters: Enters, tells_directories: bool = False) -> Iterator[Found | Passed]:
        def order(name: bytes) -> bytes:
            return name + b"/" if os.path.isdir(self._sources[name]) else name

        for name in sorted(self._sources, key=order):
            source = self._sources[name]
            if not os.path.isdir(source):
                yield look(name, entry_of(source, name, follows=True), LinkPolicy.FOLLOW)
            elif enters(name):
                prefix = name + b"/"
                if tells_directories:
                    yield Found(name, prefix, entry_of(source, name, follows=True))
                below: Enters = lambda path, prefix=prefix: enters(prefix + path)  # type: ignore[misc]  # noqa: E731
                for item in walk(source, links, below, tells_directories):
                    path = prefix + item.path if item.path else name
                    if isinstance(item, Found):
                        yield replace(item, path=path, key_path=prefix + item.key_path)
                    else:
                        yield replace(item, path=path)

    def path(self, path: bytes) -> str:
        name, _, rest = path.partition(b"/")
        return os.path.join(self._sources[name], os.fsdecode(rest)) if rest else self._sources[name]


class ListRoot:
    """Files by name, relative to a directory, which their keys are as well. The list may be longer than memory.

    Args:
        names: relative; absolute ones lose their first "/" in the key.
        label: where the list came from.
    """

    def __init__(self, directory: str, names: Iterable[bytes], label: str) -> None:
        self._directory = directory
        self._label = label
        self._runs = Runs(lambda row: row[0])
        for name in names:
            self._runs.append((_key_path(name), name))

    @property
    def name(self) -> str:
        return f"{os.path.abspath(self._directory)}\n{self._label}"

    def walk(self, links: LinkPolicy, enters: Enters, tells_directories: bool = False) -> Iterator[Found | Passed]:
        before = b""
        for key_path, name in self._runs.merged():
            if key_path == before:
                continue  # listed twice
            before = key_path
            entry = entry_of(self.path(name), os.path.basename(name), links is not LinkPolicy.RECORD)
            item = look(name, entry, links)
            if isinstance(item, Found):
                item = replace(item, key_path=key_path if item.key_path == name else item.key_path)
            yield item

    def path(self, path: bytes) -> str:
        return os.path.join(self._directory, os.fsdecode(path))


@dataclass(frozen=True, slots=True)
class SomeOf:
    """Of another root's files those with these paths only."""

    root: Root
    paths: Set[bytes]

    @property
    def name(self) -> str:
        return self.root.name

    def walk(self, links: LinkPolicy, enters: Enters, tells_directories: bool = False) -> Iterator[Found | Passed]:
        return (item for item in self.root.walk(links, enters, tells_directories) if item.path in self.paths)

    def path(self, path: bytes) -> str:
        return self.root.path(path)


def _key_path(name: bytes) -> bytes:
    return os.path.normpath(name).lstrip(b"/")


def entry_of(path: str, name: bytes, follows: bool) -> Entry:
    """What stat says of one path."""
    try:
        status = os.stat(path) if follows else os.lstat(path)
    except OSError as error:
        return Entry(name, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, error.errno or 0)
    return as_entry(name, status)
