"""Directories through a client: what Client.transfer() tells of, and what it returns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastput.errors import FastputError
from fastput.model import Receipt
from fastput.tree.decide import Send, Skip
from fastput.tree.roots import DirectoryRoot, Root, SeveralRoots
from fastput.tree.ship import Account


@dataclass(frozen=True, slots=True)
class TreeReport:
    """What became of the files: planned = sent + skipped + failed.

    Attributes:
        skipped: how many, by reason.
        first_error: of those that failed.
        hard_links: of the planned files, those with several names: each was sent.
    """

    planned: int
    sent: int
    sent_bytes: int
    skipped: Mapping[str, int]
    failed: int
    deleted: int
    not_deleted: int
    hard_links: int
    first_error: FastputError | None

    def check(self) -> None:
        """
        Raises:
            FastputError: the first of those that failed.
        """
        if self.first_error is not None:
            raise self.first_error


def report_of(account: Account) -> TreeReport:
    return TreeReport(
        planned=account.planned,
        sent=account.sent,
        sent_bytes=account.sent_bytes,
        skipped=dict(account.skipped),
        failed=account.failed,
        deleted=account.deleted,
        not_deleted=account.failed_deletions,
        hard_links=account.hard_links,
        first_error=account.first_error,
    )


class TreeEvents:
    """Told of every file and object, once, on the thread that called. All of it does nothing; to be overridden."""

    def planned(self, send: Send) -> None:
        """A dry run: it would be sent."""

    def sent(self, send: Send, receipt: Receipt) -> None:
        """The store has confirmed it."""

    def skipped(self, skip: Skip) -> None:
        """It wasn't to be sent."""

    def failed(self, path: bytes, error: FastputError) -> None:
        """It was to be sent, and couldn't be."""

    def deleted(self, key: str, is_planned: bool) -> None:
        """An object that had no file; is_planned: a dry run."""

    def not_deleted(self, key: str, error: FastputError) -> None:
        """The store refused to delete it."""

    def note(self, text: str) -> None:
        """Something that people should know."""


def root_of(sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Root:
    """One directory's content goes right below the prefix; several sources go there each under its own name."""
    if isinstance(sources, (str, os.PathLike)):
        return DirectoryRoot(os.fspath(sources))
    named = [os.fspath(source) for source in sources]
    return DirectoryRoot(named[0]) if len(named) == 1 and os.path.isdir(named[0]) else SeveralRoots(named)


