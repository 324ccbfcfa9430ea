"""The listing of a prefix, however it is fetched: beside the keys that are there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import StoreError
from fastput.model import ListedObject, ObjectPage
from fastput.tree.compare import Listed
from fastput.tree.join import Unordered, join
from fastput.tree.keys import Keys
from fastput.tree.listing import listing


class Pages:
    """Keys in pages, as S3 lists them."""

    def __init__(self, keys: Sequence[str], page_keys: int, is_sorted: bool = True) -> None:
        self.keys = sorted(keys, key=str.encode) if is_sorted else list(keys)
        self.page_keys = page_keys
        self.asked: Counter[tuple[str, bool]] = Counter()
        self.fails_at: tuple[str, int] | None = None

    def __call__(self, prefix: str, token: str | None, names_only: bool) -> ObjectPage:
        self.asked[prefix, names_only] += 1
        if self.fails_at == (prefix, self.asked[prefix, names_only]):
            raise StoreError("it fails")
        rows: dict[str, bool] = {}
        for key in self.keys:
            if key.startswith(prefix):
                name, slash, _ = key[len(prefix) :].partition("/")
                is_prefix = names_only and bool(slash)
                rows[prefix + name + "/" if is_prefix else key] = is_prefix
        begin = int(token or 0)
        page = list(rows.items())[begin : begin + self.page_keys]
        end = begin + self.page_keys
        objects = [ListedObject(key, 1, "e", 0.0) for key, is_prefix in page if not is_prefix]
        prefixes = [key for key, is_prefix in page if is_prefix]
        return ObjectPage(objects, prefixes, str(end) if end < len(rows) else None)


def paths(pages: Pages, keys: Keys, **options: bool) -> list[bytes]:
    return [listed.path for listed in listing(pages, keys, threading.Event(), **options)]


names = st.text("ab-0é", min_size=1, max_size=2)
key_sets = st.sets(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=60)


@given(key_sets, st.integers(1, 10))
def test_all_keys_in_order(keys: set[str], page_keys: int) -> None:
    pages = Pages([f"p/{key}" for key in keys] + ["other"], page_keys)
    assert paths(pages, Keys("p/")) == sorted(key.encode() for key in keys)


@given(key_sets, st.integers(1, 10))
def test_hashed_keys_in_the_order_of_their_paths(some: set[str], page_keys: int) -> None:
    keys = Keys("p/", 1)
    pages = Pages([keys.key(path.encode()) for path in some] + ["p/x", "p/00/x", "p/0/"], page_keys)
    assert paths(pages, keys) == sorted(path.encode() for path in some)


@given(key_sets, st.integers(1, 10))
def test_an_order_of_ones_own(keys: set[str], page_keys: int) -> None:
    pages = Pages([f"p/{key}" for key in sorted(keys, reverse=True)], page_keys, is_sorted=False)
    assert paths(pages, Keys("p/"), is_sorted=False) == sorted(key.encode() for key in keys)
    if len(keys) > 1:
        listed = (Listed(path, 1, "e", 0.0) for path in paths(pages, Keys("p/")))
        with pytest.raises(Unordered):
            list(join(iter([]), listed, iter([])))


def test_one_page_is_one_request() -> None:
    pages = Pages([f"p/{i}/{k}" for i in range(10) for k in range(10)], 1000)
    assert len(paths(pages, Keys("p/"))) == 100
    assert pages.asked.total() == 1


def test_large_parts_are_listed_side_by_side() -> None:
    pages = Pages([f"p/{i}/{k:04d}" for i in range(20) for k in range(3000)] + ["p/1-", "p/z"], 1000)
    assert paths(pages, Keys("p/")) == [key[2:].encode() for key in pages.keys]
    assert pages.asked == {("p/", False): 1, ("p/", True): 1} | {(f"p/{i}/", False): 3 for i in range(20)}


def test_small_parts_are_not() -> None:
    pages = Pages([f"p/{i:04d}/{k}" for i in range(1000) for k in range(5)], 1000)
    assert len(paths(pages, Keys("p/"))) == 5000
    assert pages.asked == {("p/", False): 5}


@pytest.mark.parametrize("at", [("p/3/", 2), ("p/", 1)])
def test_what_fails_on_the_way_fails(at: tuple[str, int]) -> None:
    pages = Pages([f"p/{i}/{k:04d}" for i in range(10) for k in range(3000)], 1000)
    pages.fails_at = at
    with pytest.raises(StoreError, match="it fails"):
        paths(pages, Keys("p/"))


def test_it_may_be_left_before_the_end() -> None:
    """The threads that fetch ahead end."""
    pages = Pages([f"p/{i}/{k:04d}" for i in range(10) for k in range(9000)], 1000)
    stream = listing(pages, Keys("p/"), threading.Event())
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "fastput-list":
            thread.join(60)
            assert not thread.is_alive()


def test_a_stop_ends_it() -> None:
    class Silent(Pages):
        def __call__(self, prefix: str, token: str | None, names_only: bool) -> ObjectPage:
            if prefix == "p/1/":
                stop.set()
                ended.wait(60)
            return super().__call__(prefix, token, names_only)

    stop, ended = threading.Event(), threading.Event()
    pages = Silent([f"p/{i}/{k:04d}" for i in range(3) for k in range(3000)], 1000)
    found = list(listing(pages, Keys("p/"), stop))
    ended.set()
    assert len(found) < 9000
