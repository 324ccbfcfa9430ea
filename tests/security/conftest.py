"""A machine of its own for each test: all that fastput writes is below one directory, and all that it says is kept."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench.servers import scripted
from bench.servers.scripted import Scripted
from tests.support.cli import Ended
from tests.support.content import content

SECRET_KEY = "NoBodyMayReadThisSecret/Key+1234567890ab"
SESSION_TOKEN = "FwoGZXIvYXdzEAnUnmistakableSessionToken//////////+=="
ACCESS_KEY = "AKIAUNMISTAKABLE1234"
PASSWORD = "hunter2-in-a-url"
TIMEOUT_S = 60.0


@dataclass
class Machine:
    """
    Attributes:
        root: home, working directory, temporary files, journals, receipts.
        said: everything that commands have printed, and their arguments' places in it not.
        signatures: of requests that went through a Recorder.
    """

    root: Path
    env: dict[str, str]
    said: list[str] = field(default_factory=list)
    signatures: set[str] = field(default_factory=set)

    def run(self, *arguments: object, env: Mapping[str, str] | None = None) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "fastput", *map(str, arguments)],
            env=self.env | dict(env or {}), cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=TIMEOUT_S,
        )  # fmt: skip
        return self._note(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "fastput", *map(str, arguments)], env=self.env, cwd=self.root,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        out, err = process.communicate(timeout=TIMEOUT_S)
        return self._note(process.returncode, out, err)

    def _note(self, status: int, out: bytes, err: bytes) -> Ended:
        ended = Ended(status, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"))
        self.said += [ended.out, ended.err]
        return ended

    def check(self, *more: str) -> None:
        """Nothing that was printed or written has a secret in it, in any form, nor do the names of files."""
        secrets = {SECRET_KEY, SESSION_TOKEN, ACCESS_KEY, PASSWORD, *self.signatures, *more}
        forms = {form for secret in secrets for form in _forms(secret)} | {b"AWS4-HMAC-SHA256", b"Signature="}
        for text in self.said:
            found = [form for form in forms if form in text.encode(errors="surrogateescape")]
            assert not found, f"{found} was printed: {text}"
        for path in self.root.rglob("*"):
            written = str(path.relative_to(self.root)).encode(errors="surrogateescape")
            if path.is_file():
                written += b"\0" + path.read_bytes()
            found = [form for form in forms if form in written]
            assert not found, f"{found} is in {path}"


def _forms(secret: str) -> Iterator[bytes]:
    """As it is, as in a URL, in JSON, and in base64 wherever it begins in it."""
    yield secret.encode()
    yield urllib.parse.quote(secret, safe="").encode()
    yield secret.replace("/", "\\/").encode()
    for shift in range(3):
        encoded = base64.b64encode(b"x" * shift + secret.encode())
        yield encoded[4 * bool(shift) : len(encoded) // 4 * 4 - 4]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root = tmp_path / "machine"
    for name in ("home", "tmp", "state"):
        (root / name).mkdir(parents=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    env |= {
        "HOME": str(root / "home"), "TMPDIR": str(root / "tmp"), "XDG_STATE_HOME": str(root / "state"),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_SESSION_TOKEN": SESSION_TOKEN,
        "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        "PYTHONFAULTHANDLER": "1",
    }  # fmt: skip
    return Machine(root, env)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.bin"
    path.write_bytes(content(100_000))
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(content(24 << 20))
    return path


@pytest.fixture(scope="session")
def store() -> Iterator[Scripted]:
    """Takes any credentials."""
    with scripted.spawn() as server:
        yield server


@dataclass
class Recorder:
    """Between fastput and a store: what was signed."""

    url: str
    signatures: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)


@pytest.fixture
def recorder(store: Scripted, machine: Machine) -> Iterator[Recorder]:
    """The scripted store, through a port that notes signatures. The machine talks to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        recorder = Recorder(f"http://127.0.0.1:{listener.getsockname()[1]}", machine.signatures)

        def note(piece: bytes) -> None:
            recorder.signatures.update(match.decode() for match in re.findall(rb"Signature=([0-9a-f]{64})", piece))
            recorder.tokens.update(
                match.decode() for match in re.findall(rb"(?i)x-amz-security-token: *([^\r]*)", piece)
            )

        def copy(source: socket.socket, target: socket.socket, notes: bool) -> None:
            try:
                while piece := source.recv(1 << 16):
                    if notes:
                        note(piece)
                    target.sendall(piece)
                target.shutdown(socket.SHUT_WR)
            except OSError:
                pass

        def serve(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", store.port)) as server:
                back = threading.Thread(target=copy, args=(server, client, False), daemon=True)
                back.start()
                copy(client, server, True)
                back.join()

        def accept() -> None:
            try:
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        machine.env["AWS_ENDPOINT_URL"] = recorder.url
        yield recorder
        listener.shutdown(socket.SHUT_RDWR)
