"""What a store says no to, or should: errors are of the right class, and leave all as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastput
from fastput.errors import CredentialsError, NoSuchBucket, ObjectExists
from tests.stores.conftest import Bucket, Store
from tests.stores.facts import Facts, raises
from tests.support.content import MIB


def test_no_clobber(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    bucket.expect(data, five.put(path, bucket.uri(), no_clobber=True))
    before = bucket.s3.head_object(Bucket=bucket.name, Key="key")
    for other in (b"other", bytes(len(data)), bytes(6 * MIB)):
        with pytest.raises(ObjectExists) as caught:
            five.put(other, bucket.uri(), no_clobber=True)
        assert (caught.value.bucket, caught.value.key) == (bucket.name, "key")
    bucket.expect(data)
    after = bucket.s3.head_object(Bucket=bucket.name, Key="key")
    assert (after["LastModified"], after["ETag"]) == (before["LastModified"], before["ETag"])


def test_no_clobber_minds_its_own_key_only(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    five.put(b"neighbour", bucket.uri("key.txt"))
    bucket.expect(data, five.put(path, bucket.uri(), no_clobber=True))
    bucket.expect(b"neighbour", key="key.txt")


def test_a_missing_bucket(five: fastput.Client, bucket: Bucket, path: Path) -> None:
    missing = f"{bucket.name[:40]}-missing"
    with pytest.raises(NoSuchBucket) as caught:
        five.put(path, f"s3://{missing}/key")
    assert (caught.value.bucket, caught.value.exit_status) == (missing, 6)


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys(
    store: Store,
    facts: Facts,
    bucket: Bucket,
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
) -> None:
    """On first contact, when fastput doesn't know the store yet."""
    monkeypatch.setenv(wrong, "wrong")
    options = {**store.options, "state_dir": tmp_path / "state", "part_size": 5 * MIB}
    with fastput.Client(**options) as client, raises(CredentialsError, facts.checks_keys):
        client.put(path, bucket.uri())
    assert bucket.listed() == (set() if facts.checks_keys else {"key"})
    bucket.expect_no_upload()


def test_wrong_keys_later(
    store: Store, five: fastput.Client, facts: Facts, bucket: Bucket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same when it knows it."""
    five.put(path, bucket.uri())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with (
        fastput.Client(part_size=5 * MIB, **store.options) as client,
        raises(CredentialsError, facts.checks_keys),
    ):
        client.put(path, bucket.uri("other"))
    bucket.expect_no_upload()
