"""What was measured, judged: pure."""

from __future__ import annotations

from collections.abc import Sequence

from fastput.client.measure.facts import Machine, Measured, Verdict
from fastput.engine.plan import needed_bytes
from fastput.limits import DEFAULT_PART_BYTES
from fastput.tuner import Limit, Sample
from fastput.tuner.level import is_steady, level_of, span
from fastput.units import format_goodput, format_size

# What is nearer than this to the best is as good: two runs of the same differ by as much.
_AS_GOOD = 0.95
# What is known worse than so is no reason to take half of it for as good.
_MOST_DOUBT = 0.15
# Other part sizes than fastput's own have to be worth the memory, and differ by chance as well.
_OWN_IS_AS_GOOD = 0.9
# Twice in a row, so that one unlucky second doesn't end a sweep...
_EARNS = 1.05
_FLAT_STEPS = 2
# ...but this is no bad luck.
_COLLAPSED = 0.7
_IS_LOSSY = 0.01
_FEW = 8
_IS_BUSY = 0.92
_ENDED = {
    "budget": "--budget",
    "time": "--time",
    "memory": "this machine's memory",
    "most_window": "fastput's largest window",
}
# What runs beside it has its share of the machine: a ceiling this near is the limit.
_NEAR = 0.85


def steady_part(samples: Sequence[Sample], least_s: float, least_parts: int = 0) -> Sequence[Sample]:
    """The samples that show what a window gives, or none as long as they don't.

    That is the last `least_s`, if its halves agree. What lies before is connections that grow.
    """
    if not samples or sum(sample.confirmed for sample in samples) < least_parts:
        return ()
    if any(sample.goodput_bytes is None for sample in samples):
        return samples if is_steady(samples, least_s) else ()  # whole parts: all of them
    tail = _last(samples, least_s)
    return tail if span(tail) >= least_s - 1e-6 and is_steady(tail, least_s) else ()


