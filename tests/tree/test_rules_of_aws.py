"""The same selection as `aws s3 sync --dryrun`, on trees and rules that are made up."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.servers import listing
from fastput.tree.select import Rule, Selection
from fastput.tree.walk import Found, walk
from tests.support.cli import environment
from tests.tree.trees import make

AWS = shutil.which("aws", path=str(Path(sys.executable).parent)) or shutil.which("aws")
pytestmark = pytest.mark.skipif(AWS is None, reason="the aws command isn't installed: pip install awscli")

names = st.text("ab.-", min_size=1, max_size=3).filter(lambda name: name.strip("."))
trees = st.recursive(
    st.dictionaries(names.map(str.encode), st.just(b"x"), min_size=1, max_size=4),
    lambda below: st.dictionaries(names.map(str.encode), st.just(b"x") | below, min_size=1, max_size=4),
    max_leaves=12,
)
patterns = st.one_of(
    names,
    st.text("ab.-*?/", min_size=1, max_size=5),
    st.sampled_from(["*", "*/*", "a/*", "*.a", "[ab]", "[!a]*", "[a", "a*/b", "**"]),
).filter(lambda pattern: not pattern.startswith(("/", "-")))
rules = st.lists(st.builds(Rule, st.booleans(), patterns), max_size=4)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of an empty bucket: everything that is selected would be sent."""
    with listing.serve(0) as url:
        yield url


@settings(max_examples=40, deadline=None)
@given(trees, rules)
def test_beside_aws(url: str, tree: dict[bytes, bytes], some: list[Rule]) -> None:
    with tempfile.TemporaryDirectory(prefix="rules") as directory:
        root = Path(directory, "root")
        make(root, tree)
        selection = Selection(some)
        found = walk(root, enters=lambda path: selection.enters(path.decode()))
        mine = {item.path.decode() for item in found if isinstance(item, Found) and selection.takes(item.path.decode())}
        assert mine == by_aws(url, root, some)


def by_aws(url: str, root: Path, some: list[Rule]) -> set[str]:
    arguments = [
        word for rule in some for word in (f"--{'include' if rule.is_include else 'exclude'}", rule.pattern)
    ]
    assert AWS is not None
    command = [AWS, "s3", "sync", "--dryrun", str(root), "s3://bucket/", "--endpoint-url", url, *arguments]
    env = environment(None, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="us-east-1")
    done = subprocess.run(command, env=env, capture_output=True, check=True, text=True, timeout=60)
    return {line.rpartition(" to s3://bucket/")[2] for line in done.stdout.splitlines() if "upload:" in line}
