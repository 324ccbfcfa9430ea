"""What a transfer will take and cost, from a survey, a link and a table of prices. Pure.

Time is the longer of two: the bytes at the link's goodput, and the requests at the rate that client and store take.
S3 takes 3,500 PUTs a second below a prefix until it has split it, which takes it half an hour or more.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastput.limits import MIB
from fastput.timetable import DAY_S, Timetable
from fastput.tree.plan.prices import ClassPrices, Device, Prices
from fastput.tree.survey.facts import Share, Sizes

PUTS_PER_PREFIX_S = 3_500.0
# On one machine, small objects: docs/decisions/0013-small-objects.md.
REQUESTS_PER_S = 5_000.0
# Files below this are worth packing if they are many: a request of S3's costs as much as a month of 0.2 MB.
SMALL_BYTES = MIB
_SMALL_POWER = 20
_MANY_SMALL = 1_000
_LEAST_SMALL_SHARE = 0.5
# Below this compressing isn't worth its CPU, nor the trouble of decompressing.
_LEAST_RATIO = 1.2
# A minute is exact enough for what takes longer than a minute.
_STEP_S = 60.0


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be sent.

    Attributes:
        in_parts, parts: objects that go as several parts, and these.
    """

    total: Share
    sizes: Sizes | None
    in_parts: int
    parts: int

    @property
    def requests(self) -> int:
        """PutObject, UploadPart, and two for each upload in parts."""
        return self.total.files - self.in_parts + self.parts + 2 * self.in_parts


@dataclass(frozen=True, slots=True)
class Link:
    """goodput_bytes_per_s: of object bytes. source: where that is from, for people."""

    goodput_bytes_per_s: float
    source: str


@dataclass(frozen=True, slots=True)
class Advice:
    """Whether to do something, and the reason in numbers."""

    is_recommended: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ClassCost:
    """Of one storage class: all requests once, and a month of keeping. min_days: paid for at least."""

    requests: float
    month: float
    min_days: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """
    Attributes:
        link_s: at the link's goodput alone; None: no link is known.
        takes_s: with requests, and the timetable; None as well.
        faster_devices: (device, seconds), the fastest first.
    """

    work: Work
    link: Link | None
    link_s: float | None
    takes_s: float | None
    keys: Advice
    pack: Advice
    compress: Advice
    costs: Mapping[str, ClassCost]
    faster_devices: Sequence[tuple[Device, float]]


@dataclass(frozen=True, slots=True)
class Measured:
    """How a sample compresses. bytes_per_s: of input, one core."""

    ratio: float
    bytes_per_s: float


def estimate(
    work: Work,
    link: Link | None,
    prices: Prices,
    timetable: Timetable | None,
    starts_at_s: float,
    hash_digits: int,
    compression: Measured | None,
    cpus: int,
) -> Estimate:
    """
    Args:
        timetable: of --limit-rate.
        starts_at_s: second of the day, local time.
        compression: None: no sample was read.
    """
    link_s = takes_s = None
    if link is not None:
        link_s = work.total.size_bytes / link.goodput_bytes_per_s
        rate = min(REQUESTS_PER_S, PUTS_PER_PREFIX_S * 16**hash_digits)
        requests_s = work.requests / rate
        bytes_s = _with_timetable(work.total.size_bytes, link.goodput_bytes_per_s, timetable, starts_at_s)
        takes_s = max(requests_s, bytes_s)
    slow_s = takes_s if takes_s is not None else math.inf
    devices = [(device, device.takes_s(work.total.size_bytes)) for device in prices.devices]
    faster = sorted(((device, s) for device, s in devices if s < slow_s and link is not None), key=lambda pair: pair[1])
    return Estimate(
        work=work,
        link=link,
        link_s=link_s,
        takes_s=takes_s,
        keys=_advise_keys(work, link, hash_digits),
        pack=_advise_packing(work, prices.classes["STANDARD"], prices.currency),
        compress=_advise_compression(work, link, compression, cpus),
        costs={name: _cost(work, found, prices.classes["STANDARD"]) for name, found in prices.classes.items()},
        faster_devices=faster,
    )


