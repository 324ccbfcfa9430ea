"""Where fastput keeps what it keeps."""

from __future__ import annotations

import os
from pathlib import Path

from fastput.state.files import unusable


def state_directory(override: str | None = None) -> Path:
    """The directory for journals and profiles, absolute, made with mode 0700 if it isn't there.

    Args:
        override: another directory than the platform's; an empty one counts as none, as with XDG_STATE_HOME.

    Raises:
        JournalError: it can't be made or written; the message says what to do.
    """
    path = Path(override).absolute() if override else _platform_directory()
    try:
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            path.chmod(0o700)  # the umask may have taken from it
    except (OSError, ValueError) as error:
        raise unusable(path, error) from None
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(path, "this directory can't be written")
    return path


def _platform_directory() -> Path:
    from platformdirs import user_state_path

    path = user_state_path("fastput", appauthor=False)
    if not path.is_absolute():  # "~/..." stays as it is for a user without a home
        raise unusable(path, "this user has no home directory")
    return path
