"""What still holds of an earlier run, whatever was confirmed and whatever is listed; and the machine that goes on."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastput.engine.multipart import MultipartUpload, ProtocolError, State
from fastput.engine.plan import Plan, next_part
from fastput.engine.resume import (
    SAMPLE_PARTS,
    gaps,
    is_listed,
    is_md5,
    likely_part_bytes,
    likely_places,
    sample,
    still_there,
)
from fastput.limits import StoreLimits
from fastput.model import Checksum, ConfirmedPart, ListedPart, Part, encode_crc
from fastput.native.crc import crc64nvme

CONTENT = memoryview(random.Random(5).randbytes(4000))


def confirmed(part: Part, etag: str | None = None) -> ConfirmedPart:
    crc = crc64nvme(CONTENT[part.offset_bytes : part.offset_bytes + part.length_bytes])
    return ConfirmedPart(part.number, part.offset_bytes, part.length_bytes, etag or f'"{part.number}"', crc, None)


def as_part(part: ConfirmedPart) -> Part:
    return Part(part.number, part.offset_bytes, part.length_bytes)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any that make_plan() could give, in bytes rather than MiB: all parts fit the numbers, the memory and the file."""
    min_part_bytes = draw(st.integers(1, 20))
    max_parts = draw(st.integers(1, 40))
    part_bytes = draw(st.integers(min_part_bytes, 100))
    max_part_bytes = draw(st.integers(part_bytes, 200))
    size_bytes = draw(st.integers(1, max_parts * part_bytes))
    limits = StoreLimits(min_part_bytes, 200, max_parts, 200, 10**9)
    return Plan(size_bytes, True, part_bytes, max_part_bytes, limits)


def rest(
    plan: Plan, number: int = 1, offset_bytes: int = 0, wanted: Callable[[], int | None] = lambda: None
) -> list[Part]:
    """What next_part() plans from there."""
    parts: list[Part] = []
    while (part := next_part(plan, number, offset_bytes, wanted())) is not None:
        parts.append(part)
        number, offset_bytes = part.number + 1, part.offset_bytes + part.length_bytes
        assert len(parts) <= plan.limits.max_parts
    return parts


def end(parts: Sequence[ConfirmedPart]) -> tuple[int, int]:
    """The number and the offset behind the last."""
    return (parts[-1].number + 1, parts[-1].offset_bytes + parts[-1].length_bytes) if parts else (1, 0)


def check_cover(plan: Plan, kept: Sequence[ConfirmedPart], missing: Sequence[Part], later: Sequence[Part]) -> None:
    """Every byte once, numbers 1..N, and what is still to be sent within the limits."""
    every = sorted([*map(as_part, kept), *missing, *later], key=lambda part: part.number)
    assert [part.number for part in every] == list(range(1, len(every) + 1))
    assert len(every) <= plan.limits.max_parts
    offset_bytes = 0
    for part in every:
        assert part.offset_bytes == offset_bytes
        offset_bytes += part.length_bytes
    assert offset_bytes == plan.size_bytes
    for part in (*missing, *later):
        assert 0 < part.length_bytes <= plan.max_part_bytes
    for part in every[:-1]:
        assert part.length_bytes >= plan.limits.min_part_bytes
    numbers = {part.number for part in kept}
    assert not numbers & {part.number for part in missing}
    assert all(part.number > max(numbers, default=0) for part in later)


def subset(data: st.DataObject, parts: Sequence[Part]) -> list[Part]:
    chosen = data.draw(st.lists(st.booleans(), min_size=len(parts), max_size=len(parts)))
    return [part for part, is_chosen in zip(parts, chosen, strict=True) if is_chosen]


# ---- gaps


