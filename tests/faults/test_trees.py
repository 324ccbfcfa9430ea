"""Directories of small files through the faults that one small object meets: each file has one end, the right one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fastput
from bench import fault_cases
from bench.fault_cases import OBJECT, PART_BYTES, Case
from bench.fault_runs import closing, profile_name, write_profiles
from bench.leaks import Held
from bench.servers.scripted import Scripted
from fastput.client.trees import TreeEvents
from fastput.errors import FastputError
from fastput.tree.ship import ShipOptions
from fastput.tree.transfer import TransferOptions
from tests.support.content import content

FILES = 40
WITHIN_S = 100


class Told(TreeEvents):
    def __init__(self) -> None:
        self.sent_paths: list[bytes] = []
        self.errors: dict[bytes, FastputError] = {}

    def sent(self, send: Any, receipt: fastput.Receipt) -> None:
        self.sent_paths.append(send.found.path)

    def failed(self, path: bytes, error: FastputError) -> None:
        self.errors[path] = error


def cases() -> Iterator[Any]:
    for case in fault_cases.load():
        meets_it = any("PutObject" in rule.operation or rule.operation == "*" for rule in case.rules)
        if "small" in case.expected and (meets_it or case.network is not None) and not case.put:
            yield pytest.param(case, id=case.name)


@pytest.mark.parametrize("case", list(cases()))
def test_each_file_has_one_end(
    case: Case, server: Scripted, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if case.has_renewed_credentials:
        write_profiles(tmp_path, [1])
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", profile_name(1))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    tree = tmp_path / "tree"
    tree.mkdir()
    files = {b"f%02d" % number: content(500 * number, number) for number in range(FILES)}
    for name, data in files.items():
        (tree / name.decode()).write_bytes(data)
    expected, before, told = case.expected["small"], Held(), Told()
    options: dict[str, Any] = {"part_size": PART_BYTES, "state_dir": tmp_path / "state", **case.client}
    with fault_cases.scene([case], server, bucket, None) as scene, ThreadPoolExecutor(1) as pool:
        client = fastput.Client(endpoint_url=scene.url, **options)
        try:
            # A fault that ends all of them needn't be met by each.
            transfer = TransferOptions(ship=ShipOptions(most_errors=None if expected.outcomes == {OBJECT} else 3))
            running = pool.submit(client.transfer, tree, f"s3://{bucket}/", transfer, told)
            report = running.result(WITHIN_S)
        except BaseException:
            client.cancel("too late")
            raise
        finally:
            assert not closing(client)
        del client
    assert report.planned == FILES == report.sent + report.failed + sum(report.skipped.values())
    assert (report.sent, report.failed) == (len(told.sent_paths), len(told.errors))
    assert len(set(told.sent_paths)) == len(told.sent_paths)
    for path in told.sent_paths:
        stored = server.object(bucket, path.decode())
        assert stored is not None
        assert stored.sha256 == hashlib.sha256(files[path]).hexdigest()
    if expected.outcomes == {OBJECT}:
        assert report.sent == FILES, told.errors
    assert {type(error).__name__ for error in told.errors.values()} <= expected.outcomes - {OBJECT}
    if case.network is None:
        assert not before.wait_until_released()
