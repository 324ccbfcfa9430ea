"""`fastput uploads`: what others have left on a real store, listed, ended, and gone on with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.servers import scripted
from bench.servers.scripted import Rule, Scripted
from bench.servers.seaweedfs import SeaweedFS
from fastput.model import ObjectUri, SourceStat
from fastput.state import Journal, JournalEntry, journals
from tests.crash.proxy import Moment
from tests.crash.proxy import serve as serve_proxy
from tests.support.cli import COMMAND, Cli, environment
from tests.support.content import MIB, content, crc64nvme_base64
from tests.support.tcp import serve_answer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATA_BYTES = 40 * MIB
PART_BYTES = 6 * MIB
SPRINGS_WITHIN_S = 30.0


@dataclass(frozen=True)
class Foreign:
    """Uploads begun by another program."""

    s3: S3Client
    bucket: str

    def begin(self, key: str, parts: dict[int, bytes], **arguments: Any) -> str:
        upload_id = self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **arguments)["UploadId"]
        for number, data in parts.items():
            self.send(key, upload_id, number, data)
        return upload_id

    def send(self, key: str, upload_id: str, number: int, data: bytes) -> None:
        self.s3.upload_part(Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data)

    def left(self) -> set[str]:
        """IDs of the uploads on the store."""
        found = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return {upload["UploadId"] for upload in found}

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


@pytest.fixture
def foreign(s3: S3Client, bucket: str) -> Foreign:
    return Foreign(s3, bucket)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """This machine's journals."""
    return tmp_path / "state" / "fastput"


@pytest.fixture
def here(cli: Cli, state: Path) -> Cli:
    """The command line of a machine whose journals nobody else sees."""
    return Cli({**cli.env, "XDG_STATE_HOME": str(state.parent)})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(content(DATA_BYTES))
    return path


def parts_of(data: bytes, part_bytes: int, *numbers: int) -> dict[int, bytes]:
    return {number: data[(number - 1) * part_bytes : number * part_bytes] for number in numbers}


def keep_journal(state: Path, endpoint: str, uri: ObjectUri, source: Path, upload_id: str) -> Journal:
    """As a run of fastput has it that sends this upload; close() is its end."""
    state.mkdir(parents=True, exist_ok=True)
    journal = Journal.open(state, endpoint, uri, str(source))
    stat = SourceStat(1, 2, DATA_BYTES, 3, 4)
    entry = (uri.bucket, uri.key, str(source), stat, upload_id, PART_BYTES, "crc64nvme", "trailer", "", 1.0)
    journal.begin(JournalEntry(endpoint, *entry))
    return journal


# ---- ls


def test_a_bucket_without_any(here: Cli, bucket: str) -> None:
    done = here("uploads", "ls", f"s3://{bucket}")
    assert (done.status, done.out, done.err) == (0, f"s3://{bucket}/: no multipart uploads\n", "")
    assert here("uploads", "ls", f"s3://{bucket}", "--json").events == [
        {"event": "summary", "uploads": 0, "parts": 0, "bytes": 0, "unknown": 0}
    ]


def test_what_they_hold(here: Cli, bucket: str, foreign: Foreign) -> None:
    one = foreign.begin("a/one", {1: b"x" * 1000, 2: b"y" * 500})
    # SeaweedFS lists a part twice that was sent twice; it counts once.
    foreign.send("a/one", one, 2, b"z" * 500)
    empty = foreign.begin("b/empty", {})
    done = here("uploads", "ls", f"s3://{bucket}")
    assert (done.status, done.err) == (0, "")
    first, second, total = done.out.splitlines()
    assert first.split()[-6:] == ["2", "parts", "1.5", "KiB", f"s3://{bucket}/a/one", one]
    assert second.split()[-6:] == ["0", "parts", "0", "B", f"s3://{bucket}/b/empty", empty]
    assert total == "2 uploads, 1.5 KiB that are paid for"