@settings(deadline=None)
@given(plans(), st.data())
def test_any_subset_of_a_plans_parts_is_kept_whole(plan: Plan, data: st.DataObject) -> None:
    every = rest(plan)
    there = subset(data, every)
    kept, missing = gaps(plan, data.draw(st.permutations([confirmed(part) for part in there])))
    assert list(map(as_part, kept)) == there, "nothing of a plan's own parts has to be sent again"
    last = there[-1].number if there else 0
    assert missing == [part for part in every if part.number < last and part not in there]
    check_cover(plan, kept, missing, rest(plan, *end(kept)))


@settings(deadline=None)
@given(plans(), st.data())
def test_parts_of_sizes_that_changed_on_the_way(plan: Plan, data: st.DataObject) -> None:
    """Settings.part_bytes moved while the earlier run ran, and again in this one."""
    sizes = st.none() | st.integers(1, 200)
    every = rest(plan, wanted=lambda: data.draw(sizes))
    there = subset(data, every)
    kept, missing = gaps(plan, [confirmed(part) for part in there])
    assert list(map(as_part, kept)) == there[: len(kept)]
    check_cover(plan, kept, missing, rest(plan, *end(kept), wanted=lambda: data.draw(sizes)))
    if there == every[: len(there)]:
        assert len(kept) == len(there), "without a hole there is nothing to give up"


@st.composite
def scattered(draw: st.DrawFn, plan: Plan) -> list[ConfirmedPart]:
    """Parts anywhere in the file, in order, none overlapping another, of any size and number."""
    parts: list[ConfirmedPart] = []
    number, offset_bytes = 0, 0
    for _ in range(draw(st.integers(0, 8))):
        number += draw(st.sampled_from([1, 1, 1, 2, 3, 10]))
        offset_bytes += draw(st.sampled_from([0, 0, 0, 1, plan.part_bytes, 3 * plan.part_bytes, 17]))
        length_bytes = draw(st.integers(1, 60) | st.just(plan.part_bytes))
        if offset_bytes + length_bytes > (plan.size_bytes or 0):
            break
        parts.append(confirmed(Part(number, offset_bytes, length_bytes)))
        offset_bytes += length_bytes
    return parts


@settings(deadline=None, max_examples=200)
@given(plans(), st.data())
def test_what_is_kept_and_what_follows_cover_the_file_once(plan: Plan, data: st.DataObject) -> None:
    """Was a bug: kept parts that left the rest of the file no room in the numbers or in the memory.

    Parts of anybody: too small, too many, with holes that can't be filled.
    """
    there = data.draw(scattered(plan))
    kept, missing = gaps(plan, data.draw(st.permutations(there)))
    assert kept == there[: len(kept)]
    check_cover(plan, kept, missing, rest(plan, *end(kept)))


def test_a_hole_at_the_start() -> None:
    plan = Plan(100, True, 10, 10, StoreLimits(10, 10, 10))
    there = [confirmed(Part(number, 10 * number - 10, 10)) for number in (4, 5, 9)]
    kept, missing = gaps(plan, there)
    assert kept == there
    assert [part.number for part in missing] == [1, 2, 3, 6, 7, 8]
    check_cover(plan, kept, missing, rest(plan, *end(kept)))


def test_a_small_last_part_is_kept_and_a_small_one_before_is_not() -> None:
    plan = Plan(25, True, 10, 10, StoreLimits(10, 10, 10))
    parts = [confirmed(part) for part in rest(plan)]
    assert gaps(plan, parts) == (parts, [])
    assert gaps(plan, parts[2:]) == (parts[2:], [Part(1, 0, 10), Part(2, 10, 10)])
    small = [parts[0], confirmed(Part(2, 10, 5))]
    assert gaps(plan, small) == (parts[:1], [])


def test_numbers_that_the_store_does_not_take_any_more() -> None:
    """The profile said 10,000 parts and says 1,000 now: the rest goes into the numbers that are left."""
    plan = Plan(1000, True, 10, 1000, StoreLimits(10, 1000, 50))
    parts = [confirmed(Part(number, 10 * number - 10, 10)) for number in range(1, 61)]
    kept, missing = gaps(plan, parts)
    assert (len(kept), missing) == (49, [])
    check_cover(plan, kept, missing, rest(plan, *end(kept)))


