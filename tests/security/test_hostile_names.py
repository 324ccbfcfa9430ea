"""Keys, IDs and messages are a store's words: they are shown escaped, and are never places on our disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bench.servers.scripted import Rule, Scripted
from fastput.model import ObjectUri
from fastput.state import Journal, journals
from tests.fuzz.answering import Answering, http, serve
from tests.security.conftest import Machine

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x1b[31m"
KEYS = [
    "../../x", "/etc/passwd", "..", "a/../../b", "-rf", "~/x", "$(touch owned)", "`touch owned`", "a\nb", "a\rb",
    f"red{ESCAPE}", "csi\x9b31m", "nul\x00end", "bell\x07", "back\x08\x08space", "line\u2028sep", "bidi\u202etxt.exe",
    "tab\tkey", "del\x7f", "\ufeffbom", "x" * 1024, "é" * 500,
]  # fmt: skip


def is_clean(text: str) -> bool:
    """No character that a terminal would act on, but the ends of lines."""
    return not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u2029\u202e\ufeff"
                   for character in text.replace("\n", ""))  # fmt: skip


def everything(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*")}


@pytest.fixture
def server() -> Iterator[Answering]:
    with serve() as server:
        yield server


def answer(server: Answering, keys: list[str], upload_id: str) -> None:
    """A list of uploads, first as no XML can have it, then encoded."""
    listed = "<Result><Bucket>bucket</Bucket><IsTruncated>false</IsTruncated>{}</Result>"
    nodes = [f"<Upload><Key>{quote(key, safe='')}</Key><UploadId>{upload_id}</UploadId></Upload>" for key in keys]
    server.set(http(200, listed.format("\x1b").encode()), then=http(200, listed.format("".join(nodes)).encode()))


def test_keys_in_lists(machine: Machine, server: Answering) -> None:
    machine.env["AWS_ENDPOINT_URL"] = server.url
    before = everything(machine.root.parent)
    answer(server, KEYS, "id&#x9b;31m&#x85;")
    done = machine.run("uploads", "ls", "s3://bucket")
    assert (done.status, done.err) == (0, "")
    assert is_clean(done.out), ascii(done.out)
    assert len(done.out.splitlines()) == len(KEYS) + 1
    answer(server, KEYS, "id")
    told = machine.run("uploads", "ls", "s3://bucket", "--json")
    assert is_clean(told.out)
    listed = [json.loads(line).get("key") for line in told.out.splitlines()[:-1]]
    assert sorted(listed) == sorted(KEYS), "programs get them as they are"
    answer(server, KEYS, "id")
    dry = machine.run("uploads", "abort", "s3://bucket", "--older-than", "0s", "--dry-run")
    assert dry.status == 0
    assert is_clean(dry.out + dry.err)
    assert everything(machine.root.parent) - before <= {Path("machine/state/fastput")}


@pytest.mark.parametrize("key", ["../../x", "-rf", "a\nb", f"red{ESCAPE}", "csi\x9b31m\u202e"], ids=ascii)
def test_keys_of_objects(machine: Machine, store: Scripted, small: Path, key: str) -> None:
    """Given by whoever runs it, from a list that somebody else made."""
    machine.env["AWS_ENDPOINT_URL"] = store.endpoint_url
    store.script(Rule("PutObject", "status", bucket="refusing", args={"status": 403, "code": "AccessDenied"}))
    before = everything(machine.root.parent)
    for bucket in ("taking", "refusing"):
        done = machine.run("put", "--verbose", "--checksum", "none", small, f"s3://{bucket}/{key}")
        assert done.status in (0, 6), done
        assert is_clean(done.out + done.err), ascii(done.out + done.err)
    made = everything(machine.root.parent) - before
    assert all(path.parts[:2] == ("machine", "state") for path in made), made


@pytest.mark.parametrize("name", ["\x1b[31mred\ntwo\x9b31m\u202e.bin", os.fsdecode(b"\xff\x1b.bin")], ids=ascii)
def test_names_of_files(machine: Machine, store: Scripted, tmp_path: Path, name: str) -> None:
    machine.env["AWS_ENDPOINT_URL"] = store.endpoint_url
    path = tmp_path / name
    path.write_bytes(b"x")
    for options in (["--dry-run"], ["--json"], ["--verbose"]):
        done = machine.run("put", *options, path, "s3://bucket/key")
        assert done.status == 0, done
        assert is_clean(done.out + done.err), ascii(done.out + done.err)
    missing = machine.run("put", tmp_path / f"missing{name}", "s3://bucket/key")
    assert missing.status == 3
    assert is_clean(missing.err), ascii(missing.err)
    usage = machine.run("put", path, path, "s3://bucket/")
    assert usage.status == 2
    assert is_clean(usage.err), ascii(usage.err)


@pytest.mark.parametrize(
    "option", ["--endpoint-url", "--ca-bundle", "--profile", "--receipt", "--part-size", "--nonsense"]
)
def test_arguments(machine: Machine, small: Path, option: str) -> None:
    done = machine.run("put", option, f"/nowhere/{ESCAPE}\n\x9b", small, "s3://bucket/key")
    assert done.status != 0
    assert is_clean(done.out + done.err), ascii(done.err)


def test_file_names_that_a_shell_takes_for_options(machine: Machine) -> None:
    """fastput put * s3://bucket/, in a directory of somebody else."""
    for arguments in ([f"--{ESCAPE}"], [f"-{ESCAPE}\n"], ["--json=\x1b"], ["--checksum", "\x1b\n"], ["\x1b\n\x9b"]):
        done = machine.run("put", *arguments, "s3://bucket/")
        assert done.status in (2, 3), done
        assert is_clean(done.out + done.err), ascii(done.err)
        assert len(done.err.splitlines()) == 1, done.err