def test_under_a_prefix_and_of_an_age(here: Cli, bucket: str, foreign: Foreign) -> None:
    ids = {key: foreign.begin(key, {}) for key in ("a/one", "a/two", "ab", "b")}

    def listed(*arguments: str) -> list[str]:
        events = here("uploads", "ls", "--json", *arguments).events
        return [event["upload_id"] for event in events if event["event"] == "upload"]

    assert listed(f"s3://{bucket}/a/") == [ids["a/one"], ids["a/two"]]
    assert set(listed(f"s3://{bucket}/a")) == {ids["a/one"], ids["a/two"], ids["ab"]}
    assert set(listed(f"s3://{bucket}", "--older-than", "0s")) == set(ids.values())
    assert listed(f"s3://{bucket}", "--older-than", "1h") == []
    young = here("uploads", "ls", f"s3://{bucket}", "--older-than", "1h")
    assert young.out == f"s3://{bucket}/: no multipart uploads begun 1h00m ago or before\n"


def test_what_this_machine_knows(
    here: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    for key in ("known", "running", "unknown"):
        foreign.begin(key, {1: b"x"})
    ids = {upload["Key"]: upload["UploadId"] for upload in foreign.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]}
    keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "known"), source, ids["known"]).close()
    running = keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "running"), source, ids["running"])
    try:
        events = {event["key"]: event for event in here("uploads", "ls", f"s3://{bucket}", "--json").events[:-1]}
        text = here("uploads", "ls", f"s3://{bucket}").out
    finally:
        running.close()
    assert [events[key]["source"] for key in ("known", "unknown")] == [str(source), None]
    assert [events[key]["sender"] for key in ("known", "unknown")] == [None, None]
    assert events["running"]["sender"] == f"process {os.getpid()}"
    lines = {line.partition(f"s3://{bucket}/")[2].split()[0]: line for line in text.splitlines()[:-1]}
    assert lines["known"].endswith(f"  begun here from {source}")
    assert lines["running"].endswith(f"  process {os.getpid()} is sending this key now")
    assert lines["unknown"].endswith(ids["unknown"])


def test_a_journal_that_can_not_be_read_is_told(here: Cli, state: Path, bucket: str, foreign: Foreign) -> None:
    foreign.begin("key", {})
    state.mkdir(parents=True)
    (state / ("0" * 32 + ".journal")).write_text("nonsense")
    done = here("uploads", "ls", f"s3://{bucket}")
    assert done.status == 0
    assert "fastput: a journal can't be read: " in done.err
    assert len(done.out.splitlines()) == 2


def test_without_a_place_for_journals(cli: Cli, bucket: str, foreign: Foreign, tmp_path: Path) -> None:
    foreign.begin("key", {})
    (tmp_path / "file").write_text("")
    done = Cli({**cli.env, "XDG_STATE_HOME": str(tmp_path / "file")})("uploads", "ls", f"s3://{bucket}")
    assert done.status == 0
    assert done.err.count("\n") == 1
    assert "this machine knows" in done.err
    assert len(done.out.splitlines()) == 2


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (405, "MethodNotAllowed"), (501, "")])
def test_a_store_that_does_not_list_them(status: int, code: str) -> None:
    document = f"<Error><Code>{code}</Code><Message>No.</Message></Error>" if code else ""
    keys = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    with serve_answer(status, document) as server:
        here = Cli(environment(None, **keys, AWS_ENDPOINT_URL=server.url))
        for command in (["ls", "s3://bucket"], ["abort", "s3://bucket/key"]):
            here("uploads", *command).expect_error(6, "doesn't list multipart uploads", "--upload-id")


def test_something_that_is_no_store() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret"}
    with serve_answer(200, "<html>Welcome to the router!</html>") as server:
        here = Cli(environment(None, **keys, AWS_ENDPOINT_URL=server.url))
        here("uploads", "ls", "s3://bucket").expect_error(6, "is this an S3 store")


def test_no_such_bucket(here: Cli) -> None:
    here("uploads", "ls", "s3://no-such-bucket-here").expect_error(6, "no bucket")
    done = here("uploads", "ls", "s3://no-such-bucket-here", "--json")
    assert (done.status, done.err) == (6, "")
    assert [event["event"] for event in done.events] == ["failed", "summary"]
    assert done.events[0]["error"] == "NoSuchBucket"