# ---- what the store lists


def listed(part: ConfirmedPart, **changes: object) -> ListedPart:
    values: dict[str, object] = {
        "number": part.number, "size_bytes": part.length_bytes, "etag": part.etag, "checksums": {},
    }  # fmt: skip
    return ListedPart(**(values | changes))  # type: ignore[arg-type]


PART = confirmed(Part(3, 20, 10))
CRC = encode_crc(PART.crc64nvme, Checksum.CRC64NVME)
OTHER_CRC = encode_crc(PART.crc64nvme ^ 1, Checksum.CRC64NVME)


@pytest.mark.parametrize(
    ("changes", "agrees"),
    [
        ({}, True),
        ({"etag": PART.etag.strip('"')}, True),
        ({"checksums": {"crc64nvme": CRC}}, True),
        ({"checksums": {"crc32c": "AAAAAA=="}}, True),
        ({"checksums": {"crc64nvme": OTHER_CRC}}, False),
        ({"size_bytes": 11}, False),
        ({"size_bytes": 0}, False),
        ({"number": 4}, False),
        ({"etag": '"4"'}, False),
        ({"etag": ""}, False),
    ],
)
def test_a_part_is_listed_only_if_everything_agrees(changes: dict[str, object], agrees: bool) -> None:
    found = listed(PART, **changes)
    assert is_listed(PART, [found]) is agrees
    assert is_listed(PART, []) is False
    noise = [listed(PART, number=number, size_bytes=1) for number in (1, 3, 9)]
    assert is_listed(PART, [*noise, found, *noise]) is agrees, "some list a part two times"


@settings(deadline=None)
@given(plans(), st.data())
def test_listings_in_any_order_with_duplicates_and_changes(plan: Plan, data: st.DataObject) -> None:
    every = rest(plan)
    noted = [confirmed(part) for part in subset(data, every)]
    on_store = [confirmed(part) for part in subset(data, every)]
    different: list[dict[str, object]] = [{"etag": '"x"'}, {"size_bytes": 1}, {"checksums": {"crc64nvme": OTHER_CRC}}]
    changes = st.sampled_from([{}, {}, *different])
    listing = [listed(part, **data.draw(changes)) for part in on_store for _ in range(data.draw(st.integers(1, 2)))]
    listing = data.draw(st.permutations(listing))
    there, others = still_there(noted, listing)
    numbers = {found.number for found in listing}
    assert there == [part for part in noted if is_listed(part, listing)]
    assert [part.number for part in others] == sorted(numbers - {part.number for part in there})
    for other in others:
        assert other == [found for found in listing if found.number == other.number][-1], "the newest is meant"


# ---- where parts that nobody noted may belong


@settings(deadline=None)
@given(plans(), st.data())
def test_a_plans_own_parts_are_found_in_their_places(plan: Plan, data: st.DataObject) -> None:
    every = rest(plan)
    noted = subset(data, every)
    others = [listed(confirmed(part)) for part in subset(data, every) if part not in noted]
    places = likely_places(plan, [confirmed(part) for part in noted], data.draw(st.permutations(others)))
    by_number = {part.number: part for part in every}
    assert sorted(places, key=lambda place: place.number) == [by_number[other.number] for other in others]


@settings(deadline=None)
@given(plans(), st.data())
def test_parts_of_odd_sizes_are_found_as_long_as_none_is_missing(plan: Plan, data: st.DataObject) -> None:
    every = rest(plan, wanted=lambda: data.draw(st.integers(1, 200)))
    count = data.draw(st.integers(0, len(every)))
    noted = data.draw(st.integers(0, count))
    others = [listed(confirmed(part)) for part in every[noted:count]]
    assert likely_places(plan, [confirmed(part) for part in every[:noted]], others) == every[noted:count]


