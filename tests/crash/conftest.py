"""One upload, killed and put again: what it takes to start it, to end it and to look at what it left."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.servers.seaweedfs import SeaweedFS
from fastput.state import journals
from tests.crash.proxy import Proxy, Trap, serve
from tests.support.cli import COMMAND, Ended, environment
from tests.support.content import MIB, content, crc64nvme_base64

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 5 * MIB
WINDOW = 4
PARTS = 33
SIZE_BYTES = 32 * PART_BYTES + 1_234_567
# So that the parts take about a second.
THROTTLED_BYTES_PER_S = 160e6
ENDS_WITHIN_S = 60.0
KEY = "some/large.bin"
OPTIONS = ["--json", "--part-size", "5MiB", "--concurrency", str(WINDOW)]


@dataclass(frozen=True)
class Sent:
    """The receipt of a put, and what was said on the way."""

    event: dict[str, Any]
    notes: str

    @property
    def resumed_bytes(self) -> int:
        return int(self.event["resumed_bytes"])


@dataclass
class Case:
    """
    Attributes:
        orphans: multipart uploads that no journal knew of when the process was killed.
        kills: how often that was.
    """

    s3: S3Client
    bucket: str
    proxy: Proxy
    source: Path
    journal: Path
    env: dict[str, str]
    orphans: set[str] = field(default_factory=set)
    kills: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [*COMMAND, "put", *OPTIONS, *options, str(self.source), f"s3://{self.bucket}/{KEY}"]
        process = subprocess.Popen(
            command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.processes.append(process)
        return process

    def wait_for(self, trap: Trap, process: subprocess.Popen[bytes]) -> None:
        """Until the trap springs; fails if the process ends before."""
        deadline_s = time.monotonic() + ENDS_WITHIN_S
        while not trap.wait():
            assert process.poll() is None, self.end(process)
            assert time.monotonic() < deadline_s, "the moment never came"

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9, in the middle of an upload."""
        process.kill()
        ended = self.end(process)
        assert ended.status == -signal.SIGKILL, ended
        self.was_killed()

    def was_killed(self) -> None:
        """The network forgets the process, and little is left on the store."""
        self.kills += 1
        self.proxy.cut()
        known = self.known()
        orphans = self.uploads() - known - self.orphans
        # There is a short time between Create and the journal, and there are the three uploads by which it finds out
        # what the store takes meanwhile.
        assert len(known) <= 1
        assert len(known) + len(orphans) <= 4
        self.orphans |= orphans
        if not known and not orphans and self.is_there():
            self.kills = self.proxy.part_bytes = 0  # completed before: nothing is left to go on with

    def end(self, process: subprocess.Popen[bytes]) -> Ended:
        out, err = process.communicate(timeout=ENDS_WITHIN_S)
        return Ended(process.returncode, out.decode(), err.decode(errors="replace"))

    def put(self, *options: str) -> Sent:
        """Puts it again, to the end."""
        return self.expect_sent(self.end(self.start(*options)))

    def expect_sent(self, ended: Ended) -> Sent:
        """It ended well."""
        assert (ended.status, ended.err) == (0, ""), ended
        events = {event["event"]: event for event in ended.events}
        notes = [event["message"] for event in ended.events if event["event"] == "note"]
        return Sent(events["sent"], "\n".join(notes))

    def uploads(self) -> set[str]:
        """Multipart uploads on the store."""
        found = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return {upload["UploadId"] for upload in found}

    def known(self) -> set[str]:
        """Multipart uploads that the journals know of."""
        return {summary.entry.upload_id for summary in journals(self.journal) if summary.entry}

    def is_there(self) -> bool:
        """The object."""
        return "Contents" in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=KEY)

    def confirmed(self) -> int:
        """Parts in the journal."""
        return sum(summary.confirmed_parts for summary in journals(self.journal))

    def check_object(self, sent: Sent | None = None) -> None:
        """It is the file, and the receipt says so."""
        data = self.source.read_bytes()
        body = self.s3.get_object(Bucket=self.bucket, Key=KEY)["Body"]
        digest, size_bytes = hashlib.sha256(), 0
        for piece in body.iter_chunks(1 << 20):
            digest.update(piece)
            size_bytes += len(piece)
        assert (size_bytes, digest.digest()) == (len(data), hashlib.sha256(data).digest())
        if sent is not None:
            receipt = (sent.event["size_bytes"], sent.event["crc64nvme"])
            assert receipt == (len(data), crc64nvme_base64(data))

    def check_left(self) -> None:
        """Nothing but what nobody could know of."""
        assert self.uploads() <= self.orphans  # an Abort may have been on its way at the kill
        left = [path.name for path in self.journal.glob("*") if path.suffix != ".endpoint"]
        assert left == []


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(content(SIZE_BYTES))
    return path


@pytest.fixture(scope="session")
def proxy_of_session(seaweedfs: SeaweedFS) -> Iterator[Proxy]:
    with serve(seaweedfs.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def proxy(proxy_of_session: Proxy) -> Iterator[Proxy]:
    """Between fastput and the store. boto3 goes past it."""
    proxy_of_session.cut()
    proxy_of_session.part_bytes = 0
    proxy_of_session.bytes_per_s = None
    yield proxy_of_session
    proxy_of_session.cut()


def make_case(seaweedfs: SeaweedFS, s3: S3Client, bucket: str, proxy: Proxy, source: Path, journal: Path) -> Case:
    env = environment(seaweedfs) | {"AWS_ENDPOINT_URL": proxy.url, "XDG_STATE_HOME": str(journal.parent)}
    return Case(s3, bucket, proxy, source, journal, env)


@pytest.fixture
def case(seaweedfs: SeaweedFS, s3: S3Client, bucket: str, proxy: Proxy, large: Path, tmp_path: Path) -> Iterator[Case]:
    case = make_case(seaweedfs, s3, bucket, proxy, large, tmp_path / "fastput")
    yield case
    for process in case.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def clean_s(
    seaweedfs: SeaweedFS, s3: S3Client, proxy_of_session: Proxy, large: Path, tmp_path_factory: pytest.TempPathFactory
) -> float:
    """How long an upload takes that nobody kills."""
    name, took_s = f"clean-{uuid.uuid4()}", []
    s3.create_bucket(Bucket=name)
    for _ in range(2):  # the first warms up caches, and the store
        state = tmp_path_factory.mktemp("clean") / "fastput"
        case = make_case(seaweedfs, s3, name, proxy_of_session, large, state)
        proxy_of_session.bytes_per_s = THROTTLED_BYTES_PER_S
        started_s = time.monotonic()
        sent = case.put()
        took_s.append(time.monotonic() - started_s)
        proxy_of_session.bytes_per_s = None
        case.check_object(sent)
        case.check_left()
    s3.delete_bucket(Bucket=name)
    return min(took_s)
