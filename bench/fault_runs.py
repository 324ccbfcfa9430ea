"""One upload under faults, and the judgement on how it ended."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastput
from bench import fault_cases
from bench.fault_cases import OBJECT, PART_BYTES, Scene
from bench.fault_plan import MOST_BYTES, Planned
from bench.servers.scripted import Scripted
from fastput.errors import FastputError

BUCKET = "faults"
# Of uploads that share a client, so that each has its turn within the watchdog's time.
SHARED_CLIENTS = 2
CLOSED_WITHIN_S = 30.0
QUIET_WITHIN_S = 15.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How an upload ended; problem is empty if that was as it should be."""

    planned: Planned
    outcome: str
    seconds: float
    resent_bytes: int = 0
    is_resumed: bool = False
    problem: str = ""


class Runner:
    """Safe for several threads."""

    def __init__(self, server: Scripted, directory: Path, work: Sequence[Planned], watchdog_s: float) -> None:
        self._server = server
        self._directory = directory
        self._watchdog_s = watchdog_s
        # Everybody's bytes are somewhere in here.
        self._pool = memoryview(random.Random(0).randbytes(MOST_BYTES + (1 << 20)))
        self._state = directory / "state"
        write_profiles(directory, [planned.number for planned in work if _is_renewing(planned)])
        self._shared = [self._client(server.endpoint_url) for _ in range(SHARED_CLIENTS)]

    def run(self, planned: Planned) -> Ended:
        """Sends it and looks at what became of it."""
        data = self._pool[planned.offset_bytes : planned.offset_bytes + planned.size_bytes]
        path = self._directory / planned.key
        path.write_bytes(data)
        try:
            is_alone = any(case.client for case in planned.cases)
            with fault_cases.scene(planned.cases, self._server, BUCKET, planned.key, is_alone) as scene:
                return self._run(planned, data, path, scene)
        finally:
            path.unlink()
            self._server.forget(BUCKET, planned.key)

    def close(self) -> list[str]:
        """Ends the shared clients. Returns what is wrong with them."""
        problems = [problem for client in self._shared if (problem := unrest(client) or closing(client))]
        self._shared.clear()
        return problems

    def _run(self, planned: Planned, data: memoryview, path: Path, scene: Scene) -> Ended:
        with self._client_for(planned, scene.url) as (client, complaints):
            put = next((dict(case.put) for case in planned.cases if case.put), {})
            started_at = time.monotonic()
            source: Any = {"file": path, "buffer": data, "stream": io.BytesIO(data)}[planned.source]
            future = client.submit(source, f"s3://{BUCKET}/{planned.key}", **put)
            try:
                error = future.exception(self._watchdog_s)
            except TimeoutError:
                seconds = time.monotonic() - started_at
                return Ended(planned, "HANG", seconds, problem=f"not ended after {self._watchdog_s:g} s")
            seconds = time.monotonic() - started_at
            resent_bytes = future.result().resent_bytes if error is None else 0
        problem = self._judge(planned, data, error)
        is_resumed = False
        if not problem and isinstance(error, FastputError) and error.upload_id is not None and planned.is_resumed:
            scene.heal()
            problem, is_resumed = self._resume(planned, path, data, scene.url, error.hint), True
        outcome = OBJECT if error is None else type(error).__name__
        return Ended(planned, outcome, seconds, resent_bytes, is_resumed, problem or "; ".join(complaints))

    def _judge(self, planned: Planned, data: memoryview, error: BaseException | None) -> str:
        """What is wrong; empty: nothing."""
        stored = self._server.object(BUCKET, planned.key)
        if stored is not None and stored.sha256 != hashlib.sha256(data).hexdigest():
            return f"a WRONG OBJECT of {stored.size_bytes:,} bytes is on the store; the outcome was {error!r}"
        if error is None and stored is None:
            return "reported as sent, and there is no object"
        name = OBJECT if error is None else type(error).__name__
        if error is not None and not isinstance(error, FastputError):
            return f"{error!r} is no FastputError"
        if name not in planned.outcomes:
            return f"{name} instead of {' or '.join(sorted(planned.outcomes))}: {error}"
        left = [upload.upload_id for upload in self._server.uploads(BUCKET) if upload.key == planned.key]
        unnamed = [upload_id for upload_id in left if error is None or upload_id != error.upload_id]
        if len(unnamed) > planned.orphans:
            return f"{len(unnamed)} uploads are left, and {error!r} doesn't name them"
        return ""

    def _resume(self, planned: Planned, path: Path, data: memoryview, url: str, hint: str | None) -> str:
        """The same again, without the fault."""
        if planned.source != "file":
            return ""  # it says that it is left, because Abort didn't work either
        with self._client(url) as client:
            future = client.submit(path, f"s3://{BUCKET}/{planned.key}")
            try:
                error = future.exception(self._watchdog_s)
            except TimeoutError:
                return f"put again: not ended after {self._watchdog_s:g} s"
        stored = self._server.object(BUCKET, planned.key)
        if error is not None or stored is None or stored.sha256 != hashlib.sha256(data).hexdigest():
            return f"put again: {error!r}"
        # Without a hint it wasn't worth a journal, and Abort failed: only the error has told of it.
        if hint and any(left.key == planned.key for left in self._server.uploads(BUCKET)):
            return "put again: an upload is left"
        return ""

    @contextlib.contextmanager
    def _client_for(self, planned: Planned, url: str) -> Iterator[tuple[fastput.Client, list[str]]]:
        """A client of its own or a shared one; what is wrong with it afterwards is in the list then."""
        complaints: list[str] = []
        if not planned.has_own_client:
            yield self._shared[planned.number % SHARED_CLIENTS], complaints
            return
        options: dict[str, Any] = {}
        for case in planned.cases:
            options |= case.client
        if _is_renewing(planned):
            options["profile"] = profile_name(planned.number)
        client = self._client(url, **options)
        yield client, complaints
        complaints += [problem for problem in (unrest(client), closing(client)) if problem]

    def _client(self, url: str, **options: Any) -> fastput.Client:
        return fastput.Client(
            endpoint_url=url, part_size=PART_BYTES, state_dir=self._state, on_stall=lambda text: None, **options
        )


