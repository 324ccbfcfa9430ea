"""--trace: every sample and what was decided, a JSON line each."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import IO

from fastput.errors import UsageError
from fastput.tuner import Sample, State

_FIELDS = [field.name for field in fields(Sample)]


class Trace:
    """For the engine's thread. A disk that is full ends the trace, not the transfer."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """
        Raises:
            UsageError: the file can't be written.
        """
        try:
            self._file: IO[str] | None = open(path, "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise UsageError(f"--trace: {os.fspath(path)} can't be written: {error.strerror}") from None
        self._at_s = 0.0

    def __call__(self, sample: Sample, state: State) -> None:
        self._at_s += sample.elapsed_s
        line: dict[str, object] = {"at_s": round(self._at_s, 4)}
        line |= {name: _short(getattr(sample, name)) for name in _FIELDS}
        line["decided"] = {"window": state.window, "phase": state.phase, "limit": state.limit}
        try:
            if self._file is not None:
                self._file.write(json.dumps(line) + "\n")
        except OSError:
            self.close()

    def close(self) -> None:
        """Writes what is still to be written."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass


def _short(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else value
