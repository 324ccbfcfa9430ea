"""What of an earlier run's upload still holds: pure.

Three witnesses are heard: the journal (what we sent), the store (what it has), the source (what there is to send).
A part counts only if they agree on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fastput.engine.plan import Plan, next_part
from fastput.model import Checksum, ConfirmedPart, ListedPart, Part, encode_crc

# So many parts are read again when nothing else speaks against the file: the first, the last, some between.
SAMPLE_PARTS = 8


def is_md5(etag: str) -> bool:
    """Whether an ETag looks like the MD5 of one part: 32 hexadecimal digits. Those of SSE-KMS do and aren't."""
    bare = etag.strip('"')
    return len(bare) == 32 and all(character in "0123456789abcdef" for character in bare.lower())


def is_listed(part: ConfirmedPart, listed: Iterable[ListedPart]) -> bool:
    """Whether the store has a part exactly as it was confirmed. Some list one that was sent twice two times."""
    kept = {None, encode_crc(part.crc64nvme, Checksum.CRC64NVME)}
    wanted = (part.number, part.length_bytes, part.etag.strip('"'))
    return any(
        (found.number, found.size_bytes, found.etag.strip('"')) == wanted and found.checksums.get("crc64nvme") in kept
        for found in listed
    )


def still_there(
    noted: Iterable[ConfirmedPart], listed: Iterable[ListedPart]
) -> tuple[list[ConfirmedPart], list[ListedPart]]:
    """(noted parts that the store has exactly so, other parts that it has, by number)."""
    on_store: dict[int, list[ListedPart]] = {}
    for found in listed:
        on_store.setdefault(found.number, []).append(found)
    confirmed = [part for part in noted if is_listed(part, on_store.get(part.number, ()))]
    for part in confirmed:
        del on_store[part.number]
    return confirmed, [on_store[number][-1] for number in sorted(on_store)]


def gaps(plan: Plan, confirmed: Sequence[ConfirmedPart]) -> tuple[list[ConfirmedPart], list[Part]]:
    """(the confirmed parts that can stay, the parts between them that are missing).

    The bytes between two confirmed parts go into the part numbers between them, all of one size but the last. Where
    that can't be done within the store's limits, what comes behind is given up.

    Args:
        confirmed: by number; each within the source, none overlapping another.
    """
    kept: list[ConfirmedPart] = []
    missing: list[Part] = []
    number, offset_bytes = 1, 0
    for part in sorted(confirmed, key=lambda part: part.number):
        between = _divide(plan, number, part.number - number, offset_bytes, part.offset_bytes - offset_bytes)
        is_last = part.offset_bytes + part.length_bytes == plan.size_bytes
        is_too_small = part.length_bytes < plan.limits.min_part_bytes and not is_last
        behind_bytes = (plan.size_bytes or 0) - part.offset_bytes - part.length_bytes
        has_room = behind_bytes <= (plan.limits.max_parts - part.number) * plan.max_part_bytes
        if between is None or is_too_small or not has_room:
            break
        missing += between
        kept.append(part)
        number, offset_bytes = part.number + 1, part.offset_bytes + part.length_bytes
    return kept, missing


def _divide(plan: Plan, number: int, count: int, offset_bytes: int, length_bytes: int) -> list[Part] | None:
    if count <= 0 or length_bytes <= 0:
        return [] if count == 0 and length_bytes == 0 else None
    size_bytes = -(-length_bytes // count)
    parts = []
    for place in range(count):
        part_bytes = min(size_bytes, length_bytes - place * size_bytes)
        if not plan.limits.min_part_bytes <= part_bytes <= plan.max_part_bytes:
            return None
        parts.append(Part(number + place, offset_bytes + place * size_bytes, part_bytes))
    return parts


def likely_places(plan: Plan, confirmed: Sequence[ConfirmedPart], listed: Sequence[ListedPart]) -> list[Part]:
    """Where parts that the store has, and of which nothing is noted, may belong; their bytes have to prove it.

    Args:
        listed: by number.
    """
    kept, missing = gaps(plan, confirmed)
    wanted = {part.number: part.size_bytes for part in listed}
    places = [part for part in missing if wanted.get(part.number) == part.length_bytes]
    number = kept[-1].number + 1 if kept else 1
    offset_bytes = kept[-1].offset_bytes + kept[-1].length_bytes if kept else 0
    # Behind the last known part as the plan goes on; a part of another size moves those behind it.
    last = min(max(wanted, default=0), plan.limits.max_parts)
    while number <= last and (part := next_part(plan, number, offset_bytes)) is not None:
        if number in wanted and 0 < wanted[number] <= (plan.size_bytes or 0) - offset_bytes:
            part = replace(part, length_bytes=wanted[number])
            places.append(part)
        number, offset_bytes = number + 1, offset_bytes + part.length_bytes
    return places


def likely_part_bytes(listed: Sequence[ListedPart]) -> int | None:
    """The part size of an upload that somebody else began: the most frequent; of two, the larger."""
    sizes = Counter(part.size_bytes for part in listed)
    return max(sizes, key=lambda size_bytes: (sizes[size_bytes], size_bytes)) if sizes else None


def sample(parts: Sequence[ConfirmedPart], chosen: Sequence[float]) -> list[ConfirmedPart]:
    """The first, the last, and one for each random number from [0, 1)."""
    if len(parts) <= len(chosen) + 2:
        return list(parts)
    places = {0, len(parts) - 1, *(int(uniform * len(parts)) for uniform in chosen)}
    return [parts[place] for place in sorted(places)]