def late_part(samples: Sequence[Sample]) -> Sequence[Sample]:
    """What has to do when the time is up: of many the later half."""
    return samples[len(samples) // 2 :] if len(samples) >= _FEW else samples


def _last(samples: Sequence[Sample], span_s: float) -> Sequence[Sample]:
    first = len(samples)
    while first > 0 and span_s > 1e-6:
        first -= 1
        span_s -= samples[first].elapsed_s
    return samples[first:]


def measured(
    samples: Sequence[Sample], window: int, part_bytes: int, cpus: int, busy_share: float | None = None
) -> Measured:
    """Of at least one sample.

    Args:
        busy_share: of the machine's CPUs, meanwhile.
    """
    level = level_of(samples, window, cpus)
    sent_bytes = sum(sample.sent_bytes for sample in samples)
    again_bytes = sum(sample.retransmitted_bytes for sample in samples)
    rtts_s = [sample.rtt_s for sample in samples if sample.rtt_s]
    return Measured(
        window=window,
        part_bytes=part_bytes,
        goodput_bytes_per_s=level.goodput_bytes_per_s,
        error=level.error,
        seconds=span(samples),
        is_from_kernel=all(sample.goodput_bytes is not None for sample in samples),
        rtt_s=rtts_s[-1] if rtts_s else None,
        min_rtt_s=min((sample.min_rtt_s for sample in samples if sample.min_rtt_s), default=None),
        retransmitted_share=again_bytes / sent_bytes if sent_bytes else 0.0,
        slow_downs=sum(sample.slow_downs for sample in samples),
        failures=sum(sample.failures for sample in samples),
        limit=level.limit.value,
        cpu_busy_share=busy_share,
    )


def best_of(levels: Sequence[Measured]) -> Measured:
    return max(levels, key=lambda level: level.goodput_bytes_per_s)


def knee_of(levels: Sequence[Measured]) -> Measured:
    """The smallest window within 5% of the best, or as near as the best itself is known, 15% at most."""
    best = best_of(levels)
    enough = min(_AS_GOOD, 1 - min(best.error, _MOST_DOUBT)) * best.goodput_bytes_per_s
    return min((level for level in levels if level.goodput_bytes_per_s >= enough), key=lambda level: level.window)


def has_knee(levels: Sequence[Measured]) -> bool:
    """Whether a larger window is no longer worth trying; levels in the order of their windows."""
    if len(levels) < 2:
        return False
    before = [level.goodput_bytes_per_s for level in levels]
    if before[-1] < _COLLAPSED * max(before):
        return True
    return len(before) > _FLAT_STEPS and max(before[-_FLAT_STEPS:]) < _EARNS * max(before[:-_FLAT_STEPS])


def best_part_bytes(levels: Sequence[Measured]) -> int:
    """fastput's own size unless another is clearly better; then the smallest that is as good as the best."""
    if not levels:
        return DEFAULT_PART_BYTES
    best = best_of(levels).goodput_bytes_per_s
    own = [level for level in levels if level.part_bytes == DEFAULT_PART_BYTES]
    if any(level.goodput_bytes_per_s >= _OWN_IS_AS_GOOD * best for level in own):
        return DEFAULT_PART_BYTES
    return min(level.part_bytes for level in levels if level.goodput_bytes_per_s >= _AS_GOOD * best)


def fits(window: int, part_bytes: int, memory_bytes: int, left_bytes: int) -> str | None:
    """What a window of such parts is too much for; None: nothing. It has to be filled and then some."""
    if window * needed_bytes(part_bytes, 1) > memory_bytes:
        return "memory"
    return "budget" if 2 * window * part_bytes > left_bytes else None


def verdict(
    windows: Sequence[Measured], part_sizes: Sequence[Measured], machine: Machine, ended_by: str
) -> Verdict:
    """Which of all that was measured is the narrowest, and what to do."""
    knee = knee_of(windows)
    best = best_of([*windows, *part_sizes])
    limit, why = _limit(windows, best, machine, ended_by)
    part_bytes = best_part_bytes(part_sizes)
    sentence = (
        f"limit: {why}; fastput would send {knee.window} part{'s' if knee.window > 1 else ''} of "
        f"{format_size(part_bytes)} at a time"
    )
    return Verdict(limit, sentence, knee.window, part_bytes)


def _limit(windows: Sequence[Measured], best: Measured, machine: Machine, ended_by: str) -> tuple[str, str]:
    knee = knee_of(windows)
    goodput = best.goodput_bytes_per_s
    found = format_goodput(goodput)
    if machine.is_disk_cold and machine.disk_bytes_per_s is not None and machine.disk_bytes_per_s < goodput:
        disk = format_goodput(machine.disk_bytes_per_s)
        return "disk", f"the disk: it reads {disk}, and the way to the store takes {found}"
    if Limit.CPU in (knee.limit, best.limit):
        return "cpu", f"this machine's {machine.cpus} CPUs: they are busy at {found}"
    if machine.loopback_bytes_per_s is not None and goodput > _NEAR * machine.loopback_bytes_per_s:
        return "machine", f"this machine: {found} is about what a TCP stream to itself gives"
    if Limit.STORE in (knee.limit, best.limit) or ended_by == "slow_down":
        asks = "it asks for fewer requests" if ended_by == "slow_down" else "it takes bytes no faster"
        return "store", f"the store: {asks}, at {found}"
    if Limit.LINK in (knee.limit, best.limit):
        return "link", f"the link: full at {found}, packets queue"
    if knee.retransmitted_share > _IS_LOSSY:
        lost = f"{100 * knee.retransmitted_share:.1f}% of the bytes are lost and sent again"
        return "link", f"the link: {lost}, at {found}"
    if ended_by != "knee" and knee is windows[-1]:
        return "requests", f"the number of requests: {found}, and {_ENDED[ended_by]} ended the search for more"
    # Last, because others' work may be what keeps them busy.
    if (best.cpu_busy_share or 0.0) > _IS_BUSY:
        return "cpu", f"this machine's {machine.cpus} CPUs, as far as can be seen: all are busy, at {found}"
    return "path", f"the link or the store: more requests give no more than {found}"