def test_wrong_credentials(here: Cli, bucket: str) -> None:
    here("uploads", "ls", f"s3://{bucket}", env={"AWS_SECRET_ACCESS_KEY": "wrong"}).expect_error(5, "secret key")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ls", "bucket"], ["s3://bucket/key"]),
        (["ls", "s3://bucket", "--older-than", "soon"], ["soon", "7d"]),
        (["ls", "s3://bucket", "--older-than", "-1d"], ["-1d"]),
        (["abort", "s3://bucket"], ["--older-than"]),
        (["abort", "s3://bucket/prefix/"], ["--older-than"]),
        (["abort", "s3://bucket", "--upload-id", "ID"], ["no key"]),
        (["abort", "key"], ["s3://bucket/key"]),
        (["resume", "s3://bucket/key", "-"], ["standard input"]),
        (["resume", "s3://bucket", "-"], ["standard input"]),
    ],
)
def test_bad_usage(here: Cli, arguments: list[str], words: list[str]) -> None:
    here("uploads", *arguments).expect_error(2, *words)


# ---- abort


def test_abort_of_a_key(here: Cli, bucket: str, foreign: Foreign) -> None:
    for _ in range(2):
        foreign.begin("a", {1: b"x" * 1000})
    others = {foreign.begin(key, {}) for key in ("a/b", "ab")}
    dry = here("uploads", "abort", f"s3://{bucket}/a", "--dry-run")
    assert (dry.status, dry.err, len(foreign.left())) == (0, "", 4)
    assert dry.out.splitlines()[-1] == "2 uploads, 2.0 KiB would be freed"
    done = here("uploads", "abort", f"s3://{bucket}/a")
    assert (done.status, done.err) == (0, "")
    *lines, total = done.out.splitlines()
    assert all(line.startswith("aborted ") and f"s3://{bucket}/a " in line for line in lines)
    assert (len(lines), total) == (2, "2 uploads, 2.0 KiB freed")
    assert foreign.left() == others


def test_abort_of_one_of_a_keys(here: Cli, bucket: str, foreign: Foreign) -> None:
    one, other = (foreign.begin("key", {1: b"x"}) for _ in range(2))
    young = here("uploads", "abort", f"s3://{bucket}/key", "--upload-id", one, "--older-than", "1h", "--json")
    assert (young.status, young.events[-1]["aborted"]) == (0, 0)
    assert foreign.left() == {one, other}
    done = here("uploads", "abort", f"s3://{bucket}/key", "--upload-id", one, "--json")
    assert done.status == 0
    assert [event["event"] for event in done.events] == ["aborted", "summary"]
    assert done.events[-1] == {
        "event": "summary", "aborted": 1, "would_abort": 1, "left": 0, "bytes": 1, "unknown": 0
    }  # fmt: skip
    assert foreign.left() == {other}
    again = here("uploads", "abort", f"s3://{bucket}/key", "--upload-id", one)
    assert (again.status, again.out, again.err) == (0, f"s3://{bucket}/key: no multipart uploads\n", "")


def test_abort_by_age(here: Cli, bucket: str, foreign: Foreign) -> None:
    kept, *gone = [foreign.begin(key, {1: b"x"}) for key in ("b", "a/1", "a/2")]
    assert here("uploads", "abort", f"s3://{bucket}", "--older-than", "1h").status == 0
    assert foreign.left() == {kept, *gone}
    done = here("uploads", "abort", f"s3://{bucket}/a/", "--older-than", "0s")
    assert (done.status, done.err) == (0, "")
    assert foreign.left() == {kept}
    assert here("uploads", "abort", f"s3://{bucket}", "--older-than", "0s", "--json").events[-1]["aborted"] == 1
    assert foreign.left() == set()


def test_abort_of_none(here: Cli, bucket: str) -> None:
    done = here("uploads", "abort", f"s3://{bucket}/key")
    assert (done.status, done.out, done.err) == (0, f"s3://{bucket}/key: no multipart uploads\n", "")


def test_abort_leaves_alone_what_is_being_sent(
    here: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    running = foreign.begin("running", {1: b"x"})
    left = foreign.begin("left", {1: b"x"})
    keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "left"), source, left).close()
    journal = keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "running"), source, running)
    try:
        for arguments in (["s3://{}/running"], ["s3://{}", "--older-than", "0s"], ["s3://{}/running", "--upload-id"]):
            more = [running] if arguments[-1] == "--upload-id" else []
            done = here("uploads", "abort", arguments[0].format(bucket), *arguments[1:], *more)
            done.expect_error(12, f"process {os.getpid()} is sending it now", "left alone")
            assert running in foreign.left()
    finally:
        journal.close()
    assert foreign.left() == {running}, "the other one was aborted"
    assert [found.entry.upload_id for found in journals(state) if found.entry] == [running], "with its journal"


