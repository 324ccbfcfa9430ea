"""Whatever becomes of the files: each is told of once, and planned = sent + skipped + failed."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastput.errors import FastputError, Interrupted, NoSuchBucket, ObjectExists, SourceError
from fastput.model import Receipt, SourceStat
from fastput.native.scan import Entry
from fastput.tree.compare import Listed
from fastput.tree.decide import Ask, Decision, Delete, Fail, Send, Skip
from fastput.tree.order import Order
from fastput.tree.ship import Account, OnSent, Shipment, ShipOptions
from fastput.tree.walk import Found


def found(path: bytes, size_bytes: int = 1, links: int = 1) -> Found:
    return Found(path, path, Entry(path, 0o100644, size_bytes, 0, 0, 0, 1, 1, links, 0, 0))


def send_of(path: bytes, size_bytes: int = 1, links: int = 1) -> Send:
    return Send(found(path, size_bytes, links), f"p/{path.decode()}", "")


def receipt_of(send: Send) -> Receipt:
    size_bytes = send.found.entry.size_bytes
    return Receipt("", "b", send.key, None, "e", size_bytes, "AAAAAAAAAAA=", "none", False, False, (),
                   SourceStat(1, 1, size_bytes, 0, 0), None, 0.0, 0.0, 0)  # fmt: skip


class Told:
    """Each path by what it was told of as."""

    def __init__(self) -> None:
        self.of: dict[bytes, str] = {}
        self.order: list[bytes] = []

    def _tell(self, path: bytes, what: str) -> None:
        assert path not in self.of, f"{path!r} was {self.of[path]}, and now {what}"
        self.of[path] = what
        self.order.append(path)

    def planned(self, send: Send) -> None:
        self._tell(send.found.path, "planned")

    def sent(self, send: Send, receipt: Receipt) -> None:
        assert receipt.key == send.key
        self._tell(send.found.path, "sent")

    def skipped(self, skip: Skip) -> None:
        self._tell(skip.path, "skipped")

    def failed(self, path: bytes, error: FastputError) -> None:
        self._tell(path, "failed")


OUTCOMES = {
    "sent": None,
    "failed": SourceError("it can't be read"),
    "exists": ObjectExists("it is there"),
    "interrupted": Interrupted("stopped"),
}
EXPECTED = {"sent": "sent", "failed": "failed", "exists": "skipped", "interrupted": "skipped"}


def shipment(
    outcomes: dict[bytes, str], told: Told, pool: ThreadPoolExecutor, options: ShipOptions, stop: threading.Event
) -> Shipment:
    """Of which each file ends as it is to, some at a time, on other threads."""

    def send(sends: Sequence[Send], on_sent: OnSent) -> None:
        for begin in range(0, len(sends), 3):
            some = sends[begin : begin + 3]
            ends = [(each, OUTCOMES[outcomes[each.found.path]] or receipt_of(each)) for each in some]
            pool.submit(on_sent, ends)

    def ask(question: Ask) -> Send | Skip:
        how = outcomes[question.found.path]
        if how == "same":
            return Skip(question.found.path, "the same", 1)
        if how == "unanswered":
            raise FastputError("no answer")
        outcomes[question.found.path] = "sent"
        return Send(question.found, question.key, "another mtime")

    return Shipment(send, ask, told, options, None, stop)


paths = st.integers(0, 10**6).map(lambda number: b"f%06d" % number)
sends = st.dictionaries(paths, st.sampled_from(list(OUTCOMES)), max_size=60)


@settings(max_examples=60, deadline=None)
@given(sends, st.none() | st.integers(1, 5), st.sampled_from(list(Order)), st.booleans())
def test_each_file_has_one_end(
    outcomes: dict[bytes, str], most_errors: int | None, order: Order, keeps_some_for_last: bool
) -> None:
    told, names = Told(), sorted(outcomes)
    options = ShipOptions(order, most_errors, lambda path: keeps_some_for_last and path.endswith("7"))
    with ThreadPoolExecutor(3) as pool:
        account = shipment(dict(outcomes), told, pool, options, threading.Event()).run(
            send_of(path, size) for size, path in enumerate(names)
        )
    counts = Counter(told.of.values())
    assert account.planned == len(outcomes) - (len(names) - len(told.of))
    assert (account.sent, account.failed, account.skipped.total()) == (
        counts["sent"], counts["failed"], counts["skipped"],
    )  # fmt: skip
    if most_errors is None:
        assert set(told.of) == set(outcomes)
        has_failed = "failed" in outcomes.values()
        for path, what in told.of.items():
            if not (has_failed and what == "skipped"):
                assert what == EXPECTED[outcomes[path]]
    else:
        assert account.failed <= most_errors + len(names)


def test_what_is_asked() -> None:
    outcomes = {b"a": "same", b"b": "unanswered", b"c": "other"}
    told = Told()
    decisions: list[Decision] = [
        Ask(found(path), path.decode(), Listed(path, 1, "e", 0.0), None) for path in outcomes
    ]
    decisions += [Fail(b"d", "unreadable"), Skip(b"e", "a socket"), send_of(b"f")]
    outcomes[b"f"] = "sent"
    with ThreadPoolExecutor(2) as pool:
        account = shipment(outcomes, told, pool, ShipOptions(), threading.Event()).run(iter(decisions))
    assert told.of == {b"a": "skipped", b"b": "failed", b"c": "sent", b"d": "failed", b"e": "skipped", b"f": "sent"}
    assert (account.planned, account.sent, account.failed, account.skipped.total()) == (6, 2, 2, 2)


def test_what_comes_last_waits_for_all_others() -> None:
    told = Told()
    outcomes = {b"f%d" % number: "sent" for number in range(20)} | {b"READY": "sent"}
    with ThreadPoolExecutor(3) as pool:
        options = ShipOptions(is_last=lambda path: path == "READY")
        shipment(outcomes, told, pool, options, threading.Event()).run(send_of(path) for path in sorted(outcomes))
    assert told.order[-1] == b"READY"


def test_it_does_not_come_if_one_has_failed() -> None:
    told = Told()
    with ThreadPoolExecutor(1) as pool:
        account = shipment(
            {b"a": "failed", b"READY": "sent"}, told, pool, ShipOptions(is_last=lambda path: path == "READY"),
            threading.Event(),
        ).run(iter([send_of(b"READY"), send_of(b"a")]))  # fmt: skip
    assert told.of == {b"a": "failed", b"READY": "skipped"}
    assert list(account.skipped) == ["not sent: it comes last, and 1 others had failed"]


@pytest.mark.parametrize(("order", "expected"), [
    (Order.SMALLEST, [1, 3, 4, 9]), (Order.NAME, [3, 1, 9, 4]), (Order.NEWEST, [3, 1, 9, 4]),
])  # fmt: skip
def test_an_order(order: Order, expected: list[int]) -> None:
    """One that isn't the walk's waits until all is known, or as much as fits."""
    begun: list[int] = []

    def send(sends: Sequence[Send], on_sent: OnSent) -> None:
        begun.extend(each.found.entry.size_bytes for each in sends)
        on_sent([(each, receipt_of(each)) for each in sends])

    decisions = (send_of(b"f%d" % size, size) for size in (3, 1, 9, 4))
    Shipment(send, _never, Told(), ShipOptions(order), None, threading.Event()).run(decisions)
    assert begun == expected


def test_what_keeps_all_of_them_from_being_sent() -> None:
    """Is told of for the few that were begun."""
    begun: list[bytes] = []

    def send(sends: Sequence[Send], on_sent: OnSent) -> None:
        begun.extend(each.found.path for each in sends)
        on_sent([(each, NoSuchBucket("no such bucket")) for each in sends])

    told = Told()
    shipped = Shipment(send, _never, told, ShipOptions(), None, threading.Event())
    account = shipped.run(send_of(b"f%06d" % number) for number in range(10_000))
    assert account.failed == len(begun) <= 64
    assert account.planned == len(told.of)


@settings(max_examples=60, deadline=None)
@given(sends.filter(bool), st.data())
def test_telling_fails(outcomes: dict[bytes, str], data: st.DataObject) -> None:
    """Nothing more is begun, and it is raised when nothing is under way any more."""
    told, left = Told(), [data.draw(st.integers(1, len(outcomes)))]
    under_way, tell = [0], told._tell

    def fails(path: bytes, what: str) -> None:
        tell(path, what)
        left[0] -= 1
        if not left[0]:
            raise OSError("no space left")

    told._tell = fails  # type: ignore[method-assign]

    def send(sends: Sequence[Send], on_sent: OnSent) -> None:
        assert left[0] > 0
        under_way[0] += len(sends)
        for each in sends:
            outcome = OUTCOMES[outcomes[each.found.path]] or receipt_of(each)
            pool.submit(ended, [(each, outcome)], on_sent)

    def ended(results: Sequence[tuple[Send, Receipt | FastputError]], on_sent: OnSent) -> None:
        hashlib.sha256(bytes(100_000)).digest()  # takes a moment, as a request does
        under_way[0] -= len(results)
        on_sent(results)

    with ThreadPoolExecutor(1) as pool:
        shipped = Shipment(send, _never, told, ShipOptions(), None, threading.Event())
        with pytest.raises(OSError, match="no space left"):
            shipped.run(send_of(path) for path in sorted(outcomes))
        assert under_way == [0]


def test_the_largest_goes_first() -> None:
    """Of those that are known when there is room again."""
    sizes = [300_000 + number * 7919 % 1000 for number in range(1000)]
    begun: list[int] = []
    held: list[tuple[Sequence[Send], OnSent]] = []
    is_known = threading.Event()

    def send(sends: Sequence[Send], on_sent: OnSent) -> None:
        begun.extend(each.found.entry.size_bytes for each in sends)
        if is_known.is_set():
            on_sent([(each, receipt_of(each)) for each in sends])
        else:
            held.append((sends, on_sent))

    def decisions() -> Iterator[Decision]:
        yield from (send_of(b"f%06d" % number, size) for number, size in enumerate(sizes))
        is_known.set()
        for sends, on_sent in held:
            on_sent([(each, receipt_of(each)) for each in sends])

    Shipment(send, _never, Told(), ShipOptions(), None, threading.Event()).run(decisions())
    assert sorted(begun) == sorted(sizes)
    later = begun[64:]
    assert later == sorted(later, reverse=True)


def _never(ask: Ask) -> Send | Skip:
    raise AssertionError


def test_nothing_is_begun_after_a_stop() -> None:
    stop, told = threading.Event(), Told()

    def decisions() -> Iterator[Decision]:
        yield send_of(b"a")
        stop.set()
        yield send_of(b"b")
        yield send_of(b"c")

    with ThreadPoolExecutor(1) as pool:
        account = shipment({b"a": "sent", b"b": "sent", b"c": "sent"}, told, pool, ShipOptions(), stop).run(decisions())
    assert told.of[b"b"] == "skipped"
    assert b"c" not in told.of
    assert account.planned == len(told.of)


def test_what_makes_no_sense_ends_it() -> None:
    def decisions() -> Iterator[Decision]:
        yield send_of(b"a")
        raise FastputError("the listing failed")

    told = Told()
    with ThreadPoolExecutor(1) as pool, pytest.raises(FastputError, match="the listing failed"):
        shipment({b"a": "sent"}, told, pool, ShipOptions(), threading.Event()).run(decisions())
    assert told.of == {b"a": "sent"}, "what was begun is waited for"


def test_a_dry_run() -> None:
    told = Told()
    shipped = Shipment(None, _never, told, ShipOptions(), None, threading.Event())
    account = shipped.run(iter([send_of(b"a", 5, links=2), Delete("p/x", Listed(b"x", 1, "e", 0.0))]))
    assert (told.of, account.sent, account.sent_bytes, account.hard_links) == ({b"a": "planned"}, 1, 5, 1)
    assert [row[0] for row in shipped.deletions.merged()] == ["p/x"]


def test_an_account_adds_up() -> None:
    account = Account(sent=2, failed=1)
    account.skipped["why"] += 4
    assert account.planned == 7
