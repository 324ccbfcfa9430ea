"""fastput bench against real servers: it measures, keeps to its budget, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.servers import rclone, scripted, sink
from bench.servers.scripted import Rule
from tests.cli.conftest import Nothing
from tests.cli.test_interrupt import both_signals, expect_interrupted
from tests.support.cli import Cli, Ended, environment
from tests.support.measured import measured
from tests.support.tcp import closed_port, serve_silence

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MB = 1_000_000
STARTED_WITHIN_S = 20.0
# Importing, aborting and ending, on a machine that does other things as well.
AROUND_S = 15.0


@pytest.fixture(scope="module")
def the_sink() -> Iterator[sink.Sink]:
    with sink.serve() as server:
        yield server


@pytest.fixture
def nobody() -> Cli:
    """Without credentials and endpoint."""
    return Cli(environment(AWS_EC2_METADATA_DISABLED="true"))


def document(ended: Ended) -> dict[str, Any]:
    assert (ended.status, ended.err) == (0, ""), ended
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_a_store_is_measured_and_nothing_is_left(cli: Cli, bucket: str, nothing_left: Nothing, large: Path) -> None:
    uri = f"s3://{bucket}/a/prefix"
    found = document(cli("bench", uri, "--budget", "200MB", "--time", "4s", "--json", "--file", large))
    nothing_left.check()
    assert (found["event"], found["target"], found["left_upload_id"]) == ("bench", uri, None)
    assert found["setup"]["tcp_connect_s"] > 0
    assert found["setup"]["small_request_s"] > 0
    assert found["setup"]["tls_handshake_s"] is None
    assert [level["window"] for level in found["windows"]][:1] == [1]
    assert found["one_stream"] == found["windows"][0]
    assert all(level["goodput_bytes_per_s"] > 0 for level in found["windows"])
    assert found["knee"] in found["windows"]
    assert found["verdict"]["window"] == found["knee"]["window"]
    assert 0 < found["sent_bytes"] <= 200 * MB
    machine = found["machine"]
    for name in ("hash_bytes_per_s", "loopback_bytes_per_s", "disk_bytes_per_s", "cached_bytes_per_s"):
        assert machine[name] > MB, name
    assert set(machine["zstd_bytes_per_s"]) == {"1", "3"}


def test_the_report_for_people_ends_with_what_limits(nobody: Cli, the_sink: sink.Sink) -> None:
    done = nobody("bench", the_sink.endpoint_url, "--budget", "1GB", "--time", "5s")
    assert (done.status, done.err) == (0, ""), done
    lines = done.out.splitlines()
    assert lines[0] == f"{the_sink.endpoint_url} at {the_sink.endpoint_url}"
    assert lines[-1].startswith("limit: ")
    assert "fastput would send" in lines[-1]
    assert "left on the store: nothing" in lines[-2]
    for words in ("TCP connect", "request of 1 KiB", "one stream", "requests in flight", "loopback", "CRC64NVME"):
        assert words in done.out


def test_bytes_and_time_are_kept_to(nobody: Cli, the_sink: sink.Sink) -> None:
    before_bytes = sum(the_sink.stats().door_bytes)
    began_s = time.monotonic()
    found = document(nobody("bench", the_sink.endpoint_url, "--budget", "300MB", "--time", "4s", "--json"))
    assert time.monotonic() - began_s < 4 + AROUND_S
    came_bytes = sum(the_sink.stats().door_bytes) - before_bytes
    assert 10 * MB < came_bytes <= 300 * MB
    assert found["sent_bytes"] >= came_bytes
    assert found["seconds"] < 4 + 2


@measured
def test_a_slow_store_is_measured_within_its_time(nobody: Cli) -> None:
    """4 MB/s a connection: parts of 8 MiB take 2 s, so that whole parts would show nothing."""
    with sink.serve(sink.Store(rate_bytes_per_s=12e6, connection_rate_bytes_per_s=4e6)) as server:
        began_s = time.monotonic()
        found = document(nobody("bench", server.endpoint_url, "--time", "14s", "--json"))
        assert time.monotonic() - began_s < 14 + AROUND_S
    # Three would do; a burst into fresh buffers may make more of them look better in looks as short as these.
    assert found["knee"]["window"] in (4, 8, 16), found["windows"]
    assert found["knee"]["goodput_bytes_per_s"] == pytest.approx(12e6, rel=0.35)
    assert found["one_stream"]["goodput_bytes_per_s"] == pytest.approx(4e6, rel=0.25)
    assert found["verdict"]["limit"] == "store"  # its windows are full


def test_a_store_that_refuses_rewritten_parts() -> None:
    with rclone.serve() as server:
        client = server.client()
        client.create_bucket(Bucket="bucket")
        env = environment(**server.env() | {"AWS_ENDPOINT_URL": server.endpoint_url})
        found = document(Cli(env)("bench", "s3://bucket/x/", "--budget", "200MB", "--time", "5s", "--json"))
        assert "Contents" not in client.list_objects_v2(Bucket="bucket")
        assert not client.list_multipart_uploads(Bucket="bucket").get("Uploads")
    assert found["left_upload_id"] is None
    assert sum(level["failures"] for level in found["windows"]) == 0


@both_signals
def test_interrupted_in_mid_sweep(cli: Cli, s3: S3Client, bucket: str, nothing_left: Nothing, number: int) -> None:
    process = cli.start("bench", f"s3://{bucket}/", "--time", "50s", "--budget", "20GB")
    _wait_for_parts(s3, bucket, process)
    process.send_signal(number)
    err = expect_interrupted(process)
    assert "left on the store" not in err
    nothing_left.check()


def _wait_for_parts(s3: S3Client, bucket: str, process: subprocess.Popen[str]) -> None:
    """Until some parts are there."""
    ends_s = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < ends_s:
        assert process.poll() is None, process.communicate()
        for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            listed = s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            if len(listed.get("Parts", [])) > 5:
                return
    process.kill()
    pytest.fail(f"no parts on the store after {STARTED_WITHIN_S} s")


def test_interrupted_while_the_server_says_nothing(nobody: Cli) -> None:
    with serve_silence() as server:
        process = nobody.start("bench", server.url)
        server.wait()
        process.send_signal(signal.SIGINT)
        expect_interrupted(process)


def test_a_store_that_refuses_parts_and_then_the_abort_is_named() -> None:
    with scripted.spawn() as server:
        cli = Cli(environment(**server.env() | {"AWS_ENDPOINT_URL": server.endpoint_url}))
        server.script(Rule("UploadPart", "status", nth=9, args={"status": 403, "code": "AccessDenied"}))
        done = cli("bench", "s3://bucket/p", "--time", "5s", "--budget", "1GB")
        done.expect_error(6, "access denied", "AccessDenied")
        assert server.uploads("bucket") == []

        denied = {"status": 403, "code": "AccessDenied"}
        server.script(Rule("AbortMultipartUpload", "status", args=denied))
        done = cli("bench", "s3://bucket/p", "--time", "2s", "--budget", "100MB")
        [left] = server.uploads("bucket")
        done.expect_error(6, "didn't abort", left.upload_id)


def test_slow_down_ends_the_sweep() -> None:
    with scripted.spawn() as server:
        cli = Cli(environment(**server.env() | {"AWS_ENDPOINT_URL": server.endpoint_url}))
        server.script(Rule("UploadPart", "status", every=4, args={"status": 503, "code": "SlowDown"}))
        found = document(cli("bench", "s3://bucket/p", "--time", "4s", "--budget", "1GB", "--json"))
        assert server.uploads("bucket") == []
    assert found["ended_by"] == "slow_down"
    assert found["verdict"]["limit"] == "store"
    assert "fewer requests" in found["verdict"]["sentence"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bucket/prefix"], ["bucket/prefix", "s3://BUCKET/PREFIX"]),
        (["ftp://host"], ["ftp://host", "http://HOST:PORT"]),
        (["s3://"], ["s3://bucket/key"]),
        (["http://user@host:1/"], ["http://host:port"]),
        (["http://host:notaport/"], ["http://host:port"]),
        (["http://host:1/", "--endpoint-url", "http://x"], ["--endpoint-url"]),
        (["s3://bucket/a", "s3://bucket/b"], ["one at a time"]),
        (["s3://bucket/a", "--sink", "0"], ["--sink is the other end"]),
        (["s3://bucket/a", "--bind", "127.0.0.1"], ["--sink PORT"]),
        (["s3://bucket/a", "--budget", "1MB"], ["--budget"]),
        (["s3://bucket/a", "--budget", "lots"], ["lots", "8MiB"]),
        (["s3://bucket/a", "--time", "60"], ["60", "45s"]),
        (["s3://bucket/a", "--time", "0s"], ["--time"]),
        (["--quiet"], ["what is to be measured"]),
        (["plot", "only-one"], ["plot TRACE OUT.png"]),
        (["s3://bucket/a", "--plot", "x.pdf"], ["PNG"]),
        (["s3://bucket/a", "--plot", "/no/such/place/x.png"], ["/no/such/place"]),
    ],
)
def test_usage(nobody: Cli, arguments: list[str], words: list[str]) -> None:
    nobody("bench", *arguments).expect_error(2, *words)


def test_what_can_not_be_reached_or_read(cli: Cli, nobody: Cli, bucket: str, nothing_left: Nothing) -> None:
    nobody("bench", f"http://127.0.0.1:{closed_port()}/").expect_error(9, "refused")
    cli("bench", f"s3://{bucket}/", "--file", "/no/such/file").expect_error(3, "no such file")
    cli("bench", "s3://no-such-bucket-at-all/").expect_error(6, "no bucket")
    nobody("bench", "s3://bucket/", "--endpoint-url", "http://127.0.0.1:1").expect_error(5, "credentials")
    nothing_left.check()


def test_put_loads_nothing_of_it(nobody: Cli) -> None:
    """fastput put imports this command, and starts no later for it."""
    code = "import fastput.cli.main, sys; print([m for m in sys.modules if 'client.measure' in m or 'matplotlib' in m])"
    assert subprocess.check_output([sys.executable, "-c", code], env=dict(nobody.env), text=True).strip() == "[]"