def test_abort_removes_no_other_journal(
    here: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    """Of another upload of the same key, or of the same ID on another store."""
    gone, kept = (foreign.begin("key", {1: b"x"}) for _ in range(2))
    keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "key"), source, kept).close()
    keep_journal(state, "http://elsewhere:1", ObjectUri(bucket, "key"), source, gone).close()
    assert here("uploads", "abort", f"s3://{bucket}/key", "--upload-id", gone).status == 0
    assert foreign.left() == {kept}
    assert {found.entry.upload_id for found in journals(state) if found.entry} == {gone, kept}


@pytest.fixture(scope="module")
def server() -> Iterator[Scripted]:
    with scripted.spawn() as server:
        yield server


@pytest.fixture
def elsewhere(server: Scripted, tmp_path: Path) -> Cli:
    """The command line on the scripted server."""
    return Cli({**environment(), **server.env(), "XDG_STATE_HOME": str(tmp_path)})


def client_of(server: Scripted) -> S3Client:
    import boto3

    return boto3.client(
        "s3", endpoint_url=server.endpoint_url, aws_access_key_id="a", aws_secret_access_key="b", region_name="x"
    )


def test_the_first_error_is_the_status_and_the_others_are_aborted(server: Scripted, elsewhere: Cli) -> None:
    s3 = client_of(server)
    for key in ("a", "b", "c", "d"):
        s3.create_multipart_upload(Bucket="mixed", Key=key)
    refusal = {"status": 403, "code": "AccessDenied"}
    server.script(
        Rule("AbortMultipartUpload", "status", bucket="mixed", key="b", args=refusal),
        Rule("AbortMultipartUpload", "status", bucket="mixed", key="c", times=1, args={"status": 503}),
        # To look at the parts is a right of its own, and not needed.
        Rule("ListParts", "status", bucket="mixed", key="d", args=refusal),
    )
    done = elsewhere("uploads", "abort", "s3://mixed", "--older-than", "0s")
    done.expect_error(6, "s3://mixed/b", "access denied")
    assert done.out.splitlines()[-1] == "3 uploads, 0 B freed; the size of 1 isn't known"
    assert [left.key for left in server.uploads("mixed")] == ["b"]


def test_parts_that_can_not_be_listed(server: Scripted, elsewhere: Cli) -> None:
    s3 = client_of(server)
    for key in ("a", "b", "c"):
        s3.create_multipart_upload(Bucket="secretive", Key=key)
    refusal = {"status": 403, "code": "AccessDenied"}
    for key in ("a", "b"):
        server.script(Rule("ListParts", "status", bucket="secretive", key=key, args=refusal))
    done = elsewhere("uploads", "ls", "s3://secretive")
    done.expect_error(6, "s3://secretive/a", "access denied")
    assert [("parts ?" in line) for line in done.out.splitlines()] == [True, True, False, False]
    assert done.out.splitlines()[-1] == "3 uploads, 0 B that are paid for; the size of 2 isn't known"


def test_several_pages_of_them(server: Scripted, elsewhere: Cli) -> None:
    s3 = client_of(server)
    count = 1200  # a page holds 1,000
    for number in range(count):
        s3.create_multipart_upload(Bucket="many", Key=f"key-{number:04}")
    server.script(
        Rule("ListMultipartUploads", "status", bucket="many", nth=2, args={"status": 503, "code": "SlowDown"})
    )
    done = elsewhere("uploads", "ls", "s3://many", "--json")
    assert (done.status, done.err) == (0, "")
    assert [event["key"] for event in done.events[:-1]] == [f"key-{number:04}" for number in range(count)]
    assert done.events[-1]["uploads"] == count


def test_ctrl_c_does_not_wait_for_the_store(server: Scripted, elsewhere: Cli) -> None:
    client_of(server).create_multipart_upload(Bucket="silent", Key="key")
    server.script(Rule("ListParts", "black_hole", bucket="silent"))
    process = elsewhere.start("uploads", "ls", "s3://silent")
    try:
        wait_until(lambda: any(seen.operation == "ListParts" for seen in server.requests("silent")))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (130, "", "fastput: interrupted\n")


def wait_until(is_so: Any) -> None:
    import time

    deadline_s = time.monotonic() + SPRINGS_WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


# ---- resume


