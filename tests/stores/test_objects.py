"""Whatever goes in comes out: sizes, sources, keys, with fastput's defaults on every store."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastput
from fastput.errors import FastputError
from tests.stores.conftest import Bucket
from tests.stores.facts import KEYS, Facts, raises
from tests.support.content import MIB, content

SECONDS = 120
SIZES = {"empty": 0, "1 byte": 1, "100 KB": 100_000, "16 MiB": 16 * MIB, "16 MiB + 1": 16 * MIB + 1}


@pytest.mark.parametrize("size_bytes", SIZES.values(), ids=SIZES)
def test_a_file(client: fastput.Client, bucket: Bucket, tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content(size_bytes))
    bucket.expect(content(size_bytes), client.put(path, bucket.uri()))


def test_many_parts(five: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    data = content(40 * MIB)
    path = tmp_path / "file"
    path.write_bytes(data)
    receipt = five.put(path, bucket.uri())
    assert [part.length_bytes for part in receipt.parts] == [5 * MIB] * 8
    bucket.expect(data, receipt)


@pytest.mark.parametrize("size_bytes", [0, 1, 100_000, 5 * MIB, 13 * MIB + 1])
def test_a_stream(five: fastput.Client, bucket: Bucket, tmp_path: Path, size_bytes: int) -> None:
    """Through a pipe: nobody knows its length before its end."""
    path = tmp_path / "file"
    path.write_bytes(content(size_bytes))
    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        receipt = five.put(process.stdout, bucket.uri())
    bucket.expect(content(size_bytes), receipt)


def test_an_array(five: fastput.Client, bucket: Bucket) -> None:
    image = np.arange(3_000 * 1_000, dtype=">i4").reshape(3_000, 1_000)  # 11.4 MiB, three parts
    bucket.expect(image.tobytes(), five.put(image, bucket.uri()))
    bucket.expect(image[:10].tobytes(), five.put(image[:10], bucket.uri("strip")), "strip")


@pytest.mark.parametrize("kind", KEYS)
def test_a_key(client: fastput.Client, bucket: Bucket, facts: Facts, kind: str) -> None:
    key = KEYS[kind]
    is_refused = kind in facts.refuses_keys
    with raises(FastputError, is_refused):
        bucket.expect(b"data", client.put(b"data", bucket.uri(key)), key)
    assert is_refused or len(bucket.listed()) == 1


def test_a_key_of_several_parts(five: fastput.Client, bucket: Bucket) -> None:
    key = "run 7/100%+ä&?#"
    data = content(6 * MIB)
    bucket.expect(data, five.put(data, bucket.uri(key)), key)


def test_side_by_side(client: fastput.Client, bucket: Bucket, tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    futures = []
    for number in range(20):
        key = f"{number:02}"
        files[key] = content(10_000 * number, seed=number)
        (tmp_path / key).write_bytes(files[key])
        futures.append(client.submit(tmp_path / key, bucket.uri("many/")))
    receipts = {done.result().key: done.result() for done in fastput.as_completed(futures, timeout=SECONDS)}
    assert set(receipts) == {f"many/{key}" for key in files}
    for key, data in files.items():
        bucket.expect(data, receipts[f"many/{key}"], f"many/{key}")


def test_an_object_is_replaced(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    five.put(b"first", bucket.uri())
    bucket.expect(data, five.put(path, bucket.uri()))
    bucket.expect(b"third", five.put(b"third", bucket.uri()))
