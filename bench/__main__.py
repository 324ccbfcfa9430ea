"""`make bench`: the kernels, then whole uploads beside other clients, over HTTP and over TLS.

ARGS are handed to the comparison, e.g. make bench ARGS="--size 1GiB --runs 3".
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMANDS = (
    [sys.executable, "-m", "bench.kernels"],
    [sys.executable, "-m", "bench.compare", "put", *sys.argv[1:]],
    [sys.executable, "-m", "bench.compare", "put", "--tls", *sys.argv[1:]],
)

if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    sys.exit(max(subprocess.run(command, cwd=root, check=False).returncode for command in COMMANDS))
