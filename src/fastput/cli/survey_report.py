"""What `fastput survey` prints. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fastput.text import printable
from fastput.tree.survey.facts import AGES, Compression, Duplicates, Share, Survey
from fastput.units import format_duration, format_size

_BAR_CHARS = 20
_SHOWN_UNREADABLE = 10


def lines(found: Survey, block: str = "#") -> Iterator[str]:
    """The survey for people. block: what bars are made of."""
    total = found.total
    yield ", ".join(printable(root) for root in found.roots)
    yield ""
    yield f"files         {_files(total)}, {total.size_bytes:,} bytes"
    holes = f"; on the disk {format_size(found.disk_bytes)}" if found.disk_bytes < 0.95 * total.size_bytes else ""
    yield f"directories   {found.directory_count:,}{holes}"
    others = [
        (found.link_count, "symbolic links"),
        (found.special_count, "pipes, sockets or devices"),
        (found.hard_links, "of the files have several names"),
    ]
    if any(count for count, _ in others):
        yield "besides       " + ", ".join(f"{what}: {count:,}" for count, what in others if count)
    if (sizes := found.sizes) is not None:
        yield (f"sizes         mean {format_size(sizes.mean_bytes)}, median {format_size(sizes.median_bytes)}, "
               f"standard deviation {format_size(sizes.deviation_bytes)}")  # fmt: skip
        yield f"smallest      {format_size(sizes.smallest[0])}  {printable(sizes.smallest[1])}"
        yield f"largest       {format_size(sizes.largest[0])}  {printable(sizes.largest[1])}"
        yield ""
        names = ["empty", *(f"< {format_size(2.0**power)}" for power in range(1, len(sizes.powers)))]
        shown = [pair for pair in zip(names, sizes.powers, strict=True) if pair[1].files]
        yield from _table("size", shown, total, block)
        yield from _table("extension", _named(found.extensions, "(none)"), total, block)
        if len(found.directories) > 1:
            yield from _table("directory", _named(found.directories, "(here)"), total, block)
        ages = [*(f"< {name}" for name, _ in AGES), "older"]
        shown = [pair for pair in zip(ages, found.ages, strict=True) if pair[1].files]
        yield from _table("age", shown, total, block)
    if found.compression is not None:
        yield from _compression(found.compression, total)
    if found.duplicates is not None:
        yield from _duplicates(found.duplicates)
    if found.unreadable_count:
        yield f"{found.unreadable_count:,} could not be read:"
        for path, why in found.unreadable[:_SHOWN_UNREADABLE]:
            yield f"  {printable(path)}: {why}"
        if found.unreadable_count > _SHOWN_UNREADABLE:
            yield f"  and {found.unreadable_count - _SHOWN_UNREADABLE:,} more"
        yield ""
    rate = f", {total.files / found.took_s:,.0f} files a second" if total.files > 1000 else ""
    yield f"took {format_duration(found.took_s)}{rate}"


def _named(groups: Mapping[str, Share], nameless: str) -> list[tuple[str, Share]]:
    return [(printable(name) if name else nameless, share) for name, share in groups.items()]


def _table(title: str, rows: Sequence[tuple[str, Share]], total: Share, block: str) -> Iterator[str]:
    width = max(len(title), *(len(name) for name, _ in rows))
    yield f"{title:<{width}}  {'files':>11}  {'':{_BAR_CHARS}}  {'bytes':>10}"
    for name, share in rows:
        by_count = _bar(share.files / total.files, block)
        by_bytes = _bar(share.size_bytes / max(1, total.size_bytes), block)
        yield (f"{name:<{width}}  {share.files:>11,}  {by_count:{_BAR_CHARS}}  {format_size(share.size_bytes):>10}  "
               f"{by_bytes}").rstrip()  # fmt: skip
    yield ""


def _bar(share: float, block: str) -> str:
    return block * max(1 if share > 0 else 0, round(_BAR_CHARS * share))


def _compression(found: Compression, total: Share) -> Iterator[str]:
    share = found.read_bytes / max(1, total.size_bytes)
    yield (f"compression   zstd -{found.level} makes 1/{found.ratio:.2f} of a sample: {found.places} places, "
           f"{format_size(found.read_bytes)} read ({100 * share:.2g}%)")  # fmt: skip
    for extension, ratio in found.by_extension.items():
        yield f"              1/{ratio:.2f}  {printable(extension) or '(none)'}"
    yield ""


def _duplicates(found: Duplicates) -> Iterator[str]:
    yield (f"duplicates    {_files(found.spare)} could be spared: of the same size and CRC64NVME as another "
           f"({format_size(found.read_bytes)} read)")  # fmt: skip
    for size_bytes, paths in found.groups:
        yield f"  {format_size(size_bytes)} each: " + ", ".join(printable(path) for path in paths)
    yield ""


def _files(share: Share) -> str:
    return f"{share.files:,} file{'' if share.files == 1 else 's'}, {format_size(share.size_bytes)}"
