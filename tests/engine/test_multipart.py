"""The multipart state machine under completions, failures and retries in any order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fastput.engine.multipart import MultipartUpload, ProtocolError, State
from fastput.engine.plan import make_plan
from fastput.model import ConfirmedPart, Part
from fastput.native.crc import crc64nvme
from fastput.tuner import Settings

MIB = 1 << 20
SIZE_BYTES = 57 * MIB + 12345
CONTENT = memoryview(bytes(range(256)) * (SIZE_BYTES // 256 + 1))[:SIZE_BYTES]


def confirmed(part: Part) -> ConfirmedPart:
    crc = crc64nvme(CONTENT[part.offset_bytes : part.offset_bytes + part.length_bytes])
    return ConfirmedPart(part.number, part.offset_bytes, part.length_bytes, f'"{part.number}"', crc, None)


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.upload = MultipartUpload(make_plan(SIZE_BYTES, Settings(part_bytes=5 * MIB), 1 << 30))
        self.upload.created("id")
        self.in_flight: dict[int, Part] = {}
        self.confirmed: dict[int, Part] = {}

    @rule()
    def take(self) -> None:
        peeked = self.upload.peek()
        part = self.upload.take()
        assert part == peeked
        if part is not None:
            assert part.number not in self.in_flight
            assert part.number not in self.confirmed
            self.in_flight[part.number] = part

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        part = self.in_flight.pop(data.draw(st.sampled_from(sorted(self.in_flight))))
        self.upload.confirmed(confirmed(part))
        self.confirmed[part.number] = part

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        part = self.in_flight.pop(data.draw(st.sampled_from(sorted(self.in_flight))))
        self.upload.lost(part.number)

    @precondition(lambda self: self.confirmed)
    @rule(data=st.data())
    def a_second_answer_is_refused(self, data: st.DataObject) -> None:
        part = self.confirmed[data.draw(st.sampled_from(sorted(self.confirmed)))]
        with pytest.raises(ProtocolError):
            self.upload.confirmed(confirmed(part))

    @invariant()
    def whole_exactly_when_every_byte_is_confirmed(self) -> None:
        confirmed_bytes = sum(part.length_bytes for part in self.confirmed.values())
        if self.upload.is_whole:
            assert confirmed_bytes == SIZE_BYTES
        elif confirmed_bytes < SIZE_BYTES:
            with pytest.raises(ProtocolError):
                self.upload.complete()

    def teardown(self) -> None:
        while (part := self.upload.take()) is not None or self.in_flight:
            if part is not None:
                self.in_flight[part.number] = part
            else:
                _, last = self.in_flight.popitem()
                self.upload.confirmed(confirmed(last))
        completion = self.upload.complete()
        assert [part.number for part in completion.parts] == list(range(1, len(completion.parts) + 1))
        offset_bytes = 0
        for listed in completion.parts:
            assert listed.offset_bytes == offset_bytes
            offset_bytes += listed.length_bytes
        assert offset_bytes == completion.size_bytes == SIZE_BYTES
        assert completion.crc64nvme == crc64nvme(CONTENT)
        assert self.upload.state is State.COMPLETING


def test_any_order_of_completions_failures_and_retries() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=60, stateful_step_count=60, deadline=None))


def test_whole_with_the_last_answer_when_parts_go_one_at_a_time() -> None:
    upload = MultipartUpload(make_plan(SIZE_BYTES, Settings(window=1, part_bytes=5 * MIB), 1 << 30))
    upload.created("id")
    sent_bytes = 0
    while not upload.is_whole:
        part = upload.take()
        assert part is not None
        upload.confirmed(confirmed(part))
        sent_bytes += part.length_bytes
    assert sent_bytes == SIZE_BYTES
    assert upload.complete().crc64nvme == crc64nvme(CONTENT)


@given(st.integers(0, 5), st.integers(0, 5 * MIB - 1))
def test_a_stream_ends_inside_a_part(full_parts: int, rest_bytes: int) -> None:
    upload = MultipartUpload(make_plan(None, Settings(part_bytes=5 * MIB), 1 << 30))
    for _ in range(full_parts):
        assert upload.take() is not None
    last = upload.take()
    assert last is not None
    shortened = upload.was_read(last.number, rest_bytes, is_last=True)
    upload.created("id")
    assert upload.peek() is None
    taken = [Part(number, (number - 1) * 5 * MIB, 5 * MIB) for number in range(1, full_parts + 1)]
    if rest_bytes == 0 and full_parts:
        assert shortened is None
    else:
        assert shortened == Part(full_parts + 1, full_parts * 5 * MIB, rest_bytes)
        taken.append(shortened)
    for part in reversed(taken):
        upload.confirmed(confirmed(part))
    completion = upload.complete()
    assert completion.size_bytes == full_parts * 5 * MIB + rest_bytes
    assert completion.crc64nvme == crc64nvme(CONTENT[: completion.size_bytes])


def test_calls_that_do_not_belong_to_the_state_are_refused() -> None:
    upload = MultipartUpload(make_plan(SIZE_BYTES, Settings(), 1 << 30))
    with pytest.raises(ProtocolError):
        upload.complete()
    with pytest.raises(ProtocolError):
        upload.completed()
    with pytest.raises(ProtocolError):
        upload.lost(1)
    upload.created("id")
    with pytest.raises(ProtocolError):
        upload.created("other")
    part = upload.take()
    assert part is not None
    with pytest.raises(ProtocolError):
        upload.confirmed(ConfirmedPart(part.number, part.offset_bytes, part.length_bytes - 1, "e", 0, None))
    assert upload.abort() == "id"
    with pytest.raises(ProtocolError):
        upload.take()
    upload.aborted()
    assert upload.state is State.DONE
