"""What the fuzzing tests share: how much, how long, kept seeds, and bytes that nearly make sense.

FASTPUT_FUZZ_EXAMPLES=20000 python -m pytest tests/fuzz looks further than a run of all tests does, and elsewhere each
time. What it finds goes as a file into corpus/, under the name of the test that reads it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
_ASKED_FOR = os.environ.get("FASTPUT_FUZZ_EXAMPLES")
# No example takes longer on the slowest machine, unless it hangs.
ENDS_WITHIN_S = 20.0


def fuzz(examples: int) -> settings:
    """The same examples each time, or as many others as were asked for."""
    return settings(
        max_examples=int(_ASKED_FOR or examples),
        derandomize=_ASKED_FOR is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


@contextlib.contextmanager
def ends() -> Iterator[None]:
    """Raises in the main thread's code that doesn't end."""

    def give_up(number: int, frame: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, ENDS_WITHIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def kept(*names: str) -> pytest.MarkDecorator:
    """Parametrizes "data" with the bytes of corpus/<name>-*; where there are several names, "name" with each."""
    found = []
    for name in names:
        paths = sorted(CORPUS.glob(f"{name}-*"))
        assert paths, f"there is nothing in {CORPUS} for {name}"
        found += [(name, path) for path in paths]
    if len(names) == 1:
        return pytest.mark.parametrize("data", [pytest.param(path.read_bytes(), id=path.name) for _, path in found])
    return pytest.mark.parametrize(
        ("name", "data"), [pytest.param(name, path.read_bytes(), id=path.name) for name, path in found]
    )


# ---- documents

NAMES = [
    *("Error", "Code", "Message", "RequestId", "Region", "HostId"),
    *("ListPartsResult", "Part", "PartNumber", "Size", "ETag", "LastModified", "IsTruncated", "NextPartNumberMarker"),
    *("ListMultipartUploadsResult", "Upload", "UploadId", "Key", "Bucket", "Initiated", "NextKeyMarker", "MaxUploads"),
    *("NextUploadIdMarker", "EncodingType", "Prefix", "CommonPrefixes", "ChecksumCRC64NVME", "ChecksumType"),
    *("InitiateMultipartUploadResult", "CompleteMultipartUploadResult", "Location", "Parts", "Checksum", "Owner"),
    *("GetObjectAttributesResponse", "ObjectParts", "ObjectSize"),
]
TEXTS = [
    *("", "0", "1", "-1", "10001", "1000000000", "9223372036854775808", "9" * 5000, "1.5", "1e9", "0x10", "NaN"),
    *("\u0661", "1_0", "+1"),
    *("true", "false", "TRUE", "maybe", "2026-01-01T00:00:00.000Z", "2026-13-41T25:61:61Z", "yesterday", "-1e400"),
    *("9" * 30, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("NoSuchUpload", "NoSuchKey", "NoSuchBucket", "SlowDown", "PreconditionFailed", "PermanentRedirect"),
    *("eu-west-1", "eu; rm -rf", "../../x", "a%2Fb", "%", "%zz", "\x9b31m", "\u202e", "\ufffd", "&amp;", "]]>", "\t\n"),
    *("&lt;a&gt;", "<![CDATA[<x>]]>", "<!-- no -->", "<?pi?>", "x" * 20_000, "FULL_OBJECT", "COMPOSITE", "url", '"a"'),
]  # fmt: skip
_names = st.sampled_from(NAMES)
_texts = st.sampled_from(TEXTS) | st.text(max_size=20).map(
    lambda text: text.translate({ord("<"): "&lt;", ord("&"): "&amp;"})
)


def _element(name: str, attributes: str, children: list[str]) -> str:
    return f"<{name}{attributes}>{''.join(children)}</{name}>"


_attributes = st.sampled_from(["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' a="1" a2="2"', ' xmlns:x="y"'])
_trees = st.recursive(
    st.builds(lambda name, text: f"<{name}>{text}</{name}>", _names, _texts),
    lambda inner: st.builds(_element, _names, _attributes, st.lists(inner, max_size=6)),
    max_leaves=20,
)
_heads = st.sampled_from(["", "", '<?xml version="1.0" encoding="UTF-8"?>\n', "<?xml version='1.1'?>",
                          "<?xml version='1.0' encoding='utf-16'?>", "<?xml version='1.0' encoding='nonsense'?>",
                          "<!DOCTYPE a [<!ENTITY b 'c'>]>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
                          "\ufeff"])  # fmt: skip


def document(*valid: str) -> st.SearchStrategy[bytes]:
    """XML that says strange things, is cut, bent, or no XML; or one of the valid ones with a text in it exchanged."""
    made = st.builds(lambda head, tree: (head + tree).encode(errors="surrogatepass"), _heads, _trees)
    whole = st.sampled_from([text.encode() for text in valid])
    exchanged = st.builds(_exchange, st.sampled_from(valid), st.integers(0, 1 << 16), _texts)
    bent = st.builds(_bend, made | whole, st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=4))
    cut = st.builds(lambda data, length: data[: length % (len(data) + 1)], made | whole, st.integers(0, 1 << 20))
    return st.one_of(made, exchanged, exchanged, bent, cut, st.binary(max_size=200))


def _exchange(text: str, place: int, value: str) -> bytes:
    """Another text in one of the innermost elements."""
    import re

    inner = list(re.finditer(r">([^<>]*)</", text))
    match = inner[place % len(inner)]
    return (text[: match.start(1)] + value + text[match.end(1) :]).encode(errors="surrogatepass")


def _bend(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    bent = bytearray(data)
    for place, value in changes:
        if bent:
            bent[place % len(bent)] = value
    return bytes(bent)


# Any value that JSON has, small.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, float("inf"), "\ud800", "x" * 2000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


def bent_json(valid: object) -> st.SearchStrategy[object]:
    """A valid document with one of its values exchanged, or taken away."""
    places = list(_places(valid, ()))
    return st.builds(lambda place, value, removes: _replace(valid, place, value, removes),
                     st.sampled_from(places), JSON, st.booleans())  # fmt: skip


def _places(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*path, number))


def _replace(value: object, place: tuple[str | int, ...], new: object, removes: bool) -> object:
    import copy

    whole = copy.deepcopy(value)
    inner: object = whole
    for step in place[:-1]:
        inner = inner[step]  # type: ignore[index]
    if removes:
        del inner[place[-1]]  # type: ignore[attr-defined]
    else:
        inner[place[-1]] = new  # type: ignore[index]
    return whole


def raises_only(allowed: tuple[type[BaseException], ...], work: Callable[[], object]) -> object:
    """What work returns, or None if it raised one of these; everything else goes through."""
    with ends():
        try:
            return work()
        except allowed:
            return None
