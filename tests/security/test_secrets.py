"""Keys, tokens and signatures are nowhere but in requests: not in what is printed, nor in what is written to a disk.

The access key's ID is no secret, but it tells who somebody is: fastput doesn't say it either. Where the store's own
message has it, and that is shown, it is the store's to say.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.servers.scripted import Rule, Scripted
from bench.servers.seaweedfs import SeaweedFS
from tests.security.conftest import ACCESS_KEY, PASSWORD, SECRET_KEY, SESSION_TOKEN, Machine, Recorder
from tests.support.tcp import closed_port, serve_answer, serve_silence

LOUD = ["--verbose", "--receipt", "receipts.jsonl"]
WITHIN_S = 30.0


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_check_finds_them(machine: Machine) -> None:
    """A test that can't fail proves nothing."""
    import base64

    for text in (SECRET_KEY, SECRET_KEY.replace("/", "%2F").replace("+", "%2B"), "AWS4-HMAC-SHA256 Credential=x"):
        machine.said = [f"before {text} after"]
        with pytest.raises(AssertionError):
            machine.check()
    machine.said = []
    for text in (SESSION_TOKEN, base64.b64encode(f"12{SESSION_TOKEN}3".encode()).decode()):
        path = machine.root / "state" / "file"
        path.write_text(text)
        with pytest.raises(AssertionError):
            machine.check()
        path.unlink()
    machine.check()


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_success(
    machine: Machine, recorder: Recorder, request: pytest.FixtureRequest, size: str, options: list[str]
) -> None:
    path: Path = request.getfixturevalue(size)
    done = machine.run("put", *LOUD, *options, path, "s3://bucket/key")
    assert done.status == 0, done
    assert recorder.signatures
    assert recorder.tokens == {SESSION_TOKEN}
    assert (machine.root / "receipts.jsonl").stat().st_size
    assert list((machine.root / "state" / "fastput").glob("*.endpoint")), "what the store takes is remembered"
    machine.check()


REFUSALS = [
    ("InvalidAccessKeyId", 403, 5),
    ("SignatureDoesNotMatch", 403, 5),
    ("ExpiredToken", 400, 5),
    ("InvalidToken", 400, 5),
    ("AccessDenied", 403, 6),
    ("NoSuchBucket", 404, 6),
    ("AuthorizationHeaderMalformed", 400, 6),
    ("BadDigest", 400, 7),
]


@pytest.mark.parametrize(
    ("operation", "code", "http_status", "status"),
    [("UploadPart", *refusal) for refusal in REFUSALS]
    + [(name, *REFUSALS[place]) for name in ("CreateMultipartUpload", "CompleteMultipartUpload") for place in (1, 4)],
)
def test_refusals(
    machine: Machine, recorder: Recorder, store: Scripted, large: Path, operation: str, code: str, http_status: int,
    status: int,
) -> None:  # fmt: skip
    bucket = f"{code.lower()}-{operation.lower()[:6]}"
    store.script(Rule(operation, "status", bucket=bucket, args={"status": http_status, "code": code}))
    # Whether it can be tried again is not what is looked for.
    done = machine.run("put", *LOUD, "--checksum", "none", large, f"s3://{bucket}/key", "--stall-timeout", "5")
    assert done.status == status, done
    assert "fastput.errors." in done.err
    machine.check()


# As Amazon S3 answers, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: with all that it was told.
TALKATIVE = (
    "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match.</Message>"
    f"<AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n20260101T000000Z</StringToSign>"
    f"<SignatureProvided>{'a1b2' * 16}</SignatureProvided><Token-0>{SESSION_TOKEN}</Token-0>"
    f"<CanonicalRequest>PUT\n/key\n\nx-amz-security-token:{SESSION_TOKEN}\n</CanonicalRequest></Error>"
)


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_talkative_store(machine: Machine, request: pytest.FixtureRequest, size: str, as_json: list[str]) -> None:
    path: Path = request.getfixturevalue(size)
    with serve_answer(403, TALKATIVE) as server:
        for checksum in ("auto", "none"):  # the control plane's way, and the data plane's
            done = machine.run(
                "put", *LOUD, *as_json, "--checksum", checksum, path, "s3://bucket/key", "--endpoint-url", server.url
            )
            assert done.status == 5, done
    machine.check("a1b2" * 16)


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
@pytest.mark.parametrize("size", ["small", "large"])
def test_a_real_store_that_refuses(
    machine: Machine, seaweedfs: SeaweedFS, bucket: str, request: pytest.FixtureRequest, name: str, size: str
) -> None:
    path: Path = request.getfixturevalue(size)
    env = {**seaweedfs.env(), "AWS_ENDPOINT_URL": seaweedfs.endpoint_url, "AWS_SESSION_TOKEN": ""}
    env[name] = "wrong-but-a-secret-too"
    done = machine.run("put", *LOUD, path, f"s3://{bucket}/key", env=env)
    assert done.status == 5, done
    machine.check("wrong-but-a-secret-too", seaweedfs.secret_key, seaweedfs.access_key)


