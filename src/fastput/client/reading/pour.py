"""Content becomes a file: read, compared, renamed. What an interrupted run has left of a large one isn't read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fastput.client.reading.archive import Archive, Span, check
from fastput.client.reading.landing_place import replace_by
from fastput.client.reading.part_file import Identity, PartFile, unwritable
from fastput.client.reading.pieces import Piece
from fastput.errors import DamagedArchive, StoreError
from fastput.model import Part
from fastput.native.crc import crc64nvme, crc64nvme_combine


def pour(
    archive: Archive,
    span: Span,
    target: Path,
    mode: int | None,
    mtime_ns: int | None,
    check_stop: Callable[[], None],
    on_bytes: Callable[[int], None],
) -> int:
    """A range of an object's content becomes a file; its CRC64NVME.

    Args:
        mode: None: as others that are made.
        check_stop: called now and then; raises if the file isn't wanted any more.
        on_bytes: called with how many have arrived.

    Raises:
        DamagedArchive: it isn't what was written; nothing is left of it.
        StoreError, EndpointError, CredentialsError: it can't be read, or was replaced.
        FastputError: the file can't be written.
    """
    parts: list[Part] = []
    plan: dict[int, Piece] = {}
    end_bytes = 0
    for number, piece in enumerate(archive.plan(span), start=1):
        begin_bytes = end_bytes
        end_bytes = min(piece.offset_bytes + piece.length_bytes - span.offset_bytes, span.length_bytes)
        parts.append(Part(number, begin_bytes, end_bytes - begin_bytes))
        plan[number] = piece
    file = PartFile(target)

    def land(part: Part) -> tuple[Part, int]:
        view = archive.fetch_of(span, plan[part.number])
        _write(file.fd, view, part.offset_bytes, file.path)
        return part, crc64nvme(view)

    try:
        identity = Identity(span.name, archive.info.etag, span.length_bytes, parts[0].length_bytes if parts else 0)
        crcs = file.begin(identity, iter(parts), check_stop)
        arrived_bytes = sum(part.length_bytes for part in parts if part.number in crcs)
        with closing(archive.ahead(land, (part for part in parts if part.number not in crcs))) as landed:
            for part, part_crc in landed:
                crcs[part.number] = part_crc
                file.note(part, part_crc)
                on_bytes(arrived_bytes := arrived_bytes + part.length_bytes)
        crc = 0
        for part in parts:
            crc = crc64nvme_combine(crc, crcs[part.number], part.length_bytes)
        check(span, crc)
        if mode is not None:
            _set_mode(file.fd, mode, file.path)
        file.finish(mtime_ns)
    except BaseException as error:
        file.leave(is_of_use=not isinstance(error, (DamagedArchive, StoreError)))
        raise
    return crc


def write_file(target: Path, content: memoryview, mode: int, mtime_ns: int) -> None:
    """The same of content that was read and compared.

    Raises:
        FastputError: the file can't be written.
    """

    def make(fresh: Path) -> None:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _write(fd, content, 0, fresh)
            _set_mode(fd, mode, fresh)
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)

    replace_by(target, make)


def _write(fd: int, content: memoryview, offset_bytes: int, path: Path) -> None:
    try:
        while content:
            written_bytes = os.pwrite(fd, content, offset_bytes)
            content, offset_bytes = content[written_bytes:], offset_bytes + written_bytes
    except OSError as error:
        raise unwritable(path, error) from error


def _set_mode(fd: int, mode: int, path: Path) -> None:
    try:
        os.fchmod(fd, mode & 0o777)
    except OSError as error:
        raise unwritable(path, error) from error
