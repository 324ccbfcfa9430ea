"""What the user wants an object to carry."""

from __future__ import annotations

from pathlib import Path

import fastput
from tests.stores.conftest import Bucket
from tests.stores.facts import Facts, raises

TAGS = {"a key": "é+=/", "b": ""}


def test_content_type_and_metadata(five: fastput.Client, bucket: Bucket, path: Path, data: bytes) -> None:
    metadata = {"telescope": "T1", "Mixed-Case": "a, b; c"}
    receipt = five.put(path, bucket.uri(), content_type="image/fits", metadata=metadata)
    bucket.expect(data, receipt)
    head = bucket.s3.head_object(Bucket=bucket.name, Key="key")
    assert head["ContentType"] == "image/fits"
    # Their names are those of HTTP headers: upper and lower case are the same.
    carried = {name.lower(): value for name, value in head["Metadata"].items()}
    assert carried == {name.lower(): value for name, value in metadata.items()}


def test_tags(five: fastput.Client, bucket: Bucket, facts: Facts, path: Path, data: bytes, way: str) -> None:
    """Stores that know no tags drop them without a word, and the object is there all the same."""
    bucket.expect(data, five.put(path, bucket.uri(), tags=TAGS))
    is_kept = way in facts.tags
    with raises(AssertionError, not is_kept):
        assert bucket.s3.head_object(Bucket=bucket.name, Key="key").get("TagCount") == len(TAGS)
        tags = bucket.s3.get_object_tagging(Bucket=bucket.name, Key="key")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == TAGS


def test_nothing_asked_for(five: fastput.Client, bucket: Bucket, path: Path) -> None:
    five.put(path, bucket.uri())
    assert bucket.s3.head_object(Bucket=bucket.name, Key="key")["Metadata"] == {}
