"""Files of receipts: what is taken, and what is refused by which name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastput.errors import UsageError
from fastput.formats import receipt as module
from fastput.formats.receipt import Receipts, parse_line
from fastput.model import Checksum, ConfirmedPart, ObjectUri, Receipt, encode_crc

RECEIPT = Receipt(
    source="/data/\udcff.bin", bucket="bucket", key="run7/é b\n", version_id="v1", etag='"e-2"', size_bytes=30,
    crc64nvme=encode_crc(7, Checksum.CRC64NVME), checksum="crc32c", is_checked=True, is_kept=True,
    parts=(ConfirmedPart(1, 0, 20, "a", 1, "AAAAAQ=="), ConfirmedPart(2, 20, 10, "b", 2, "AAAAAg==")),
    source_stat=None, upload_id="u", started_at=1.0, ended_at=2.0, resent_bytes=0, digests={"md5": "0" * 32},
)  # fmt: skip


def line(**changes: Any) -> bytes:
    document = RECEIPT.to_dict() | changes
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode() + b"\n"


def test_a_receipt() -> None:
    shipped = parse_line(line())
    assert shipped is not None
    assert shipped.uri == ObjectUri("bucket", "run7/é b\n")
    assert (shipped.source, shipped.version_id, shipped.etag) == ("/data/\udcff.bin", "v1", '"e-2"')
    assert (shipped.size_bytes, shipped.crc64nvme, shipped.checksum) == (30, 7, "crc32c")
    assert (shipped.part_bytes, shipped.part_checksums) == ((20, 10), ("AAAAAQ==", "AAAAAg=="))
    assert shipped.digests == {"md5": "0" * 32}


def test_an_event_of_put_and_one_of_an_older_fastput() -> None:
    assert parse_line(line(event="sent")) == parse_line(line())
    old = parse_line(line(parts=..., digests=..., version_id=..., checksum=..., source=...))
    assert old is not None
    assert (old.part_bytes, old.digests, old.version_id) == ((), {}, None)


@pytest.mark.parametrize("text", [b"", b"\n", b"  \r\n", b'{"event": "summary", "sent": 3}', b'{"event": "failed"}'])
def test_lines_that_are_no_receipts_and_are_no_damage(text: bytes) -> None:
    assert parse_line(text) is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (line()[:-20], "JSON"),
        (line()[5:], "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"size_bytes": ' + b"9" * 5000 + b"}", "JSON"),
        (b"7", "object"),
        (b"{}", "size_bytes"),
        (line(size_bytes=...), "size_bytes"),
        (line(size_bytes="30"), "size_bytes"),
        (line(size_bytes=True), "size_bytes"),
        (line(size_bytes=-1), "size_bytes"),
        (line(size_bytes=3.5), "size_bytes"),
        (line(size_bytes=31), "parts"),
        (line(bucket=...), "bucket"),
        (line(bucket="a/b"), "bucket"),
        (line(bucket=""), "bucket"),
        (line(key=7), "key"),
        (line(key=""), "key"),
        (line(key="\udcff"), "UTF-8"),
        (line(key="k" * 1025), "1,024"),
        (line(etag=...), "etag"),
        (line(crc64nvme=...), "crc64nvme"),
        (line(crc64nvme="AAAA"), "crc64nvme"),
        (line(crc64nvme="!" * 12), "crc64nvme"),
        (line(version_id=3), "version_id"),
        (line(parts=7), "parts"),
        (line(parts=[7]), "parts"),
        (line(parts=[{"length_bytes": "x"}]), "length_bytes"),
        (line(parts=[{"length_bytes": 30, "checksum": "x"}]), "crc32c"),
        (line(digests=[1]), "digests"),
        (line(digests={"sha256": "abc"}), "sha256"),
        (line(digests={"sha256": 7}), "sha256"),
        (line(digests={"md5": "G" * 32}), "md5"),
    ],
)
def test_damage(text: bytes, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        parse_line(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["AAAAAA==", "0" * 32, "s3://"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(RECEIPT.to_dict())), inner),
)


@given(st.dictionaries(st.sampled_from(sorted(RECEIPT.to_dict())), anything, max_size=3), st.text(max_size=3))
def test_whatever_a_line_holds_it_is_a_receipt_or_refused(changes: dict[str, Any], cut: str) -> None:
    try:
        shipped = parse_line(json.dumps(RECEIPT.to_dict() | changes).encode() + cut.encode(errors="surrogatepass"))
    except ValueError:
        return
    assert shipped is not None
    assert shipped.size_bytes >= 0
    assert len(shipped.part_bytes) == len(shipped.part_checksums)
    assert shipped.uri.bucket


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_bytes(
        line(key="a") + line(key="b", etag="1") + b"torn\n\n" + line(key="b", etag="2") + line(key="c")[:50]
    )
    receipts = Receipts(str(path))
    places = receipts.places
    assert [(place.line, place.error is None) for place in places] == [(1, True), (3, False), (5, True), (6, False)]
    assert f"{path}, line 3: " in str(places[1].error)
    assert receipts.at(places[2]).etag == "2"  # the last of one key counts
    assert receipts.at(places[0]).uri.key == "a"
    found = receipts.find(ObjectUri("bucket", "b"))
    assert found is not None
    assert found.etag == "2"
    assert receipts.find(ObjectUri("other", "b")) is None
    receipts.close()


def test_a_file_that_is_cut_off_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    path.write_bytes(b"".join(line(key=str(number)) for number in range(100)))
    receipts = Receipts(str(path))
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="line 1"):
        receipts.at(receipts.places[0])
    receipts.close()


def test_lines_that_are_too_long_are_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_LINE_BYTES", 2000)
    path = tmp_path / "receipts.jsonl"
    good = line()
    for length in (1999, 2000, 2001, 2002, 4002, 5000):
        path.write_bytes(b"x" * (length - 1) + b"\n" + good)
        receipts = Receipts(str(path))
        assert [(place.line, place.error is None) for place in receipts.places] == [(1, False), (2, True)]
        assert receipts.at(receipts.places[1]).etag == RECEIPT.etag
        receipts.close()


@pytest.mark.parametrize("path", ["/nowhere/receipts", "/"])
def test_files_that_can_not_be_read(path: str) -> None:
    with pytest.raises(UsageError, match=path):
        Receipts(path)
