"""What people and scripts type, and bodies that come back from a store in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.limits import MAX_KEY_BYTES
from fastput.model import ObjectUri
from fastput.store.memory import MemoryStore
from fastput.units import format_duration, format_size, parse_duration, parse_size
from tests.fuzz.support import fuzz, kept, raises_only

_words = st.sampled_from(["s3://", "S3://", "s3:", "/", "//", "arn:aws:s3:", ":", "bucket", "..", " ", "\x1b", "\udcff",
                          "é", "%2F", "?", "#", "\n", "\0", "a" * 300])  # fmt: skip
_uris = st.lists(_words, max_size=8).map("".join) | st.text(st.characters()).map(lambda text: f"s3://{text}")


@fuzz(600)
@given(_uris | st.text(st.characters()))
def test_uris(text: str) -> None:
    check_uri(text)


@kept("uri")
def test_kept_uris(data: bytes) -> None:
    check_uri(data.decode(errors="surrogateescape"))


def check_uri(text: str) -> None:
    uri = raises_only((UsageError,), lambda: ObjectUri.parse(text))
    if uri is None:
        return
    assert isinstance(uri, ObjectUri)
    assert uri.bucket
    assert ObjectUri.parse(str(uri)) == uri
    whole = raises_only((UsageError,), lambda: uri.with_key(uri.key))
    if isinstance(whole, ObjectUri):
        assert whole == uri
        assert 0 < len(whole.key.encode()) <= MAX_KEY_BYTES


_numbers = st.sampled_from(["0", "1", "-1", "1.5", "1e9", "9" * 500, "0.1", "\u0661", "1_0", "+1", ".", "1.", "0x1"])
_units = st.sampled_from(
    ["", "B", "k", "KiB", "MB", "mib", "Ti", "PB", "E", "s", "m", "h", "d", "w", " d", "days", "\n"]
)
_amounts = st.builds("{}{}".format, _numbers, _units) | st.text(max_size=10)


@fuzz(400)
@given(_amounts)
def test_sizes_and_durations(text: str) -> None:
    check_amount(text)


@kept("amount")
def test_kept_amounts(data: bytes) -> None:
    check_amount(data.decode(errors="surrogateescape"))


def check_amount(text: str) -> None:
    size_bytes = raises_only((UsageError,), lambda: parse_size(text))
    if size_bytes is not None:
        assert type(size_bytes) is int
        assert size_bytes >= 0
        format_size(size_bytes)
    duration_s = raises_only((UsageError,), lambda: parse_duration(text))
    if duration_s is not None:
        assert type(duration_s) is float
        assert duration_s >= 0
        format_duration(duration_s)


# ---- aws-chunked

VALID = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc64nvme:M3eFcAZSQlc=\r\n\r\n"
_pieces = st.sampled_from([b"5", b"0", b"-5", b"+5", b"0x5", b" 5", b"5_0", b"fffffffffffffffff", b"\r\n", b"\n",
                           b"hello",
                           b"x-amz-checksum-crc64nvme:", b"x-amz-checksum-crc32c:", b"x-amz-checksum-md5:", b";a=b",
                           b"M3eFcAZSQlc=", b"\xff", b"\0"])  # fmt: skip
_bodies = st.lists(_pieces, max_size=12).map(b"".join) | st.binary(max_size=60) | st.builds(
    lambda place, value: VALID[: place % len(VALID)] + value + VALID[place % len(VALID) + 1 :],
    st.integers(0, 99), st.binary(max_size=2),
)  # fmt: skip


@fuzz(800)
@given(_bodies)
def test_chunked_bodies(body: bytes) -> None:
    check_chunked(body)


@kept("chunked")
def test_kept_chunked_bodies(data: bytes) -> None:
    check_chunked(data)


def check_chunked(body: bytes) -> None:
    store = MemoryStore()
    headers = {"x-amz-trailer": "x-amz-checksum-crc64nvme"}
    answer = raises_only((), lambda: store.receive("/bucket/key", headers, body))
    assert isinstance(answer, tuple)
    assert answer[0] in (200, 400)
    if answer[0] == 200:
        # It was framed as S3 frames it: what was taken is in there, in the pieces' order.
        data = store.objects["s3://bucket/key"]
        assert not data or data[:1] in body
        assert body.endswith(b"\r\n")


def test_the_valid_one_is_taken() -> None:
    store = MemoryStore()
    assert store.receive("/bucket/key", {"x-amz-trailer": "x"}, VALID)[0] == 200
    assert store.objects["s3://bucket/key"] == b"hello"


@fuzz(200)
@given(st.text(max_size=30), st.dictionaries(st.sampled_from(["content-md5", "if-none-match"]), st.text(max_size=30)))
def test_requests_that_make_no_sense(path: str, headers: dict[str, str]) -> None:
    answer = raises_only((), lambda: MemoryStore().receive(path, headers, b"data"))
    assert isinstance(answer, tuple)
    assert answer[0] in (200, 400, 404, 412)
