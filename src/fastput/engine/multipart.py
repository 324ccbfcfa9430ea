"""One multipart upload as a state machine without I/O.

    CREATING --created--> SENDING --complete--> COMPLETING --completed--> DONE
        |                    |                       |
        +------abort---------+---------abort---------+--> ABORTING --aborted--> DONE
                             +---------leave---------+--> DONE, to be resumed

While SENDING a part is waiting, in flight or confirmed. Parts of an earlier run are confirmed from the start.
Calls that don't belong to the state raise ProtocolError:
they are mistakes of the driver, never of the store or the network.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from fastput.engine.plan import Plan, next_part, too_long
from fastput.engine.resume import gaps
from fastput.model import ConfirmedPart, Part
from fastput.native.crc import crc64nvme_combine


class ProtocolError(AssertionError):
    """The driver called what the state doesn't allow."""


class State(enum.Enum):
    CREATING = "creating"
    SENDING = "sending"
    COMPLETING = "completing"
    ABORTING = "aborting"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Completion:
    """What goes with CompleteMultipartUpload: parts 1..N once each, in order, without a hole.

    upload_id is None where one PutObject has made the object already.
    """

    upload_id: str | None
    parts: tuple[ConfirmedPart, ...]
    size_bytes: int
    crc64nvme: int


