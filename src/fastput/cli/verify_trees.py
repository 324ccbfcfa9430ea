"""What of directories `fastput verify` compares, beside a prefix or beside an archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from fastput.cli.rules import read_rules
from fastput.client.reading.uris import Location
from fastput.client.trees import root_of
from fastput.client.verifier import Verification, Verifier
from fastput.errors import SourceError
from fastput.formats.members import IndexedMember
from fastput.formats.tar import Kind
from fastput.model import ObjectUri
from fastput.source import FileSource
from fastput.text import printable
from fastput.tree.join import order_of
from fastput.tree.keys import BadName, Keys
from fastput.tree.links import LinkPolicy
from fastput.tree.roots import Root
from fastput.tree.select import Selection
from fastput.tree.walk import Found, Passed

# What is verified, for messages, and what does it.
Task = tuple[str, Callable[[Verifier], Verification]]
# A path below the directory, and what is there, or in the archive.
_Side = tuple[bytes, Found | Passed | IndexedMember]


def of_trees(
    arguments: Sequence[str], task: Callable[[str, ObjectUri], Task], options: Mapping[str, Any]
) -> Iterator[Task]:
    """All files of directories, under the keys that `put` gives them.

    Args:
        task: what compares a file with an object.

    Raises:
        UsageError: a URI or a rule makes no sense.
    """
    *sources, uri = arguments
    target = ObjectUri.parse(uri if uri.endswith("/") else f"{uri}/")
    root = root_of(sources)
    keys = Keys(target.key, options["hash_prefix"])
    for item in _walk(root, Selection(read_rules(options["rules"])), options["follow"]):
        if isinstance(item, Passed):
            yield _failing(item.path, item.reason)
            continue
        try:
            yield task(root.path(item.path), target.with_key(keys.key(item.key_path)))
        except BadName as error:
            yield _failing(item.path, str(error))


def archive_of(uri: str) -> Location | None:
    """The archive that a directory is compared with, or what lies below one of its directories."""
    found = Location.parse(uri)
    if found.member is None and not uri.endswith("/"):
        found = Location.parse(f"{uri}//")
    return None if found.member is None else found


def of_archive(
    sources: Sequence[str], location: Location, verifier: Verifier, options: Mapping[str, Any]
) -> Iterator[Task]:
    """All files of directories, and all those of an archive, which has them in the same order.

    Raises:
        UsageError: a rule makes no sense.
        DamagedArchive: the archive isn't what was written.
        StoreError, EndpointError, CredentialsError: it can't be read.
    """
    root = root_of(sources)
    selection = Selection(read_rules(options["rules"]))
    prefix = location.name + b"/" if location.name else b""
    archive = verifier.open(location.uri)
    files: Iterator[_Side] = ((order_of(item), item) for item in _walk(root, selection, options["follow"]))
    members: Iterator[_Side] = (
        (member.name[len(prefix) :], member)
        for member in archive.members(location.name)
        if member.kind in (Kind.FILE, Kind.HARDLINK)
    )

    def task(path: bytes, member: IndexedMember | None) -> Task:
        source = root.path(path)

        def compare(verifier: Verifier) -> Verification:
            with closing(FileSource(source)) as opened:
                return verifier.verify_member(opened, archive, prefix + path, member, options["deep"])

        return source, compare

    for path, sides in groupby(merge(files, members, key=itemgetter(0)), key=itemgetter(0)):
        found = [side for _, side in sides]
        item, member = found[0], found[-1]
        if isinstance(item, Passed):
            yield _failing(item.path, item.reason)
        elif isinstance(item, Found):
            yield task(path, member if isinstance(member, IndexedMember) else None)
        elif selection.takes(os.fsdecode(path)):
            yield _failing(path, f"{location.uri} has it, and there is no such file")


def _walk(root: Root, selection: Selection, follows: bool) -> Iterator[Found | Passed]:
    """What is to be compared, and what should be and can't, in the order of the paths."""
    links = LinkPolicy.FOLLOW if follows else LinkPolicy.SKIP
    for item in root.walk(links, lambda path: selection.enters(os.fsdecode(path))):
        if selection.takes(os.fsdecode(item.path)) and (isinstance(item, Found) or item.is_failure):
            yield item


def _failing(path: bytes, reason: str) -> Task:
    name = printable(os.fsdecode(path))

    def fail(verifier: Verifier) -> Verification:
        raise SourceError(f"{name}: {reason}")

    return name, fail