def unrest(client: fastput.Client) -> str:
    """What a client still does when all its uploads have ended; empty: nothing."""
    deadline = time.monotonic() + QUIET_WITHIN_S
    while (now := client.snapshot()).reserved_bytes or now.in_flight or now.uploads:
        if time.monotonic() > deadline:
            return f"still reserved or in flight: {now}"
        time.sleep(POLL_S)
    return ""


def closing(client: fastput.Client) -> str:
    """Closes it; says so if that takes too long."""
    if client.snapshot().uploads:
        client.cancel()
    thread = threading.Thread(target=client.close, daemon=True)
    thread.start()
    thread.join(CLOSED_WITHIN_S)
    return f"close() took more than {CLOSED_WITHIN_S:g} s" if thread.is_alive() else ""


# ---- credentials that are renewed


def _is_renewing(planned: Planned) -> bool:
    return any(case.has_renewed_credentials for case in planned.cases)


def profile_name(number: int) -> str:
    return f"renewed-{number}"


def write_profiles(directory: Path, numbers: Sequence[int]) -> None:
    """A configuration whose processes hand out the keys "first", then "second", to each profile by itself."""
    script = directory / "credentials"
    answer = {"Version": 1, "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}
    script.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "was_asked = pathlib.Path(__file__).with_name(sys.argv[1])\n"
        f"print(json.dumps({answer!r} | {{'AccessKeyId': 'second' if was_asked.exists() else 'first'}}))\n"
        "was_asked.touch()\n"
    )
    script.chmod(stat.S_IRWXU)
    names = map(profile_name, numbers)
    sections = [f"[profile {name}]\ncredential_process = {script} {name}\n" for name in names]
    (directory / "config").write_text("".join(sections))