class MultipartUpload:
    """Which part to send next, and when the object is whole."""

    def __init__(self, plan: Plan, resumed: Sequence[ConfirmedPart] = ()) -> None:
        self._plan = plan
        self._state = State.CREATING
        self._upload_id: str | None = None
        self._number = 1
        self._offset_bytes = 0
        self._is_all_planned = False
        self._waiting: list[tuple[int, Part]] = []
        self._in_flight: dict[int, Part] = {}
        self._confirmed: dict[int, ConfirmedPart] = {}
        kept, missing = gaps(plan, resumed)
        for part in missing:
            heapq.heappush(self._waiting, (part.number, part))
        for confirmed in kept:
            self._confirmed[confirmed.number] = confirmed
            self._number = confirmed.number + 1
            self._offset_bytes = confirmed.offset_bytes + confirmed.length_bytes
        self.resumed_bytes = sum(part.length_bytes for part in kept)

    @property
    def state(self) -> State:
        return self._state

    @property
    def upload_id(self) -> str | None:
        return self._upload_id

    @property
    def left_bytes(self) -> int | None:
        """In no part that was taken yet; None for a stream."""
        if self._plan.size_bytes is None:
            return None
        return self._plan.size_bytes - self._offset_bytes + sum(part.length_bytes for _, part in self._waiting)

    @property
    def confirmed_bytes(self) -> int:
        return sum(part.length_bytes for part in self._confirmed.values())

    @property
    def confirmed_count(self) -> int:
        return len(self._confirmed)

    def created(self, upload_id: str | None) -> None:
        """CreateMultipartUpload was answered; None: the object is one PutObject, its only part."""
        self._expect(State.CREATING)
        self._upload_id = upload_id
        self._state = State.SENDING

    def peek(self, wanted_bytes: int | None = None) -> Part | None:
        """The part that take() would give, None when there is none to send now."""
        if self._waiting:
            return self._waiting[0][1]
        if self._is_all_planned:
            return None
        part = next_part(self._plan, self._number, self._offset_bytes, wanted_bytes)
        self._is_all_planned = part is None
        return part

    def take(self, wanted_bytes: int | None = None) -> Part | None:
        """The next part to send: one that was lost before, or else a new one. It is in flight from now on."""
        self._expect(State.CREATING, State.SENDING)
        part = self.peek(wanted_bytes)
        if part is None:
            return None
        if self._waiting:
            heapq.heappop(self._waiting)
        else:
            self._number += 1
            self._offset_bytes += part.length_bytes
        self._in_flight[part.number] = part
        return part

    def check_length(self, part: Part) -> None:
        """To be called when a stream's part was read and isn't empty.

        Raises:
            UsageError: the stream has used up all part numbers before it.
        """
        if part.number > self._plan.limits.max_parts:
            raise too_long(self._plan, part.offset_bytes)

    def was_read(self, number: int, length_bytes: int, is_last: bool) -> Part | None:
        """The newest part of a source without a size turned out to be so long. None if nothing is left of it.

        An empty stream keeps its part 1, empty.
        """
        self._expect(State.CREATING, State.SENDING)
        if number != self._number - 1 or number not in self._in_flight or self._is_all_planned:
            raise ProtocolError(f"part {number} can't be {length_bytes} bytes long")
        self._is_all_planned = is_last
        part = self._in_flight.pop(number)
        self._offset_bytes = part.offset_bytes + length_bytes
        if length_bytes == 0 and number > 1:
            return None
        part = Part(number, part.offset_bytes, length_bytes)
        self._in_flight[number] = part
        return part

    def confirmed(self, part: ConfirmedPart) -> None:
        """The store has the part."""
        self._expect(State.SENDING, State.ABORTING)
        planned = self._in_flight.pop(part.number, None)
        if planned is None or (planned.offset_bytes, planned.length_bytes) != (part.offset_bytes, part.length_bytes):
            raise ProtocolError(f"part {part.number} was not in flight like this")
        self._confirmed[part.number] = part

    def doubt(self, number: int, etag: str) -> bool:
        """A second request of a confirmed part was taken too: unless both have one ETag, it has to be sent again."""
        self._expect(State.SENDING)
        known = self._confirmed[number]
        if known.etag == etag:
            return False
        del self._confirmed[number]
        heapq.heappush(self._waiting, (number, Part(number, known.offset_bytes, known.length_bytes)))
        return True

    def lost(self, number: int) -> None:
        """The part didn't arrive: it waits to be sent again, before new ones."""
        self._expect(State.SENDING, State.ABORTING)
        part = self._in_flight.pop(number, None)
        if part is None:
            raise ProtocolError(f"part {number} was not in flight")
        heapq.heappush(self._waiting, (number, part))

    @property
    def is_whole(self) -> bool:
        """Every part of the source is confirmed."""
        return self._state is State.SENDING and bool(self._confirmed) and not self._in_flight and self.peek() is None

    def taken_over(self, upload_id: str) -> None:
        """An earlier run has completed the object: there is nothing to send."""
        self._expect(State.CREATING)
        self._upload_id = upload_id
        self._state = State.COMPLETING

    def complete(self) -> Completion:
        """All parts are confirmed: what to complete the upload with."""
        self._expect(State.SENDING)
        if not self.is_whole:
            raise ProtocolError("parts are missing")
        parts = tuple(self._confirmed[number] for number in sorted(self._confirmed))
        size_bytes, crc64nvme = 0, 0
        for number, part in enumerate(parts, start=1):
            if (part.number, part.offset_bytes) != (number, size_bytes):
                raise ProtocolError(f"part {number} is missing or out of place")
            size_bytes += part.length_bytes
            crc64nvme = crc64nvme_combine(crc64nvme, part.crc64nvme, part.length_bytes)
        if self._upload_id is None and len(parts) != 1:
            raise ProtocolError(f"{len(parts)} parts of one PutObject")
        if size_bytes != self._offset_bytes or self._plan.size_bytes not in (None, size_bytes):
            raise ProtocolError(f"{size_bytes} bytes confirmed of {self._plan.size_bytes or self._offset_bytes}")
        self._state = State.COMPLETING
        return Completion(self._upload_id, parts, size_bytes, crc64nvme)

    def completed(self) -> None:
        """CompleteMultipartUpload was answered: the object exists."""
        self._expect(State.COMPLETING)
        self._state = State.DONE

    def abort(self) -> str | None:
        """Gives up. Returns the upload ID to abort on the store, None if none was created."""
        self._expect(State.CREATING, State.SENDING, State.COMPLETING)
        self._state = State.ABORTING
        return self._upload_id

    def leave(self) -> None:
        """Gives up; the upload stays on the store with its parts."""
        self._expect(State.SENDING, State.COMPLETING)
        self._state = State.DONE

    def aborted(self) -> None:
        """The store forgot the upload, or there was none."""
        self._expect(State.ABORTING)
        self._state = State.DONE

    def _expect(self, *states: State) -> None:
        if self._state not in states:
            raise ProtocolError(f"the upload is {self._state.value}")
