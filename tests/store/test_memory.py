"""The store in memory that ships for tests: it has to be as strict as a real one."""

from __future__ import annotations

import pytest

from fastput.errors import FastputError
from fastput.model import Checksum, ConfirmedPart, ObjectAttributes, ObjectUri, decode_crc
from fastput.native.slicer import MemoryBody
from fastput.store.memory import MemoryStore
from tests.support.content import MIB, content, crc32c_base64, crc64nvme_base64

URI = ObjectUri("bucket", "key")
PATH = "/bucket/key"
FRAMED = {"x-amz-trailer": "x-amz-checksum"}


@pytest.mark.parametrize("trailer", [None, "crc64nvme", "crc32c"])
@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 70_000, MIB])
def test_bodies_are_decoded(size_bytes: int, trailer: str | None) -> None:
    """Was a bug: a part above 64 KiB has several aws-chunks, and the store could decode only one."""
    store = MemoryStore()
    status, headers, _ = store.receive(PATH, FRAMED if trailer else {}, MemoryBody(content(size_bytes), trailer).read())
    assert (status, set(headers)) == (200, {"etag"})
    assert store.objects == {"s3://bucket/key": content(size_bytes)}


@pytest.mark.parametrize("place", [10, 500, -20])
def test_a_flipped_bit_is_refused(place: int) -> None:
    store = MemoryStore()
    body = bytearray(MemoryBody(content(1000), "crc64nvme").read())
    body[place] ^= 1
    status, _, answer = store.receive(PATH, FRAMED, bytes(body))
    assert status == 400
    assert b"BadDigest" in answer
    assert store.objects == {}


def test_content_that_looks_framed_but_is_not() -> None:
    """Was a bug: any body that ends in two line ends was decoded, and failed with a ValueError, so
    that MemoryTransport never answered."""
    store = MemoryStore()
    assert store.receive(PATH, {}, b"a text\r\n\r\n")[0] == 200
    assert store.objects == {"s3://bucket/key": b"a text\r\n\r\n"}


def upload(store: MemoryStore, pieces: list[bytes]) -> tuple[str, list[ConfirmedPart]]:
    upload_id = store.create(URI, ObjectAttributes(), Checksum.CRC64NVME)
    parts, offset_bytes = [], 0
    for number, piece in enumerate(pieces, start=1):
        status, headers, _ = store.receive(f"{PATH}?partNumber={number}&uploadId={upload_id}", {}, piece)
        assert status == 200
        crc = crc64nvme_base64(piece)
        parts.append(ConfirmedPart(number, offset_bytes, len(piece), headers["etag"], decode_crc(crc), crc))
        offset_bytes += len(piece)
    return upload_id, parts


PIECES = [content(100, seed) for seed in (1, 2, 3)]
WHOLE = b"".join(PIECES)


def test_complete() -> None:
    store = MemoryStore()
    upload_id, parts = upload(store, PIECES)
    assert store.objects == {}
    store.complete(URI, upload_id, parts, 300, Checksum.CRC64NVME, crc64nvme_base64(WHOLE), False)
    assert store.objects == {"s3://bucket/key": WHOLE}
    assert store.uploads == {}


@pytest.mark.parametrize("wrong", ["checksum", "size", "etag", "id", "missing", "clobber"])
def test_complete_refuses(wrong: str) -> None:
    store = MemoryStore()
    upload_id, parts = upload(store, PIECES)
    checksum, size_bytes = crc64nvme_base64(WHOLE), 300
    if wrong == "checksum":
        checksum = crc64nvme_base64(b"other")
    elif wrong == "size":
        size_bytes = 301
    elif wrong == "etag":
        parts[0] = ConfirmedPart(1, 0, 100, '"other"', 0, None)
    elif wrong == "id":
        upload_id = "none"
    elif wrong == "missing":
        parts.append(ConfirmedPart(4, 300, 0, '"d"', 0, None))
    else:
        store.objects[str(URI)] = b"here"
    with pytest.raises(FastputError):
        store.complete(URI, upload_id, parts, size_bytes, Checksum.CRC64NVME, checksum, wrong == "clobber")
    assert WHOLE not in store.objects.values()


def test_crc32c_of_the_whole() -> None:
    store = MemoryStore()
    upload_id, parts = upload(store, PIECES)
    store.complete(URI, upload_id, parts, 300, Checksum.CRC32C, crc32c_base64(WHOLE), False)
    assert store.objects == {"s3://bucket/key": WHOLE}


def test_an_aborted_upload_takes_no_parts() -> None:
    store = MemoryStore()
    upload_id, _ = upload(store, PIECES)
    store.abort(URI, upload_id)
    status, _, answer = store.receive(f"{PATH}?partNumber=1&uploadId={upload_id}", {}, b"")
    assert status == 404
    assert b"NoSuchUpload" in answer
