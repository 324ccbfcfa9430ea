"""What there is: the objects under a prefix, the members of an archive."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastput.client.reading.archive import Archives, no_such
from fastput.client.reading.uris import Location
from fastput.engine.control import persist
from fastput.engine.retry import RetryPolicy
from fastput.formats.members import IndexedMember
from fastput.formats.tar import Kind
from fastput.model import ListedObject, ObjectUri
from fastput.store import Store


@dataclass(frozen=True, slots=True)
class Listed:
    """
    Attributes:
        name: the key, or the member's name, as it stands; a prefix and a directory end in "/".
        size_bytes, modified_at: None: it has none. modified_at counts from the Unix epoch.
        etag: of an object.
        link: where a link leads.
        is_ok: False: zeros stand in the member's place.
    """

    name: str
    size_bytes: int | None = None
    modified_at: float | None = None
    etag: str = ""
    link: str = ""
    is_ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return dataclasses.asdict(self)


def listing(store: Store, archives: Archives, location: Location, is_recursive: bool) -> Iterator[Listed]:
    """What lies under a prefix, in the store's order, or in an archive, in its own.

    Args:
        is_recursive: of keys that go on behind a "/", each rather than what they begin with; archives always.

    Raises:
        DamagedArchive: the index isn't what was written.
        StoreError, EndpointError, CredentialsError: it can't be asked, or there is nothing.
    """
    if location.member is not None:
        yield from _members(archives, location)
        return
    for found in objects(store, location.uri, not is_recursive):
        if isinstance(found, str):
            yield Listed(found)
        else:
            yield Listed(found.key, found.size_bytes, found.modified_at, found.etag)


def objects(store: Store, prefix: ObjectUri, names_only: bool = False) -> Iterator[ListedObject | str]:
    """The objects whose keys begin like this, and the prefixes that are named only.

    Raises:
        StoreError: also if there is nothing.
    """
    token: str | None = None
    is_first = True
    while is_first or token is not None:
        asked = token
        page = persist(lambda: store.list_objects(prefix, asked, names_only), RetryPolicy(), threading.Event())  # noqa: B023
        if is_first and prefix.key and not page.objects and not page.prefixes and page.token is None:
            raise no_such(prefix, "object or prefix")
        yield from page.prefixes
        yield from page.objects
        is_first, token = False, page.token


def _members(archives: Archives, location: Location) -> Iterator[Listed]:
    archive = archives.open(location.uri)
    is_empty = True
    for member in archive.members(location.name):
        is_empty = False
        yield _listed(member)
    if location.name and is_empty:
        if (found := archive.find(location.name)) is None:
            raise no_such(location.uri, f"member {location.member!r}")
        yield _listed(found)


def _listed(member: IndexedMember) -> Listed:
    is_file = member.kind is Kind.FILE
    slash = "/" if member.kind is Kind.DIRECTORY else ""
    return Listed(
        name=_text(member.name) + slash,
        size_bytes=member.size_bytes if is_file else None,
        modified_at=member.mtime_ns / 1e9,
        link=_text(member.link),
        is_ok=member.is_ok,
    )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
