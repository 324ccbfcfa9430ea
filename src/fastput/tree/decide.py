"""What is to be done about each path of a tree and its copy on a store. Pure.

A path that is there and can't be read, or lies in a directory that can't, keeps its object: only what is known to be
gone is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from fastput.model import ConfirmedFile
from fastput.tree.compare import How, Listed, Verdict, is_as_known, judge
from fastput.tree.join import Row
from fastput.tree.keys import BadName, Keys
from fastput.tree.select import Selection
from fastput.tree.walk import Found, Passed


@dataclass(frozen=True, slots=True)
class Send:
    """To be sent."""

    found: Found
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """To be sent if its object says, when it is asked, that it is another file.

    known: what an earlier run has confirmed of this path.
    """

    found: Found
    key: str
    listed: Listed
    known: ConfirmedFile | None


@dataclass(frozen=True, slots=True)
class Skip:
    """Not to be sent, and why not. crc64nvme: of the object that the file is like, if the store says it, else 0."""

    path: bytes
    reason: str
    size_bytes: int = 0
    crc64nvme: int = 0


@dataclass(frozen=True, slots=True)
class Fail:
    """To be sent, but it can't be."""

    path: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Delete:
    """An object without a file."""

    key: str
    listed: Listed


@dataclass(frozen=True, slots=True)
class Forget:
    """What an earlier run knew of a file that is gone."""

    known: ConfirmedFile


Decision = Send | Ask | Skip | Fail | Delete | Forget


@dataclass(frozen=True, slots=True)
class Policy:
    """
    Attributes:
        how: what has to agree for a file not to be sent; None: all are sent.
        continues: the run before has come to no end: what it has confirmed isn't looked at again.
        now_ns: ages count back from here.
    """

    keys: Keys
    selection: Selection
    how: How | None
    continues: bool
    now_ns: int


def decide(rows: Iterator[Row], policy: Policy, told_until: bytes | None = None) -> Iterator[Decision]:
    """One decision for each file, and one for each object that has none; nothing for what the rules leave out.

    Args:
        told_until: until this path the files have been decided on: there only the objects without one are told of.
    """
    protected: bytes | None = None  # a directory that couldn't be read; b"": the root
    for row in rows:
        local, listed = row.local, row.listed
        is_told = told_until is not None and row.path <= told_until
        if isinstance(local, Passed):
            if local.is_directory:
                protected = local.path + b"/" if local.path else b""
            if not is_told and policy.selection.takes(os.fsdecode(local.path)):
                yield (Fail if local.is_failure else Skip)(local.path, local.reason)
        elif local is not None:
            if not is_told and policy.selection.takes(os.fsdecode(local.path)):
                yield _judge(local, row, policy)
        else:
            is_protected = protected is not None and row.path.startswith(protected)
            if row.known is not None and not is_protected and not is_told:
                yield Forget(row.known)
            if listed is not None and not is_protected and policy.selection.takes(os.fsdecode(row.path)):
                yield Delete(policy.keys.key(row.path), listed)


def _judge(found: Found, row: Row, policy: Policy) -> Decision:
    entry = found.entry
    if (why := policy.selection.why_not(entry, policy.now_ns)) is not None:
        return Skip(found.path, why, entry.size_bytes)
    if policy.continues and row.known is not None and is_as_known(entry, row.known):
        return Skip(found.path, "sent by the run before", entry.size_bytes)
    try:
        key = policy.keys.key(found.key_path)
    except BadName as error:
        return Fail(found.path, str(error))
    if policy.how is None:
        return Send(found, key, "")
    judged = judge(entry, row.listed, row.known, policy.how)
    if judged.verdict is Verdict.SEND:
        return Send(found, key, judged.reason)
    if judged.verdict is Verdict.SAME:
        return Skip(found.path, judged.reason, entry.size_bytes)
    assert row.listed is not None
    return Ask(found, key, row.listed, row.known)
