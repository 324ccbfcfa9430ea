"""The sort of what is too much for memory: sorted runs in a temporary file, merged as they are read."""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

Row = tuple[Any, ...]

# Of one run that is read back at a time; a hundred runs then hold 25,600 rows in memory.
_BLOCK_ROWS = 256
# Of a run that is made row by row.
_RUN_ROWS = 10_000


class Runs:
    """Rows of builtin types (numbers, bytes, text), sorted by `key`. One thread at a time."""

    def __init__(self, key: Callable[[Row], Any]) -> None:
        self._key = key
        self._file = tempfile.TemporaryFile(prefix="fastput-")  # noqa: SIM115
        self._runs: list[list[tuple[int, int]]] = []
        self._next_run: list[Row] = []
        self._written_count = 0

    @property
    def row_count(self) -> int:
        return self._written_count + len(self._next_run)

    def append(self, row: Row) -> None:
        """Adds a row; some thousands become a run."""
        self._next_run.append(row)
        if len(self._next_run) >= _RUN_ROWS:
            self._end_run()

    def add(self, rows: list[Row]) -> None:
        """Adds a run; sorts it in place."""
        rows.sort(key=self._key)
        blocks = []
        offset_bytes = self._file.seek(0, 2)
        for first in range(0, len(rows), _BLOCK_ROWS):
            data = marshal.dumps(rows[first : first + _BLOCK_ROWS])
            blocks.append((offset_bytes, len(data)))
            offset_bytes += self._file.write(data)
        self._runs.append(blocks)
        self._written_count += len(rows)

    def merged(self) -> Iterator[Row]:
        """All rows in order. Several may be under way; not while rows are added."""
        self._end_run()
        return heapq.merge(*(self._read(blocks) for blocks in self._runs), key=self._key)

    def _end_run(self) -> None:
        rows, self._next_run = self._next_run, []
        if rows:
            self.add(rows)

    def _read(self, blocks: list[tuple[int, int]]) -> Iterator[Row]:
        for offset_bytes, length_bytes in blocks:
            self._file.seek(offset_bytes)
            rows: list[Row] = marshal.loads(self._file.read(length_bytes))
            yield from rows

    def clear(self) -> None:
        """There are no rows."""
        self._file.truncate(0)
        self._runs, self._next_run, self._written_count = [], [], 0

    def close(self) -> None:
        """The file is gone."""
        self._file.close()
