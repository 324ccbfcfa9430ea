"""An S3 server in memory that does what a script says: for faults that a real store can't be asked for.

    with scripted.spawn() as server:
        server.script(Rule("UploadPart", "reset", part=2, times=1, args={"after_bytes": 1_000_000}))
        ... upload to server.endpoint_url ...
        server.object("bucket", "key").sha256

It runs as a process of its own, so that its threads, descriptors and CPU time aren't those of who is tested, and is
asked and told over HTTP, under /_control/. Every bucket exists. Signatures aren't checked; everything else that S3
would refuse of an upload is refused (scripted_store.py). The faults are in scripted_faults.py.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers.scripted_api import Answer, Request
from bench.servers.scripted_http import HOST, Seen, Server
from bench.servers.scripted_rules import Rule, Script
from bench.servers.scripted_store import Refused

__all__ = ["Left", "Rule", "Scripted", "Seen", "Stored", "spawn"]

ASK_TIMEOUT_S = 30.0
END_WITHIN_S = 10.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Stored:
    """An object on the server."""

    size_bytes: int
    etag: str
    sha256: str
    parts: int
    """0: it came as one PutObject."""


@dataclass(frozen=True, slots=True)
class Left:
    """A multipart upload that is neither completed nor aborted."""

    bucket: str
    key: str
    upload_id: str
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scripted:
    """A running server."""

    port: int
    pid: int

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def env(self) -> dict[str, str]:
        """What a child process needs to reach the server, with nothing of the user's own AWS set-up."""
        keys = {"AWS_ACCESS_KEY_ID": "scripted-access", "AWS_SECRET_ACCESS_KEY": "scripted-secret"}
        files = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        direct = {"AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": HOST, "no_proxy": HOST}
        return keys | files | direct | {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": self.endpoint_url}

    def script(self, *rules: Rule) -> None:
        """Adds rules, behind those that are there for the same bucket and key."""
        self._ask("POST", "rules", {"rules": [dataclasses.asdict(rule) for rule in rules]})

    def unscript(self, bucket: str | None = None, key: str | None = None) -> None:
        """Takes away the rules for an object, for a bucket, or (without arguments) those for everything."""
        self._ask("DELETE", "rules", {"bucket": bucket, "key": key})

    def object(self, bucket: str, key: str) -> Stored | None:
        found = self._ask("POST", "object", {"bucket": bucket, "key": key})["object"]
        return Stored(**found) if found else None

    def uploads(self, bucket: str) -> list[Left]:
        found = self._ask("POST", "uploads", {"bucket": bucket})["uploads"]
        return [Left(**{**left, "parts": tuple(left["parts"])}) for left in found]

    def requests(self, bucket: str, key: str | None = None) -> list[Seen]:
        """What came for a bucket or an object, in order."""
        return [Seen(**seen) for seen in self._ask("POST", "requests", {"bucket": bucket, "key": key})["requests"]]

    def forget(self, bucket: str, key: str) -> None:
        """Drops an object, its uploads, its rules and its records."""
        self._ask("POST", "forget", {"bucket": bucket, "key": key})

    def _ask(self, method: str, what: str, question: dict[str, Any]) -> dict[str, Any]:
        with contextlib.closing(http.client.HTTPConnection(HOST, self.port, timeout=ASK_TIMEOUT_S)) as connection:
            connection.request(method, f"/_control/{what}", json.dumps(question))
            response = connection.getresponse()
            body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{what}: {response.status} {body.decode()}")
        answer: dict[str, Any] = json.loads(body)
        return answer


@contextlib.contextmanager
def spawn(seed: int = 0) -> Iterator[Scripted]:
    """Starts a server on a free port and ends it, even when this process is killed: it reads a pipe to its end."""
    command = [sys.executable, "-m", "bench.servers.scripted", "--seed", str(seed)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            word, _, port = process.stdout.readline().partition(" ")
            if word != "listening":
                raise RuntimeError("the scripted server did not start")
            yield Scripted(int(port), process.pid)
        finally:
            process.stdin.close()
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


class _Control:
    """Answers to the handle above, in the server's process."""

    def __init__(self, script: Script) -> None:
        self.server: Server | None = None
        self._script = script

    def __call__(self, request: Request, body: bytearray) -> Answer:
        try:
            answer = self._answer(request.method, request.key, json.loads(body))
        except (KeyError, TypeError, ValueError) as error:
            return Answer(400, (), f"{type(error).__name__}: {error}".encode())
        return Answer(200, (("Content-Type", "application/json"),), json.dumps(answer).encode())

    def _answer(self, method: str, what: str, question: dict[str, Any]) -> dict[str, Any]:
        assert self.server is not None
        store, bucket, key = self.server.store, question.get("bucket"), question.get("key")
        if what == "rules" and method == "POST":
            self._script.add(Rule(**rule) for rule in question["rules"])
        elif what == "rules":
            self._script.remove(bucket, key)
        elif what == "object":
            return {"object": self._object(str(bucket), str(key))}
        elif what == "uploads":
            found = store.uploads(str(bucket))
            left = [Left(u.bucket, u.key, u.upload_id, tuple(sorted(u.parts))) for u in found]
            return {"uploads": [dataclasses.asdict(upload) for upload in left]}
        elif what == "requests":
            seen = [s for s in self.server.seen() if s.bucket == bucket and key in (None, s.key)]
            return {"requests": [dataclasses.asdict(s) for s in seen]}
        elif what == "forget":
            self._script.remove(bucket, key)
            self.server.forget(key)
            store.delete(str(bucket), str(key))
            for upload in store.uploads(str(bucket)):
                if upload.key == key:
                    store.abort(upload.bucket, upload.key, upload.upload_id)
        else:
            raise KeyError(what)
        return {}

    def _object(self, bucket: str, key: str) -> dict[str, Any] | None:
        assert self.server is not None
        try:
            found = self.server.store.get(bucket, key)
        except Refused:
            return None
        digest = hashlib.sha256(found.data).hexdigest()
        return dataclasses.asdict(Stored(len(found.data), found.etag, digest, found.parts))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers.scripted", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of rules with a probability")
    options = parser.parse_args()
    script = Script(options.seed)
    control = _Control(script)
    control.server = server = Server(script.find, control, options.port)
    threading.Thread(target=server.run, daemon=True).start()
    print(f"listening {server.port}", flush=True)
    sys.stdin.read()
    os._exit(0)  # whatever hangs by order may go on hanging


if __name__ == "__main__":
    main()