MESSAGE = "&#x9b;31mred&#x85;line&#x202e;" + "x" * 5_000


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("checksum", ["auto", "none"])
def test_messages_of_stores(
    machine: Machine, server: Answering, request: pytest.FixtureRequest, size: str, checksum: str
) -> None:
    path: Path = request.getfixturevalue(size)
    machine.env["AWS_ENDPOINT_URL"] = server.url
    body = f"<Error><Code>Odd{MESSAGE}</Code><Message>{MESSAGE}</Message><RequestId>{MESSAGE}</RequestId></Error>"
    for headers, status in ((b"", 6), (f"x-amz-request-id: {ESCAPE}\r\n".encode(), None)):
        server.set(http(400, body.encode(), headers))
        for options in (["--verbose"], ["--json"]):
            done = machine.run("put", *options, "--checksum", checksum, path, "s3://bucket/key")
            # The runtime takes no such header.
            assert done.status in ((status,) if status else (6, 9)), done
            assert is_clean(done.out + done.err), ascii(done.out + done.err)[:3000]


def test_headers_of_stores(machine: Machine, server: Answering, small: Path) -> None:
    machine.env["AWS_ENDPOINT_URL"] = server.url
    server.set(http(200, b"", f'ETag: "{ESCAPE}\x9b31m"\r\nx-amz-version-id: {ESCAPE}\r\n'.encode("latin-1")))
    for options in (["--verbose"], ["--json"]):
        done = machine.run("put", *options, "--checksum", "none", small, "s3://bucket/key")
        assert is_clean(done.out + done.err), ascii(done.out + done.err)[:3000]


def test_upload_ids_of_stores(machine: Machine, store: Scripted, server: Answering, large: Path) -> None:
    """They are asked for, quoted, as they are, and never end the path of a request."""
    machine.env["AWS_ENDPOINT_URL"] = server.url
    hostile = "x&amp;y=1#?/../..&#x9b;31m\t"
    created = f"<R><Bucket>b</Bucket><Key>key</Key><UploadId>{hostile}</UploadId></R>".encode()
    server.set(http(200, created), then=http(403, b"<Error><Code>AccessDenied</Code></Error>"))
    before = everything(machine.root.parent)
    done = machine.run("put", "--checksum", "none", large, "s3://bucket/key")
    assert done.status == 6, done
    assert is_clean(done.out + done.err), ascii(done.out + done.err)
    made = everything(machine.root.parent) - before
    assert all(path.parts[:2] == ("machine", "state") for path in made), made


def test_journals_are_named_by_a_digest(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for key in KEYS:
        uri = ObjectUri("../..", key)
        Journal.open(tmp_path / "state", "http://../../x", uri, f"/tmp/../{key}").close()
    names = [path.name for path in (tmp_path / "state").iterdir()]
    assert all(name.partition(".")[0].strip("0123456789abcdef") == "" for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert list(journals(tmp_path / "state")) == []