@settings(deadline=None, max_examples=200)
@given(plans(), st.data())
def test_whatever_is_listed_its_place_is_inside_the_file(plan: Plan, data: st.DataObject) -> None:
    """Was a bug: a division by zero behind the last part number."""
    there = data.draw(scattered(plan))
    likely = [0, 1, plan.part_bytes, plan.part_bytes - 1, plan.size_bytes or 0, 10**12]
    sizes = st.sampled_from(likely) | st.integers(0, 300)
    numbers = st.lists(st.integers(1, 60), unique=True, max_size=12)
    taken = {part.number for part in there}
    others = [ListedPart(number, data.draw(sizes), '"x"') for number in data.draw(numbers) if number not in taken]
    places = likely_places(plan, there, others)
    by_number = {other.number: other for other in others}
    assert len({place.number for place in places}) == len(places)
    for place in places:
        assert by_number[place.number].size_bytes == place.length_bytes > 0
        assert 0 <= place.offset_bytes <= (plan.size_bytes or 0) - place.length_bytes
        assert 1 <= place.number <= plan.limits.max_parts
    # Any of them may turn out to be what it seems.
    proven = [confirmed(place) for place in places if data.draw(st.booleans())]
    kept, missing = gaps(plan, [*there, *proven])
    check_cover(plan, kept, missing, rest(plan, *end(kept)))


def test_parts_listed_behind_the_last_number() -> None:
    """Was a bug: a division by zero."""
    plan = Plan(100, True, 10, 100, StoreLimits(5, 100, 3))
    others = [ListedPart(number, 5, '"x"') for number in (1, 2, 3, 4, 9)]
    assert likely_places(plan, [], others) == [Part(1, 0, 5), Part(2, 5, 5), Part(3, 10, 5)]


@pytest.mark.parametrize(
    ("sizes", "likely"),
    [
        ([], None), ([5], 5), ([8, 8, 3], 8), ([3, 8, 8], 8), ([8, 3], 8), ([3, 8], 8), ([3, 3, 8, 8], 8),
        ([1, 1, 1, 8], 1), ([0], 0),
    ],
)  # fmt: skip
def test_the_part_size_of_strangers(sizes: list[int], likely: int | None) -> None:
    parts = [ListedPart(number, size_bytes, "") for number, size_bytes in enumerate(sizes, 1)]
    assert likely_part_bytes(parts) == likely


# ---- the sample


@settings(deadline=None)
@given(st.integers(0, 200), st.lists(st.floats(0, 1, exclude_max=True), max_size=SAMPLE_PARTS - 2))
def test_a_sample_has_the_ends_and_nothing_twice(count: int, chosen: list[float]) -> None:
    parts = [confirmed(Part(number, number, 1)) for number in range(1, count + 1)]
    taken = sample(parts, chosen)
    assert taken == sorted(set(taken), key=lambda part: part.number)
    assert set(taken) <= set(parts)
    assert len(taken) <= max(len(chosen) + 2, 0)
    if parts:
        assert taken[0] == parts[0]
        assert taken[-1] == parts[-1]
    if count <= len(chosen) + 2:
        assert taken == parts


def test_a_sample_meets_every_part_sooner_or_later() -> None:
    parts = [confirmed(Part(number, number, 1)) for number in range(1, 101)]
    met = {part.number for uniform in range(1000) for part in sample(parts, [uniform / 1000])}
    assert met == set(range(1, 101))


