"""The journal's writer: nothing is lost, nothing waits, and a disk that fails costs the journal alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from fastput.engine.keeper import Keeper
from fastput.engine.loop import Loop
from fastput.errors import JournalError
from fastput.model import ConfirmedPart
from tests.engine.harness import SECONDS


def part(number: int) -> ConfirmedPart:
    return ConfirmedPart(number, number * 10, 10, '"e"', number, None)


class Disk:
    """A journal that takes its time: each note waits for one permit."""

    def __init__(self, is_free: bool = True) -> None:
        self.written: list[list[int]] = []
        self.error: BaseException | None = None
        self.began = threading.Semaphore(0)
        self.writers = 0
        self._permits = threading.Semaphore(10**6 if is_free else 0)

    def note(self, parts: Sequence[ConfirmedPart]) -> None:
        self.writers += 1
        assert self.writers == 1, "one thread at a time"
        self.began.release()
        assert self._permits.acquire(timeout=SECONDS)
        self.writers -= 1
        if self.error is not None:
            raise self.error
        self.written.append([part.number for part in parts])

    def permit(self, count: int = 1) -> None:
        self._permits.release(count)

    def wait_for_a_write(self) -> None:
        assert self.began.acquire(timeout=SECONDS)


class Bench:
    """A loop, and what crashed on it."""

    def __init__(self) -> None:
        self.crashes: list[BaseException] = []
        self.loop = Loop(self.crashes.append)
        self.said: list[str] = []

    def keeper(self, disk: Disk) -> Keeper:
        return Keeper(self.loop, disk, self.said.append)  # type: ignore[arg-type]

    def run(self, *events: Callable[[], None]) -> None:
        """On the loop's thread, one after the other, at once."""
        done = threading.Event()

        def run() -> None:
            for event in events:
                event()
            done.set()

        self.loop.call(run)
        assert done.wait(SECONDS)

    def until_written(self, keeper: Keeper) -> threading.Event:
        """Set when everything is on the disk."""
        written = threading.Event()
        self.run(lambda: keeper.when_written(written.set))
        return written


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.loop.stop()
    assert bench.crashes == []


def notes(keeper: Keeper, *numbers: int) -> list[Callable[[], None]]:
    return [lambda number=number: keeper.note(part(number)) for number in numbers]  # type: ignore[misc]


def test_what_comes_while_it_writes_goes_into_the_next_transaction(bench: Bench) -> None:
    disk = Disk(is_free=False)
    keeper = bench.keeper(disk)
    bench.run(*notes(keeper, 1))
    disk.wait_for_a_write()
    bench.run(*notes(keeper, 5, 2, 3))
    written = bench.until_written(keeper)
    disk.permit()
    disk.wait_for_a_write()
    assert not written.is_set()
    bench.run(*notes(keeper, 4))
    disk.permit()
    disk.wait_for_a_write()
    assert not written.is_set(), "what was noted after the question counts too"
    disk.permit()
    assert written.wait(SECONDS)
    assert disk.written == [[1], [5, 2, 3], [4]]


def test_with_nothing_to_write_it_is_written_at_once(bench: Bench) -> None:
    keeper = bench.keeper(Disk())
    called: list[int] = []
    bench.run(lambda: keeper.when_written(lambda: called.append(1)), lambda: called.append(2))
    assert called == [1, 2]


def test_every_part_is_written_once_and_in_order(bench: Bench) -> None:
    disk = Disk()
    keeper = bench.keeper(disk)
    for number in range(1, 501):
        bench.loop.call(lambda number=number: keeper.note(part(number)))  # type: ignore[misc]
    assert bench.until_written(keeper).wait(SECONDS)
    assert [number for batch in disk.written for number in batch] == list(range(1, 501))


def test_it_is_called_once(bench: Bench) -> None:
    disk = Disk()
    keeper = bench.keeper(disk)
    calls: list[int] = []
    bench.run(lambda: keeper.when_written(lambda: calls.append(1)))
    bench.run(*notes(keeper, 1))
    disk.wait_for_a_write()
    bench.run(*notes(keeper, 2))
    disk.wait_for_a_write()  # so the first was heard of
    assert calls == [1]
    assert bench.until_written(keeper).wait(SECONDS)
    assert calls == [1]


def test_whoever_asks_last_is_called(bench: Bench) -> None:
    """A cancel overtakes a Complete that waits for the disk: it must not be sent then."""
    disk = Disk(is_free=False)
    keeper = bench.keeper(disk)
    calls: list[str] = []
    bench.run(*notes(keeper, 1), lambda: keeper.when_written(lambda: calls.append("complete")))
    written = bench.until_written(keeper)
    disk.permit()
    assert written.wait(SECONDS)
    assert calls == []


def test_a_disk_that_fails_is_said_once_and_not_used_again(bench: Bench) -> None:
    disk = Disk()
    disk.error = JournalError("the disk is full")
    keeper = bench.keeper(disk)
    bench.run(*notes(keeper, 1))
    assert bench.until_written(keeper).wait(SECONDS)
    disk.error = None
    bench.run(*notes(keeper, 2, 3), lambda: keeper.broken(JournalError("again")))
    assert bench.until_written(keeper).wait(SECONDS)
    assert keeper.is_broken
    assert disk.written == []
    assert bench.said == ["the disk is full: going on without a journal"]


def test_a_disk_that_fails_while_more_waits(bench: Bench) -> None:
    disk = Disk(is_free=False)
    disk.error = JournalError("the disk is full")
    keeper = bench.keeper(disk)
    bench.run(*notes(keeper, 1))
    disk.wait_for_a_write()
    bench.run(*notes(keeper, 2))
    written = bench.until_written(keeper)
    disk.permit()
    assert written.wait(SECONDS)
    assert not disk.began.acquire(blocking=False)


def test_a_journal_that_could_not_be_begun(bench: Bench) -> None:
    disk = Disk()
    keeper = bench.keeper(disk)
    bench.run(lambda: keeper.broken(JournalError("read-only")), *notes(keeper, 1, 2))
    assert bench.until_written(keeper).wait(SECONDS)
    assert disk.written == []
    assert len(bench.said) == 1


def test_what_is_called_may_note_and_ask_again(bench: Bench) -> None:
    disk = Disk()
    keeper = bench.keeper(disk)
    done = threading.Event()

    def once_more() -> None:
        keeper.note(part(2))
        keeper.when_written(done.set)

    bench.run(*notes(keeper, 1), lambda: keeper.when_written(once_more))
    assert done.wait(SECONDS)
    assert disk.written == [[1], [2]]
