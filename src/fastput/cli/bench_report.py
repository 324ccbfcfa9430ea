"""What `fastput bench` prints: bars, and one last line that says what limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastput.client.measure.facts import Machine, Measured, Report
from fastput.text import printable
from fastput.units import format_duration, format_goodput, format_size

_BAR_CHARS = 24


def lines(report: Report, block: str = "#") -> Iterator[str]:
    """The report for people. block: what bars are made of."""
    setup = report.setup
    yield f"{printable(report.target)} at {report.endpoint}"
    yield ""
    times = [("name", setup.name_s), ("TCP connect", setup.tcp_connect_s), ("TLS handshake", setup.tls_handshake_s),
             ("request of 1 KiB", setup.small_request_s)]  # fmt: skip
    yield "set-up       " + "   ".join(f"{what} {_ms(time_s)}" for what, time_s in times if time_s is not None)
    one = report.windows[0]
    yield f"one stream   {format_goodput(one.goodput_bytes_per_s)}{_way(one)}"
    yield ""
    yield f"requests in flight (parts of {format_size(report.knee.part_bytes)})"
    names = [str(level.window) for level in report.windows]
    yield from _levels(names, report.windows, report.knee, block)
    if report.part_sizes:
        yield ""
        yield f"part size ({report.knee.window} in flight)"
        chosen = next((at for at in report.part_sizes if at.part_bytes == report.verdict.part_bytes), None)
        names = [format_size(level.part_bytes) for level in report.part_sizes]
        pairs = sorted(zip(report.part_sizes, names, strict=True), key=lambda pair: pair[0].part_bytes)
        yield from _levels([name for _, name in pairs], [level for level, _ in pairs], chosen, block)
    yield ""
    cpus = report.machine.cpus
    yield f"this machine ({cpus} CPU{'s' if cpus > 1 else ''})"
    yield from _machine(report.machine, block)
    yield ""
    yield (f"sent {format_size(report.sent_bytes)} of at most {format_size(report.plan.budget_bytes)} in "
           f"{format_duration(report.seconds)}; left on the store: {_left(report)}")  # fmt: skip
    yield report.verdict.sentence


def _levels(names: Sequence[str], levels: Sequence[Measured], marked: Measured | None, block: str) -> Iterator[str]:
    most = max(level.goodput_bytes_per_s for level in levels)
    for name, level in zip(names, levels, strict=True):
        bar = _bar(level.goodput_bytes_per_s, most, block)
        by = "" if level.is_from_kernel else "  by whole parts"
        again = f"  {100 * level.retransmitted_share:.1f}% sent again" if level.retransmitted_share > 1e-3 else ""
        refused = f"  {level.slow_downs} SlowDown" if level.slow_downs else ""
        mark = "  <-" if level is marked else ""
        goodput = f"{format_goodput(level.goodput_bytes_per_s):>13} ±{100 * level.error:3.0f}%"
        yield f"  {name:>9}  {bar}  {goodput}{_way(level)}{again}{refused}{by}{mark}"


def _way(level: Measured) -> str:
    if level.rtt_s is None or level.min_rtt_s is None:
        return ""
    return f"  RTT {_ms(level.rtt_s)} (least {_ms(level.min_rtt_s)})"


def _machine(machine: Machine, block: str) -> Iterator[str]:
    disk = "disk, cold" if machine.is_disk_cold else "file, not cold"
    found: list[tuple[str, float | None, str]] = [
        (disk, machine.disk_bytes_per_s, ""),
        ("file, cached", machine.cached_bytes_per_s, ""),
        ("CRC64NVME", machine.hash_bytes_per_s, "a core"),
    ]
    for level, rate in machine.zstd_bytes_per_s.items():
        found.append((f"zstd -{level}", rate, f"a core, to 1/{machine.zstd_ratio[level]:.2f}"))
    found.append(("loopback", machine.loopback_bytes_per_s, "one TCP stream"))
    known = [(name, rate, note) for name, rate, note in found if rate is not None]
    # The checksum is ten times faster than anything: its bar would be the only one to be seen.
    most = max((rate for name, rate, _ in known if name != "CRC64NVME"), default=1.0)
    for name, rate, note in known:
        yield f"  {name:>14}  {_bar(rate, most, block)}  {format_goodput(rate):>13}  {note}".rstrip()
    if machine.disk_bytes_per_s is None:
        yield f"  {'disk':>14}  not measured: give --file FILE"
    if not machine.zstd_bytes_per_s:
        yield f"  {'zstd':>14}  not measured: pip install zstandard"


def _bar(value: float, most: float, block: str) -> str:
    return (block * min(_BAR_CHARS, max(1, round(_BAR_CHARS * value / most)))).ljust(_BAR_CHARS)


def _ms(time_s: float) -> str:
    return f"{1e6 * time_s:.0f} µs" if time_s < 1e-3 else f"{1e3 * time_s:.1f} ms"


def _left(report: Report) -> str:
    return "nothing" if report.left_upload_id is None else f"multipart upload {printable(report.left_upload_id)}"
