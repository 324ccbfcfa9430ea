"""The command line's entry: the version is answered before anything is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit status."""
    if sys.argv[1:] == ["--version"]:
        from fastput.version import __version__

        print(f"fastput {__version__}")
        return
    from fastput.cli.main import run

    run()


if __name__ == "__main__":
    main()
