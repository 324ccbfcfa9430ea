"""How an object is cut into parts: pure arithmetic, checked against the store's limits before the first byte."""

from __future__ import annotations

from dataclasses import dataclass

from fastput.errors import UsageError
from fastput.limits import AMAZON_S3, DEFAULT_PART_BYTES, DEFAULT_WINDOW, MIB, REQUEST_OVERHEAD_BYTES, StoreLimits
from fastput.model import Part
from fastput.tuner import Settings
from fastput.units import format_size

# Below this one PutObject is less work for both ends than Create, two parts and Complete.
SINGLE_PUT_BYTES = 2 * DEFAULT_PART_BYTES
# A stream's part is at most 1/20 of what went before: 10,000 parts then hold 48.1 TiB, and a part
# is 51 MiB when 1 GiB was sent.
STREAM_GROWTH = 20
# Of a request's place in the window, in a file that is cut finer. A window that is tuned begins small and grows.
_PARTS_EACH = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Attributes:
        size_bytes: None for a stream of unknown length.
        is_multipart: False for one PutObject. A stream starts as multipart and may turn out to fit one part.
        part_bytes: the size of its parts unless the settings ask for another.
        max_part_bytes: the most that the store and the memory allow.
    """

    size_bytes: int | None
    is_multipart: bool
    part_bytes: int
    max_part_bytes: int
    limits: StoreLimits


def make_plan(
    size_bytes: int | None,
    settings: Settings,
    memory_bytes: int,
    copies: int = 1,
    limits: StoreLimits = AMAZON_S3,
) -> Plan:
    """The plan for one object.

    Args:
        size_bytes: None if it isn't known.
        memory_bytes: the most that all parts in flight may take.
        copies: how many times a part is in memory: 1 if it is read straight into the send buffer, 2 if it is
            buffered before.

    Raises:
        UsageError: above the store's limits, or parts that the memory can't hold.
    """
    if settings.part_bytes is not None and not limits.min_part_bytes <= settings.part_bytes <= limits.max_part_bytes:
        raise UsageError(
            f"a part size of {format_size(settings.part_bytes)} is outside the store's "
            f"{format_size(limits.min_part_bytes)} to {format_size(limits.max_part_bytes)}"
        )
    max_part_bytes = min(limits.max_part_bytes, largest_part_bytes(memory_bytes, copies))
    if size_bytes is None:
        # Two parts at a time, or reading the next would wait for sending this one.
        max_part_bytes = min(limits.max_part_bytes, largest_part_bytes(memory_bytes // 2, copies))
        part_bytes = settings.part_bytes or min(DEFAULT_PART_BYTES, max(max_part_bytes, limits.min_part_bytes))
        _check_memory(part_bytes, max_part_bytes, memory_bytes, 2 * needed_bytes(part_bytes, copies))
        return Plan(None, True, part_bytes, max_part_bytes, limits)
    most_bytes = min(limits.max_object_bytes, limits.max_parts * limits.max_part_bytes)
    if size_bytes > most_bytes:
        raise UsageError(
            f"{size_bytes:,} bytes ({format_size(size_bytes)}) are above the store's limit for one object, "
            f"{format_size(most_bytes)}: split it"
        )
    if size_bytes <= min(settings.part_bytes or SINGLE_PUT_BYTES, max_part_bytes, limits.max_single_put_bytes):
        return Plan(size_bytes, False, size_bytes, max_part_bytes, limits)
    part_bytes = settings.part_bytes or _share(size_bytes, settings.window, max_part_bytes, limits)
    part_bytes = max(part_bytes, _round_up(_divide_up(size_bytes, limits.max_parts), MIB))
    part_bytes = min(part_bytes, limits.max_part_bytes)
    _check_memory(part_bytes, max_part_bytes, memory_bytes, needed_bytes(part_bytes, copies))
    return Plan(size_bytes, True, part_bytes, max_part_bytes, limits)


def next_part(plan: Plan, number: int, offset_bytes: int, wanted_bytes: int | None = None) -> Part | None:
    """The part with this number, beginning where the part before ended; None when nothing is left.

    For a stream its length is an upper bound: the stream may end inside it. Behind the last part number comes a
    probe of one byte: a stream that has one is too long (see too_long()).
    """
    limits = plan.limits
    wanted_bytes = max(wanted_bytes or 0, plan.part_bytes)
    if plan.size_bytes is None:
        if number > limits.max_parts:
            return Part(number, offset_bytes, 1)
        grown_bytes = _round_up(offset_bytes // STREAM_GROWTH, MIB)
        return Part(number, offset_bytes, min(max(wanted_bytes, grown_bytes), plan.max_part_bytes))
    left_bytes = plan.size_bytes - offset_bytes
    if not plan.is_multipart:
        return Part(1, 0, plan.size_bytes) if number == 1 else None  # which may be empty
    if left_bytes <= 0:
        # An upload that was begun for a file without bytes: its one part is empty.
        return Part(1, 0, 0) if number == 1 and plan.size_bytes == 0 else None
    least_bytes = _divide_up(left_bytes, limits.max_parts - number + 1)
    length_bytes = max(min(wanted_bytes, plan.max_part_bytes), least_bytes)
    return Part(number, offset_bytes, min(length_bytes, left_bytes))


def too_long(plan: Plan, offset_bytes: int) -> UsageError:
    """The error for a stream that goes on behind the last part number."""
    return UsageError(
        f"the stream is longer than {plan.limits.max_parts:,} parts of at most {format_size(plan.max_part_bytes)} "
        f"hold; {format_size(offset_bytes)} were sent: give more --memory or a larger --part-size"
    )


def _share(size_bytes: int, window: int, max_part_bytes: int, limits: StoreLimits) -> int:
    """Small files are cut finer: when there are no more parts to send, connections end one by one, and a part's time
    is lost for each; the finer, the less."""
    share_bytes = _round_up(_divide_up(size_bytes, _PARTS_EACH * max(window, DEFAULT_WINDOW)), MIB)
    return max(limits.min_part_bytes, min(share_bytes, DEFAULT_PART_BYTES, max_part_bytes))


def needed_bytes(part_bytes: int, copies: int) -> int:
    """The memory that a part takes while it is in flight."""
    return copies * part_bytes + REQUEST_OVERHEAD_BYTES


def largest_part_bytes(memory_bytes: int, copies: int) -> int:
    """The inverse of needed_bytes()."""
    return max(0, memory_bytes - REQUEST_OVERHEAD_BYTES) // copies


def _check_memory(part_bytes: int, max_part_bytes: int, memory_bytes: int, needed_memory_bytes: int) -> None:
    if part_bytes > max_part_bytes:
        raise UsageError(
            f"parts of {format_size(part_bytes)} need {format_size(needed_memory_bytes)} of memory, and "
            f"{format_size(memory_bytes)} are allowed: give --memory {_divide_up(needed_memory_bytes, MIB)}MiB"
        )


def _divide_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _round_up(value: int, step: int) -> int:
    return _divide_up(value, step) * step
