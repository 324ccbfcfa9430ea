"""`fastput put --dry-run`: the plan, without a store."""

from __future__ import annotations

from fastput.cli.report import Reporter
from fastput.client.arguments import resolve_uri
from fastput.engine.plan import make_plan, next_part
from fastput.errors import FastputError
from fastput.source import FileSource
from fastput.tuner import Settings


def dry_run(
    sources: tuple[str, ...],
    uri: str,
    part_bytes: int | None,
    window: int | None,
    memory_bytes: int,
    checksum: str,
    reporter: Reporter,
) -> int:
    """Says for each source what would become of it; returns the exit status of the first that can't be sent."""
    settings = Settings(part_bytes=part_bytes) if window is None else Settings(window, part_bytes)
    status = failed = 0
    for source in sources:
        try:
            target = resolve_uri(b"" if source == "-" else source, uri)
            size_bytes: int | None = None
            if source != "-":
                opened = FileSource(source)
                size_bytes = opened.size_bytes
                opened.close()
            plan = make_plan(
                size_bytes, settings, memory_bytes, copies=2 if size_bytes is None or checksum == "md5" else 1
            )
        except FastputError as error:
            reporter.failed(source, error)
            status = status or error.exit_status
            failed += 1
            continue
        parts: int | None = None
        if plan.size_bytes is not None:
            parts, offset_bytes = 0, 0
            while plan.is_multipart and (part := next_part(plan, parts + 1, offset_bytes)) is not None:
                parts, offset_bytes = parts + 1, offset_bytes + part.length_bytes
        reporter.planned(source, str(target), size_bytes, parts, plan.part_bytes)
    reporter.plan_summary(len(sources), failed)
    return status