@pytest.mark.parametrize(
    ("etag", "is_one"),
    [
        ('"d41d8cd98f00b204e9800998ecf8427e"', True), ("D41D8CD98F00B204E9800998ECF8427E", True),
        ("", False), ('""', False),
        ('"d41d8cd98f00b204e9800998ecf8427e-2"', False), ('"d41d8cd98f00b204e9800998ecf8427"', False),
        ('"g41d8cd98f00b204e9800998ecf8427e"', False), ('"٣41d8cd98f00b204e9800998ecf8427e"', False),
        ('" 41d8cd98f00b204e9800998ecf8427e"', False),
    ],
)  # fmt: skip
def test_what_an_md5_looks_like(etag: str, is_one: bool) -> None:
    assert is_md5(etag) is is_one


# ---- the machine that goes on


class GoingOn(RuleBasedStateMachine):
    """A MultipartUpload with parts of an earlier run against a model: bytes, and who has them."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight: dict[int, Part] = {}
        self.confirmed: dict[int, ConfirmedPart] = {}
        self.sent: set[int] = set()
        self.versions = 0
        self.is_over = False

    @initialize(plan=plans(), data=st.data())
    def begin(self, plan: Plan, data: st.DataObject) -> None:
        resumed = data.draw(scattered(plan)) if data.draw(st.booleans()) else None
        if resumed is None:
            resumed = [confirmed(part) for part in subset(data, rest(plan))]
        self.plan = plan
        self.upload = MultipartUpload(plan, resumed)
        kept, _ = gaps(plan, resumed)
        self.confirmed = {part.number: part for part in kept}
        self.resumed_bytes = sum(part.length_bytes for part in kept)
        assert self.upload.resumed_bytes == self.resumed_bytes
        assert not self.upload.is_whole, "nothing is whole before the upload is known"
        self.upload.created("id")

    @precondition(lambda self: not self.is_over)
    @rule(wanted=st.none() | st.integers(1, 200))
    def take(self, wanted: int | None) -> None:
        peeked = self.upload.peek(wanted)
        part = self.upload.take(wanted)
        assert part == peeked
        if part is None:
            return
        assert part.number not in self.in_flight
        assert part.number not in self.confirmed, "what is there isn't sent again"
        assert 0 < part.length_bytes <= self.plan.max_part_bytes
        assert part.number <= self.plan.limits.max_parts
        self.in_flight[part.number] = part

    @precondition(lambda self: self.in_flight and not self.is_over)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        part = self.in_flight.pop(data.draw(st.sampled_from(sorted(self.in_flight))))
        self.versions += 1
        taken = confirmed(part, f'"{part.number}.{self.versions}"')
        self.upload.confirmed(taken)
        self.confirmed[part.number] = taken
        self.sent.add(part.number)

    @precondition(lambda self: self.in_flight and not self.is_over)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        part = self.in_flight.pop(data.draw(st.sampled_from(sorted(self.in_flight))))
        self.upload.lost(part.number)
        peeked = self.upload.peek()
        assert peeked is not None
        assert peeked.number <= part.number, "what was lost goes before what is new"

    @precondition(lambda self: self.sent & self.confirmed.keys() and not self.is_over)
    @rule(data=st.data(), is_other=st.booleans())
    def doubt(self, data: st.DataObject, is_other: bool) -> None:
        """Of what was sent twice: never a part of the earlier run, which may be larger than any of this one's."""
        number = data.draw(st.sampled_from(sorted(self.sent & self.confirmed.keys())))
        known = self.confirmed[number]
        assert self.upload.doubt(number, '"other"' if is_other else known.etag) is is_other
        if is_other:
            del self.confirmed[number]
            assert not self.upload.is_whole

    @precondition(lambda self: self.confirmed and not self.is_over)
    @rule(data=st.data())
    def a_second_answer_is_refused(self, data: st.DataObject) -> None:
        known = self.confirmed[data.draw(st.sampled_from(sorted(self.confirmed)))]
        with pytest.raises(ProtocolError):
            self.upload.confirmed(known)
        with pytest.raises(ProtocolError):
            self.upload.lost(known.number)

    @precondition(lambda self: not self.is_over)
    @rule(how=st.sampled_from(["leave", "abort"]), chance=st.integers(0, 15))
    def give_up(self, how: str, chance: int) -> None:
        if chance:
            return
        self.is_over = True
        if how == "leave":
            self.upload.leave()
            assert self.upload.state is State.DONE
            with pytest.raises(ProtocolError):
                self.upload.abort()
        else:
            assert self.upload.abort() == "id"
            # What was in flight still ends.
            for part in list(self.in_flight.values()):
                self.upload.lost(part.number)
            self.in_flight.clear()
            self.upload.aborted()

    @precondition(lambda self: self.is_over)
    @rule()
    def nothing_comes_after_the_end(self) -> None:
        for call in (self.upload.take, self.upload.complete, self.upload.leave, self.upload.abort):
            with pytest.raises(ProtocolError):
                call()

    @invariant()
    def counts(self) -> None:
        if not hasattr(self, "upload"):
            return
        assert self.upload.confirmed_count == len(self.confirmed)
        assert self.upload.confirmed_bytes == sum(part.length_bytes for part in self.confirmed.values())
        assert self.upload.resumed_bytes == self.resumed_bytes
        assert self.upload.is_whole == (
            not self.is_over and self.upload.confirmed_bytes == self.plan.size_bytes and not self.in_flight
        )
        if not self.is_over and not self.upload.is_whole:
            with pytest.raises(ProtocolError):
                self.upload.complete()

    def teardown(self) -> None:
        if self.is_over or not hasattr(self, "upload"):
            return
        while (part := self.upload.take()) is not None or self.in_flight:
            if part is not None:
                self.in_flight[part.number] = part
                continue
            number, last = self.in_flight.popitem()
            self.confirmed[number] = confirmed(last)
            self.upload.confirmed(self.confirmed[number])
        completion = self.upload.complete()
        assert completion.parts == tuple(self.confirmed[number] for number in range(1, len(self.confirmed) + 1))
        check_cover(self.plan, completion.parts, [], [])
        assert completion.size_bytes == self.plan.size_bytes
        assert completion.crc64nvme == crc64nvme(CONTENT[: self.plan.size_bytes])
        assert completion.upload_id == "id"
        self.upload.completed()


