"""The objects under a prefix as a sorted stream of paths, fetched by several prefixes at once where that helps.

A page has 1,000 keys and names the next: one after the other that is 5,000 to 10,000 keys a second, where a walk finds
ten times as many. So where the first page has shown that there is more, and that the prefix has few large parts rather
than many small ones, these are listed side by side.
"""

from __future__ import annotations

import contextlib
import heapq
import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from fastput.model import ListedObject, ObjectPage
from fastput.tree.compare import Listed
from fastput.tree.keys import Keys
from fastput.tree.runs import Runs

GetPage = Callable[[str, str | None, bool], ObjectPage]
"""(prefix, token of the page before or None, whether what lies behind a "/" is only named) -> page"""

_AT_ONCE = 8
_PAGES_AHEAD = 4
_POLL_S = 0.2
# With fewer keys in a part asking for each by itself takes more requests than it saves.
_LEAST_KEYS_EACH = 250
# Of the parts of a prefix.
_MOST_NAMES = 2_000


def listing(get_page: GetPage, keys: Keys, stop: threading.Event, is_sorted: bool = True) -> Iterator[Listed]:
    """What the store says there is, by path. Objects that aren't ours are left out.

    Args:
        is_sorted: the store is thought to list by the bytes of its keys, as S3 does, unless it is known for another
            order; otherwise all of it is sorted first, by way of the disk.

    Raises:
        FastputError: get_page's.
    """
    first = get_page(keys.prefix, None, False)
    if not is_sorted or not first.is_sorted:
        yield from _sorted(_ours(_flat(get_page, keys.prefix, first), keys))
    elif keys.hash_digits and first.token is not None:
        # Within a hash keys are in the order of their paths: all of them together are merged.
        streams = [_ours(_flat(get_page, prefix, None), keys) for prefix in _with_keys(get_page, keys)]
        yield from heapq.merge(*streams, key=lambda listed: listed.path)
    elif keys.hash_digits:
        yield from sorted(_ours(iter(first.objects), keys), key=lambda listed: listed.path)
    else:
        yield from _ours(_by_parts(get_page, keys.prefix, first, stop), keys)


def _sorted(unsorted: Iterator[Listed]) -> Iterator[Listed]:
    runs = Runs(lambda row: row[0])
    with contextlib.closing(runs):
        for listed in unsorted:
            runs.append((listed.path, listed.size_bytes, listed.etag, listed.modified_at))
        for row in runs.merged():
            yield Listed(*row)


def _ours(objects: Iterator[ListedObject], keys: Keys) -> Iterator[Listed]:
    for found in objects:
        path = keys.path(found.key)
        if path is not None:
            yield Listed(path, found.size_bytes, found.etag, found.modified_at)


def _flat(get_page: GetPage, prefix: str, page: ObjectPage | None) -> Iterator[ListedObject]:
    """All keys under a prefix; page: the first, if it is there already."""
    for objects in _pages(get_page, prefix, page):
        yield from objects


def _pages(get_page: GetPage, prefix: str, page: ObjectPage | None = None) -> Iterator[Sequence[ListedObject]]:
    page = page or get_page(prefix, None, False)
    yield page.objects
    while page.token is not None:
        page = get_page(prefix, page.token, False)
        yield page.objects


def _with_keys(get_page: GetPage, keys: Keys) -> list[str]:
    """Those of the hashed prefixes under which there is anything."""
    found: list[str] = []
    token = None
    while True:
        page = get_page(keys.prefix, token, True)
        found += page.prefixes
        token = page.token
        if token is None:
            ours = set(keys.listing_prefixes)
            return [prefix for prefix in found if prefix in ours]


def _by_parts(
    get_page: GetPage, prefix: str, first: ObjectPage, stop: threading.Event
) -> Iterator[ListedObject]:
    if first.token is None or not _is_coarse(prefix, first.objects):
        yield from _flat(get_page, prefix, first)
        return
    named = _names(get_page, prefix)
    if named is None or len(named.prefixes) < 2:
        yield from _flat(get_page, prefix, first)
        return
    objects = {found.key: found for found in named.objects}
    parts: list[Callable[[], Iterator[Sequence[ListedObject]]]] = []
    for name in sorted([*objects, *named.prefixes], key=str.encode):
        if name in objects:
            parts.append(lambda found=objects[name]: iter([[found]]))  # type: ignore[misc]
        else:
            parts.append(lambda part=name: _pages(get_page, part))  # type: ignore[misc]
    yield from side_by_side(parts, stop)


def _is_coarse(prefix: str, objects: Sequence[ListedObject]) -> bool:
    names = {found.key[len(prefix) :].partition("/")[0] for found in objects}
    return len(objects) >= _LEAST_KEYS_EACH * len(names)


def _names(get_page: GetPage, prefix: str) -> ObjectPage | None:
    """What lies directly under a prefix; None: too much."""
    objects: list[ListedObject] = []
    prefixes: list[str] = []
    token = None
    while len(objects) + len(prefixes) <= _MOST_NAMES:
        page = get_page(prefix, token, True)
        objects += page.objects
        prefixes += page.prefixes
        token = page.token
        if token is None:
            return ObjectPage(objects, prefixes, None)
    return None


def side_by_side(
    parts: Sequence[Callable[[], Iterator[Sequence[ListedObject]]]], stop: threading.Event
) -> Iterator[ListedObject]:
    """The parts one after the other, while those behind are being fetched: a few at a time, a few pages of each."""
    has_ended = threading.Event()
    begun: list[queue.Queue[Sequence[ListedObject] | BaseException | None]] = []

    def begin() -> None:
        fetched: queue.Queue[Sequence[ListedObject] | BaseException | None] = queue.Queue(_PAGES_AHEAD)
        part = parts[len(begun)]
        begun.append(fetched)
        threading.Thread(target=_fetch, args=(part, fetched, has_ended), name="fastput-list", daemon=True).start()

    try:
        for number in range(len(parts)):
            while len(begun) < min(len(parts), number + _AT_ONCE):
                begin()
            while (page := _next_page(begun[number], stop)) is not None:
                if isinstance(page, BaseException):
                    raise page
                yield from page
    finally:
        has_ended.set()


def _next_page(
    fetched: queue.Queue[Sequence[ListedObject] | BaseException | None], stop: threading.Event
) -> Sequence[ListedObject] | BaseException | None:
    while True:
        with contextlib.suppress(queue.Empty):
            return fetched.get(timeout=_POLL_S)
        if stop.is_set():
            return None


def _fetch(
    part: Callable[[], Iterator[Sequence[ListedObject]]],
    fetched: queue.Queue[Sequence[ListedObject] | BaseException | None],
    has_ended: threading.Event,
) -> None:
    def put(item: Sequence[ListedObject] | BaseException | None) -> bool:
        while not has_ended.is_set():
            with contextlib.suppress(queue.Full):
                fetched.put(item, timeout=_POLL_S)
                return True
        return False

    try:
        for page in part():
            if not put(page):
                return
        put(None)
    except BaseException as error:
        put(error)