def check_sent(event: dict[str, Any], foreign: Foreign, source: Path, resumed_bytes: int) -> None:
    data = source.read_bytes()
    assert foreign.read(event["key"]) == data
    assert (event["size_bytes"], event["crc64nvme"]) == (len(data), crc64nvme_base64(data))
    assert event["resumed_bytes"] == resumed_bytes
    assert foreign.left() == set()


def test_from_another_machine(
    cli: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    """kill -9 in mid-upload; the journal is on a disk that nobody has."""
    options = ["--part-size", "5MiB", "--concurrency", "2", "--no-progress"]
    with serve_proxy(seaweedfs.endpoint_url) as proxy:
        env = {**cli.env, "AWS_ENDPOINT_URL": proxy.url, "XDG_STATE_HOME": str(state.parent)}
        before = Cli(env)("put", *options, source, f"s3://{bucket}/before")  # else it would ask what the store takes
        assert before.status == 0, before
        proxy.cut()
        trap = proxy.trap(lambda moment: moment.is_answer("UploadPart", 5))
        command = [*COMMAND, "put", *options, str(source), f"s3://{bucket}/key"]
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            wait_until(trap.wait)
            held = cli("uploads", "abort", f"s3://{bucket}/key", env={"XDG_STATE_HOME": str(state.parent)})
        finally:
            process.kill()
            process.wait()
        held.expect_error(12, f"process {process.pid}")
        proxy.cut()
        shutil.rmtree(state)
        known = sum(part["Size"] for part in parts_on(foreign, "key").values())
        assert 4 * 5 * MIB <= known < DATA_BYTES
        proxy.part_bytes = 0
        receipts = state.parent / "receipts"
        done = Cli(env)("uploads", "resume", f"s3://{bucket}/key", source, *options, "--json", "--receipt", receipts)
        assert (done.status, done.err) == (0, ""), done
        assert proxy.part_bytes == DATA_BYTES - known, "only what was missing"
    notes = [event["message"] for event in done.events if event["event"] == "note"]
    assert len(notes) == 1
    assert "are there already" in notes[0]
    sent = next(event for event in done.events if event["event"] == "sent")
    check_sent(sent, foreign, source, resumed_bytes=known)
    assert receipts.read_text().count("\n") == 1
    assert [path.suffix for path in state.iterdir()] == [".endpoint"], "no journal stays"


def parts_on(foreign: Foreign, key: str) -> dict[int, Any]:
    uploads = foreign.s3.list_multipart_uploads(Bucket=foreign.bucket)["Uploads"]
    (upload_id,) = (upload["UploadId"] for upload in uploads if upload["Key"] == key)
    parts = foreign.s3.list_parts(Bucket=foreign.bucket, Key=key, UploadId=upload_id).get("Parts", [])
    return {part["PartNumber"]: part for part in parts}


def resume(here: Cli, foreign: Foreign, key: str, source: Path, *options: str) -> dict[str, Any]:
    done = here("uploads", "resume", f"s3://{foreign.bucket}/{key}", source, "--json", *options)
    assert (done.status, done.err) == (0, ""), done
    sent: dict[str, Any] = next(event for event in done.events if event["event"] == "sent")
    return sent


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 3, 4, 6), (2,), (7,), (), (1, 2, 3, 4, 5, 6, 7)])
def test_an_upload_of_another_program(here: Cli, foreign: Foreign, source: Path, numbers: tuple[int, ...]) -> None:
    """With holes, with the last part alone, with nothing at all, and with everything."""
    parts = parts_of(content(DATA_BYTES), PART_BYTES, *numbers)
    foreign.begin("key", parts)
    sent = resume(here, foreign, "key", source)
    # Where nothing lies before it that says how large its parts are, the last one's place can't be told.
    known = 0 if numbers == (7,) else sum(map(len, parts.values()))
    check_sent(sent, foreign, source, resumed_bytes=known)


def test_a_part_that_differs_is_sent_again(here: Cli, foreign: Foreign, source: Path) -> None:
    parts = parts_of(content(DATA_BYTES), PART_BYTES, 1, 2, 3, 4)
    foreign.begin("key", {**parts, 3: parts[3][:-1] + b"?"})
    sent = resume(here, foreign, "key", source)
    check_sent(sent, foreign, source, resumed_bytes=3 * PART_BYTES)