def test_any_order_of_events_after_an_earlier_run() -> None:
    run_state_machine_as_test(GoingOn, settings=settings(max_examples=80, stateful_step_count=40, deadline=None))


def test_an_object_that_an_earlier_run_has_completed() -> None:
    plan = Plan(25, True, 10, 10, StoreLimits(10, 10, 10))
    upload = MultipartUpload(plan, [confirmed(part) for part in rest(plan)])
    upload.taken_over("id")
    assert (upload.state, upload.upload_id) == (State.COMPLETING, "id")
    for call in (upload.take, upload.complete, lambda: upload.created("x"), lambda: upload.taken_over("x")):
        with pytest.raises(ProtocolError):
            call()
    upload.completed()
    assert upload.state is State.DONE


def test_an_object_is_taken_over_before_anything_else_only() -> None:
    upload = MultipartUpload(Plan(25, True, 10, 10, StoreLimits(10, 10, 10)))
    upload.created("id")
    with pytest.raises(ProtocolError):
        upload.taken_over("id")


def test_an_upload_that_could_not_be_completed_is_left_or_aborted() -> None:
    plan = Plan(25, True, 10, 10, StoreLimits(10, 10, 10))
    for end_it in (MultipartUpload.leave, MultipartUpload.abort):
        upload = MultipartUpload(plan, [confirmed(part) for part in rest(plan)])
        upload.created("id")
        upload.complete()
        end_it(upload)
        with pytest.raises(ProtocolError):
            upload.completed()


def test_before_it_is_created_nothing_can_be_left() -> None:
    upload = MultipartUpload(Plan(25, True, 10, 10, StoreLimits(10, 10, 10)))
    with pytest.raises(ProtocolError):
        upload.leave()
    assert upload.abort() is None