def test_no_way_to_the_store(machine: Machine, small: Path, large: Path) -> None:
    for path in (small, large):
        for url in (f"http://127.0.0.1:{closed_port()}", "http://fastput-test.invalid:9000", "not a url"):
            done = machine.run("put", *LOUD, path, "s3://bucket/key", "--endpoint-url", url)
            assert done.status in (2, 9), done
    machine.check()


def test_half_of_the_credentials(machine: Machine, recorder: Recorder, small: Path) -> None:
    del machine.env["AWS_ACCESS_KEY_ID"]
    assert machine.run("put", *LOUD, small, "s3://bucket/key").status == 5
    machine.check()


def test_credentials_of_files(machine: Machine, recorder: Recorder, small: Path, tmp_path: Path) -> None:
    """Broken ones: configuration parsers like to show the line that they didn't understand."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del machine.env[name]
    path = tmp_path / "credentials"  # the user's own, and not ours to look through
    machine.env["AWS_SHARED_CREDENTIALS_FILE"] = str(path)
    line = f"aws_secret_access_key = {SECRET_KEY}"
    for text in (f"[default]\n{line}\n", line, f"[default\n{line}", f"[default]\n{SECRET_KEY}\n", SECRET_KEY):
        path.write_text(text)
        assert machine.run("put", *LOUD, small, "s3://bucket/key").status in (2, 5)
    machine.check()


def test_a_process_that_hands_out_credentials(
    machine: Machine, recorder: Recorder, small: Path, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del machine.env[name]
    config = tmp_path / "config"
    machine.env["AWS_CONFIG_FILE"] = str(config)
    # What it says on standard error is meant for people, and is shown.
    for script in (f"echo {SECRET_KEY}", f"echo {SECRET_KEY}; exit 1",
                   f'echo "{{\\"Version\\": 1, \\"SecretAccessKey\\": \\"{SECRET_KEY}\\"}}"'):  # fmt: skip
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        config.write_text(f"[default]\ncredential_process = {program}\n")
        assert machine.run("put", *LOUD, small, "s3://bucket/key").status in (2, 5)
    machine.check()


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{PASSWORD}@127.0.0.1:1", f"http://us/er:{PASSWORD}@127.0.0.1:1", f"http://:{PASSWORD}@h:99999",
        f"http://user:{PASSWORD}@@127.0.0.1:1", f"user:{PASSWORD}@127.0.0.1:1", f"http://user:{PASSWORD}@[::1",
        f"https://user:x/{PASSWORD}@127.0.0.1:1",
    ],
)  # fmt: skip
def test_a_password_in_the_endpoint(machine: Machine, small: Path, url: str) -> None:
    """Was a bug: it stood in the message that there is no answer from there."""
    as_option = machine.run("put", *LOUD, small, "s3://bucket/key", "--endpoint-url", url)
    as_variable = machine.run("uploads", "ls", "s3://bucket", env={"AWS_ENDPOINT_URL": url})
    assert (as_option.status, as_variable.status) == (2, 2), (as_option, as_variable)
    machine.check()


def test_a_password_in_a_profiles_endpoint(machine: Machine, small: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"[profile p]\nendpoint_url = http://user:{PASSWORD}@127.0.0.1:1\n")
    machine.env["AWS_CONFIG_FILE"] = str(config)
    done = machine.run("put", *LOUD, small, "s3://bucket/key", "--profile", "p")
    assert done.status == 2
    assert "***@127.0.0.1" in done.err
    machine.check()


def test_a_password_in_a_proxys_url(machine: Machine, small: Path) -> None:
    proxy = f"http://user:{PASSWORD}@127.0.0.1:{closed_port()}"
    env = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    done = machine.run("put", *LOUD, small, "s3://bucket/key", "--endpoint-url", "http://store.invalid", env=env)
    assert done.status == 9, done
    machine.check()


# ---- killed and interrupted


def test_kill_9_in_mid_upload(machine: Machine, recorder: Recorder, store: Scripted, large: Path) -> None:
    """Whatever is on the disk then: journal, lock, profile, temporary files."""
    store.script(Rule("UploadPart", "black_hole", bucket="killed", part=4))
    process = machine.start("put", *LOUD, "--concurrency", "2", "--part-size", "5MiB", large, "s3://killed/key")
    wait_until(lambda: any(len(left.parts) >= 3 for left in store.uploads("killed")))
    directory = machine.root / "state" / "fastput"
    wait_until(lambda: any(path.stat().st_size for path in directory.glob("*.journal-wal")))
    wait_until(lambda: any(directory.glob("*.endpoint")))
    process.kill()
    machine.end(process)
    names = {path.suffix for path in directory.iterdir()}
    assert {".journal", ".lock", ".endpoint"} <= names
    machine.check()
    store.unscript("killed")
    assert machine.run("uploads", "ls", "s3://killed", "--json").status == 0
    assert machine.run("put", *LOUD, "--part-size", "5MiB", large, "s3://killed/key").status == 0
    machine.check()


def test_interrupted(machine: Machine, large: Path) -> None:
    with serve_silence() as server:
        process = machine.start("put", *LOUD, "--endpoint-url", server.url, large, "s3://bucket/key")
        server.wait()
        process.send_signal(signal.SIGTERM)
        assert machine.end(process).status == 130
    machine.check()


def test_a_crash_inside(machine: Machine, recorder: Recorder, small: Path) -> None:
    """A mistake of ours, with everything that Python then prints, and the signal that dumps all threads."""
    program = machine.root / "crash.py"
    program.write_text(
        "import faulthandler, sys\n"
        "import fastput.engine.upload as upload\n"
        "def crash(self, *arguments):\n"
        "    faulthandler.dump_traceback()\n"
        "    raise ZeroDivisionError('crashed')\n"
        "upload.Upload._created = crash\n"
        "sys.argv = ['fastput', 'put', '--verbose', *sys.argv[1:]]\n"
        "from fastput.__main__ import main\n"
        "main()\n"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(program), str(small), "s3://bucket/key"], env=machine.env, cwd=machine.root,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    assert b"ZeroDivisionError" in done.stderr
    assert b"most recent call first" in done.stderr
    machine.said += [done.stdout.decode(), done.stderr.decode()]
    machine.check()


# ---- the library


def test_reprs_and_logs(machine: Machine, recorder: Recorder, small: Path) -> None:
    """What ends up in a notebook, a log or a debugger's first line."""
    program = machine.root / "library.py"
    program.write_text(
        "import logging, sys, fastput\n"
        "from fastput.store import StoreOptions\n"
        "from fastput.store.s3 import S3Store\n"
        "logging.getLogger('fastput').setLevel(logging.DEBUG)\n"
        "logging.getLogger('fastput').addHandler(logging.StreamHandler())\n"
        "with fastput.Client() as client:\n"
        "    receipt = client.put(sys.argv[1], 's3://bucket/key')\n"
        "    print(client, vars(client), receipt, receipt.to_json(), client.snapshot())\n"
        "    store = S3Store(StoreOptions())\n"
        "    store.credentials()\n"
        "    print(store, vars(store))\n"
        "    try:\n"
        "        client.put(sys.argv[1], 's3://bucket/key', upload_id='nonsense')\n"
        "    except fastput.FastputError as error:\n"
        "        print(repr(error), vars(error), error.__cause__)\n"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, str(program), str(small)], env=machine.env, cwd=machine.root, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    machine.said += [done.stdout.decode(), done.stderr.decode()]
    machine.check()


def test_nobody_else_can_read_what_is_kept(machine: Machine, recorder: Recorder, store: Scripted, large: Path) -> None:
    old = os.umask(0)
    try:
        store.script(Rule("UploadPart", "black_hole", bucket="modes", part=4))
        process = machine.start("put", "--concurrency", "2", "--part-size", "5MiB", large, "s3://modes/key")
        wait_until(lambda: any(len(left.parts) >= 3 for left in store.uploads("modes")))
        process.kill()
        machine.end(process)
    finally:
        os.umask(old)
    directory = machine.root / "state" / "fastput"
    modes = {path.name: path.stat().st_mode & 0o777 for path in [directory, *directory.iterdir()]}
    assert all(mode in (0o600, 0o700) for mode in modes.values()), modes
