"""Uploads a file to a real S3 server on this machine and proves that what arrived is the same.

python -m bench.demo [FILE]
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from bench.servers import seaweedfs
from fastput.limits import MIB
from fastput.units import format_duration, format_goodput, format_size

BUCKET = "demo"
SEED = 20260101
IMAGE_WIDTH_PIXELS = 12_288
IMAGE_HEIGHT_PIXELS = 12_800
"""Two bytes a pixel: 300 MiB."""
STRIP_HEIGHT_PIXELS = 256
FITS_BLOCK_BYTES = 2_880
# The server's own files; it also stops writing before the disk is quite full.
SPARE_BYTES = 256 * MIB


class DemoError(RuntimeError):
    """The demonstration can't go on; the message is one line for people."""


class Readable(Protocol):
    """A file or a response body."""

    def read(self, size: int, /) -> bytes: ...


def main() -> int:
    """Returns the exit status."""
    # So that being ended is cleaned up after like any other failure.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    # The user's own profile, session token or endpoint has no place here.
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[variable]
    try:
        if len(sys.argv) > 2:
            raise DemoError("usage: python -m bench.demo [FILE]")
        run(Path(sys.argv[1]) if len(sys.argv) == 2 else None)
    except (DemoError, seaweedfs.SeaweedFSError, BotoCoreError, ClientError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    return 0


def run(file: Path | None) -> None:
    """The whole demonstration, with the user's file or a made one.

    Raises:
        DemoError: it didn't work, or what came back is not the same.
    """
    if file and not file.is_file():
        raise DemoError(f"{file} is not a file")
    size_bytes = file.stat().st_size if file else IMAGE_WIDTH_PIXELS * IMAGE_HEIGHT_PIXELS * 2
    check_space(size_bytes if file else 2 * size_bytes)
    say("starting SeaweedFS, an S3 server, on this machine")
    with seaweedfs.serve() as server:
        # Whatever is written goes beside the server's own files, which go away even if we are killed.
        if not file:
            file = server.directory / "sky.fits"
            say(f"writing a FITS image of {format_size(size_bytes)}")
            write_fits(file)
        client = server.client()
        client.create_bucket(Bucket=BUCKET)
        receipt = put(file, server)
        show_receipt(receipt)
        say("reading the object back with boto3")
        with file.open("rb") as source:
            sent = sha256(source)
        received = sha256(client.get_object(Bucket=BUCKET, Key=file.name)["Body"])
    if sent != received:
        raise DemoError(f"the object differs from the file: SHA-256 {received}, not {sent}")
    say(f"same SHA-256: {sent}")


def check_space(needed_bytes: int) -> None:
    """Checks that there is room for so many bytes and the server's own.

    Raises:
        DemoError: there isn't.
    """
    directory = tempfile.gettempdir()
    free_bytes = shutil.disk_usage(directory).free
    needed_bytes += SPARE_BYTES
    if free_bytes < needed_bytes:
        raise DemoError(
            f"{directory} has {format_size(free_bytes)} free, the server needs {format_size(needed_bytes)}:"
            " set TMPDIR to a directory on a larger disk"
        )


def write_fits(path: Path) -> None:
    """A sky of smooth background and noise, the same every time: neither all zeros nor all random."""
    cards = [
        f"SIMPLE  = {'T':>20}",
        f"BITPIX  = {16:>20}",
        f"NAXIS   = {2:>20}",
        f"NAXIS1  = {IMAGE_WIDTH_PIXELS:>20}",
        f"NAXIS2  = {IMAGE_HEIGHT_PIXELS:>20}",
        "END",
    ]
    random = np.random.default_rng(SEED)
    x = np.arange(IMAGE_WIDTH_PIXELS, dtype=np.float32)
    with path.open("wb") as out:
        out.write("".join(f"{card:80}" for card in cards).ljust(FITS_BLOCK_BYTES).encode())
        for top in range(0, IMAGE_HEIGHT_PIXELS, STRIP_HEIGHT_PIXELS):
            y = np.arange(top, top + STRIP_HEIGHT_PIXELS, dtype=np.float32)[:, None]
            noise = random.standard_normal((STRIP_HEIGHT_PIXELS, IMAGE_WIDTH_PIXELS), dtype=np.float32)
            strip = 1_000 + 200 * np.sin(x / 700) * np.cos(y / 900) + 30 * noise
            out.write(strip.astype(">i2").tobytes())
        out.write(bytes(-out.tell() % FITS_BLOCK_BYTES))


def put(file: Path, server: seaweedfs.SeaweedFS) -> Mapping[str, Any]:
    """Runs the real command line, its progress on this terminal, and returns its receipt.

    Raises:
        DemoError: the command failed.
    """
    receipt = server.directory / "receipt.json"
    arguments = ["put", str(file), f"s3://{BUCKET}/{file.name}", "--endpoint-url", server.endpoint_url]
    arguments += ["--receipt", str(receipt)]
    say("$ " + shlex.join(["fastput", *arguments]))
    program = str(Path(sysconfig.get_path("scripts"), "fastput"))
    status = subprocess.run([program, *arguments], env=os.environ | server.env()).returncode
    if status:
        raise DemoError(f"fastput ended with status {status}")
    document: dict[str, Any] = json.loads(receipt.read_text())
    return document


def show_receipt(receipt: Mapping[str, Any]) -> None:
    """The receipt as a person reads it."""
    duration_s = receipt["ended_at"] - receipt["started_at"]
    rows = {
        "bucket": receipt["bucket"],
        "key": receipt["key"],
        "size": f"{receipt['size_bytes']:,} bytes ({format_size(receipt['size_bytes'])})",
        "etag": receipt["etag"],
        "crc64nvme": receipt["crc64nvme"],
        "parts": len(receipt["parts"]),
        "time": format_duration(duration_s),
        "goodput": format_goodput(receipt["size_bytes"] / max(duration_s, 1e-9)),
    }
    say("receipt:")
    for name, value in rows.items():
        say(f"  {name:10} {value}")


def sha256(source: Readable) -> str:
    """The SHA-256 of all the rest of it, in hexadecimal."""
    digest = hashlib.sha256()
    while piece := source.read(MIB):
        digest.update(piece)
    return digest.hexdigest()


def say(text: str) -> None:
    """Flushed, so that it stands before what the command line prints."""
    print(text, flush=True)


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