def test_a_part_that_was_sent_twice(here: Cli, foreign: Foreign, source: Path) -> None:
    """SeaweedFS lists both; what is completed has to be the right one, whichever it is."""
    parts = parts_of(content(DATA_BYTES), PART_BYTES, 1, 2, 3)
    upload_id = foreign.begin("key", {**parts, 2: b"?" * PART_BYTES})
    foreign.send("key", upload_id, 2, parts[2])
    foreign.send("key", upload_id, 3, b"?" * PART_BYTES)
    sent = resume(here, foreign, "key", source)
    assert foreign.read("key") == source.read_bytes()
    assert sent["resumed_bytes"] in (PART_BYTES, 2 * PART_BYTES, 3 * PART_BYTES)


@pytest.mark.parametrize("other", ["shorter", "same", "longer"])
def test_an_upload_of_another_file(here: Cli, foreign: Foreign, source: Path, other: str) -> None:
    size_bytes = {"shorter": 20 * MIB, "same": DATA_BYTES, "longer": 60 * MIB}[other]
    data = content(size_bytes, seed=2)
    foreign.begin("key", parts_of(data, PART_BYTES, *range(1, 1 - -size_bytes // PART_BYTES)))
    check_sent(resume(here, foreign, "key", source), foreign, source, resumed_bytes=0)


def test_parts_smaller_than_any_store_completes(here: Cli, foreign: Foreign, source: Path) -> None:
    foreign.begin("key", parts_of(content(DATA_BYTES), MIB, 1, 2, 3))
    check_sent(resume(here, foreign, "key", source), foreign, source, resumed_bytes=0)


def test_the_newest_or_the_one_that_is_named(here: Cli, server: Scripted, elsewhere: Cli, source: Path) -> None:
    """SeaweedFS lists them by their IDs, within a second; the scripted server's time is finer."""
    s3, data = client_of(server), content(DATA_BYTES)
    ids = []
    for numbers in ((1,), (1, 2), (1, 2, 3)):
        ids.append(s3.create_multipart_upload(Bucket="several", Key="key")["UploadId"])
        for number, part in parts_of(data, PART_BYTES, *numbers).items():
            s3.upload_part(Bucket="several", Key="key", UploadId=ids[-1], PartNumber=number, Body=part)
    resume_of_key = ("uploads", "resume", "s3://several/key", source, "--json")
    named = elsewhere(*resume_of_key, "--upload-id", ids[1])
    newest = elsewhere(*resume_of_key)
    assert (named.status, newest.status) == (0, 0)
    sent = [next(event for event in done.events if event["event"] == "sent") for done in (named, newest)]
    assert [event["upload_id"] for event in sent] == [ids[1], ids[2]]
    assert [event["resumed_bytes"] for event in sent] == [2 * PART_BYTES, 3 * PART_BYTES]
    assert [left.upload_id for left in server.uploads("several")] == [ids[0]]


def test_no_upload_to_go_on_with(here: Cli, bucket: str, foreign: Foreign, source: Path) -> None:
    foreign.begin("key/of/another", {})
    resume = ("uploads", "resume", f"s3://{bucket}/key", source, "--no-progress")
    here(*resume).expect_error(6, f"s3://{bucket}/key", "no multipart upload", "fastput put")
    here(*resume, "--upload-id", "nonsense").expect_error(6, "no such multipart upload")
    done = here(*resume, "--json")
    assert [event["event"] for event in done.events] == ["failed", "summary"]
    assert done.events[0]["error"] == "UploadGone"


def test_a_source_that_is_not_there(here: Cli, bucket: str, foreign: Foreign, tmp_path: Path) -> None:
    foreign.begin("key", {})
    resume = ("uploads", "resume", f"s3://{bucket}/key", "--no-progress")
    here(*resume, tmp_path / "missing").expect_error(3, "missing", "no such file")
    here(*resume, tmp_path).expect_error(3, "directory")
    assert len(foreign.left()) == 1


def test_what_is_being_sent_is_not_taken_over(
    here: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    upload_id = foreign.begin("key", {1: b"x"})
    other = source.rename(source.with_name("other"))
    journal = keep_journal(state, seaweedfs.endpoint_url, ObjectUri(bucket, "key"), source, upload_id)
    try:
        here("uploads", "resume", f"s3://{bucket}/key", other).expect_error(12, f"process {os.getpid()}")
    finally:
        journal.close()
    assert foreign.left() == {upload_id}


@pytest.mark.parametrize("size_bytes", [0, 1, 5 * MIB, 12 * MIB])
def test_a_file_that_put_sends_in_one_request(here: Cli, foreign: Foreign, tmp_path: Path, size_bytes: int) -> None:
    """Was a bug: an object of the upload's first part alone, and exit status 0."""
    path = tmp_path / "small.bin"
    path.write_bytes(content(size_bytes))
    foreign.begin("key", parts_of(content(size_bytes), 5 * MIB, 1))
    sent = resume(here, foreign, "key", path)
    check_sent(sent, foreign, path, resumed_bytes=sent["resumed_bytes"])
    assert sent["resumed_bytes"] <= size_bytes


def test_an_upload_with_checksums_that_fastput_does_not_send(
    here: Cli, bucket: str, foreign: Foreign, source: Path
) -> None:
    """As boto3's upload_file and the AWS CLI begin them. SeaweedFS completes it with CRC32s only, and doesn't tell."""
    data = parts_of(content(DATA_BYTES), 8 * MIB, 1)[1]
    upload_id = foreign.s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm="CRC32")["UploadId"]
    foreign.s3.upload_part(
        Bucket=bucket, Key="key", UploadId=upload_id, PartNumber=1, Body=data, ChecksumAlgorithm="CRC32"
    )
    done = here("uploads", "resume", f"s3://{bucket}/key", source, "--no-progress")
    assert done.status == 6
    line = done.err.splitlines()[-1]
    assert "other checksums" in line
    assert f"fastput uploads abort s3://{bucket}/key --upload-id {upload_id}" in line
    assert here("uploads", "abort", f"s3://{bucket}/key", "--upload-id", upload_id).status == 0
    assert here("put", source, f"s3://{bucket}/key").status == 0
    assert foreign.read("key") == source.read_bytes()


def test_an_upload_without_checksums(server: Scripted, elsewhere: Cli, source: Path) -> None:
    """Amazon S3 takes no CRC for a part then, and says what it expects."""
    s3, data = client_of(server), content(DATA_BYTES)
    upload_id = s3.create_multipart_upload(Bucket="bare", Key="key")["UploadId"]
    s3.upload_part(Bucket="bare", Key="key", UploadId=upload_id, PartNumber=1, Body=data[:PART_BYTES])
    said = "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc64nvme"
    args = {"status": 400, "code": "InvalidRequest", "message": said}
    server.script(Rule("UploadPart", "status", bucket="bare", part=2, times=1, args=args))
    done = elsewhere("uploads", "resume", "s3://bare/key", source, "--json", "--concurrency", "1")
    assert done.status == 0, done
    assert any("going on with md5" in event.get("message", "") for event in done.events)
    sent = next(event for event in done.events if event["event"] == "sent")
    assert (sent["checksum"], sent["size_bytes"]) == ("md5", DATA_BYTES)


def is_part(moment: Moment) -> bool:
    return moment.is_answer("UploadPart", 3)


def test_interrupted_it_leaves_a_journal(
    cli: Cli, state: Path, seaweedfs: SeaweedFS, bucket: str, foreign: Foreign, source: Path
) -> None:
    """From then on put goes on with it."""
    foreign.begin("key", parts_of(content(DATA_BYTES), 5 * MIB, 1, 2))
    with serve_proxy(seaweedfs.endpoint_url) as proxy:
        there = Cli({**cli.env, "AWS_ENDPOINT_URL": proxy.url, "XDG_STATE_HOME": str(state.parent)})
        trap = proxy.trap(is_part)
        resume = ("uploads", "resume", f"s3://{bucket}/key", source, "--no-progress", "--concurrency", "1")
        process = there.start(*resume)
        try:
            wait_until(trap.wait)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 10, err
        assert f"to go on: fastput uploads resume s3://{bucket}/key" in err
        proxy.cut()
        (summary,) = journals(state)
        assert summary.confirmed_parts >= 2
        done = there("put", source, f"s3://{bucket}/key", "--json")
    assert done.status == 0, done
    sent = next(event for event in done.events if event["event"] == "sent")
    assert sent["resumed_bytes"] >= 4 * 5 * MIB
    assert foreign.read("key") == source.read_bytes()
    assert foreign.left() == set()