def _with_timetable(
    size_bytes: int, goodput_bytes_per_s: float, timetable: Timetable | None, starts_at_s: float
) -> float:
    """Seconds for the bytes, hour by hour as the timetable lets them."""
    if timetable is None:
        return size_bytes / goodput_bytes_per_s

    def rate(at_s: float) -> float:
        limit = timetable.at((starts_at_s + at_s) % DAY_S)
        return min(goodput_bytes_per_s, limit if limit is not None else math.inf)

    day_bytes = _moved(rate, DAY_S)
    days, left_bytes = divmod(size_bytes, day_bytes)
    at_s = 0.0
    while left_bytes > (step_bytes := rate(at_s) * _STEP_S):
        left_bytes -= step_bytes
        at_s += _STEP_S
    return days * DAY_S + at_s + left_bytes / rate(at_s)


def _moved(rate: Callable[[float], float], span_s: float) -> float:
    return sum(rate(step * _STEP_S) * _STEP_S for step in range(round(span_s / _STEP_S)))


def _advise_keys(work: Work, link: Link | None, hash_digits: int) -> Advice:
    if link is None or not work.total.files:
        return Advice(False, "whether keys need a hashed prefix depends on the link")
    mean_bytes = max(1.0, work.total.size_bytes / work.total.files)
    wanted = min(REQUESTS_PER_S, link.goodput_bytes_per_s / mean_bytes)
    each_s = f"{wanted:,.0f} objects a second"
    if hash_digits:
        return Advice(True, f"{each_s} over {16**hash_digits:,} hashed prefixes, of which each takes 3,500")
    if wanted <= PUTS_PER_PREFIX_S:
        return Advice(False, f"{each_s} are below the 3,500 that a prefix takes: no hashed prefix is needed")
    return Advice(True, f"{each_s} are above the 3,500 that a prefix takes: give --hash-prefix 1")


def _advise_packing(work: Work, standard: ClassPrices, currency: str) -> Advice:
    if work.sizes is None:
        return Advice(False, "there is nothing to pack")
    small = [share for power, share in enumerate(work.sizes.powers) if power <= _SMALL_POWER]
    files, size_bytes = sum(share.files for share in small), sum(share.size_bytes for share in small)
    share = files / work.total.files
    of_bytes = size_bytes / max(1, work.total.size_bytes)
    text = f"{files:,} files ({100 * share:.0f}%) are smaller than 1 MiB, and have {100 * of_bytes:.0f}% of the bytes"
    if files < _MANY_SMALL or share < _LEAST_SMALL_SHARE:
        return Advice(False, f"{text}: too few to be worth a tar")
    archives = max(1, -(-size_bytes // (1024 * MIB)))
    saved = (files - archives) / 1000 * standard.per_1000_requests
    less = f"{files - archives:,} requests less ({saved:,.2f} {currency})"
    return Advice(True, f"{text}: packed into {archives:,} tar files they take {less}")


def _advise_compression(work: Work, link: Link | None, compression: Measured | None, cpus: int) -> Advice:
    if compression is None:
        return Advice(False, "no sample was compressed")
    less = f"zstd makes 1/{compression.ratio:.2f} of a sample"
    if compression.ratio < _LEAST_RATIO:
        return Advice(False, f"{less}: not worth it below 1/{_LEAST_RATIO}")
    if link is None:
        return Advice(True, f"{less}")
    plain_s = work.total.size_bytes / link.goodput_bytes_per_s
    packed_s = max(plain_s / compression.ratio, work.total.size_bytes / (compression.bytes_per_s * cpus))
    if packed_s >= plain_s:
        return Advice(False, f"{less}, but {cpus} CPUs compress slower than the link sends")
    return Advice(True, f"{less}: {100 * (1 - packed_s / plain_s):.0f}% less time on the link")


def _cost(work: Work, own: ClassPrices, standard: ClassPrices) -> ClassCost:
    paid_bytes = work.total.size_bytes + work.total.files * own.own_overhead_bytes
    if own.min_object_bytes and work.sizes is not None:
        power = own.min_object_bytes.bit_length() - 1  # those below it, exactly where it is a power of two
        small = work.sizes.powers[: power + 1]
        files, size_bytes = sum(share.files for share in small), sum(share.size_bytes for share in small)
        paid_bytes += files * own.min_object_bytes - size_bytes
    month = own.month(paid_bytes) + standard.month(work.total.files * own.standard_overhead_bytes)
    month += work.total.files / 1000 * own.per_1000_objects
    return ClassCost(work.requests / 1000 * own.per_1000_requests, month, own.min_days)
