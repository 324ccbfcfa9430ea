"""What proves what, without a store."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from fastput.client.proof import (
    DIGEST_BYTES,
    MAX_GUESSES,
    Outcome,
    claims,
    digest_of_digests,
    guess_part_bytes,
    judge_shipped,
    needs_first_part,
    uniform,
)
from fastput.formats.receipt import Shipped
from fastput.limits import MIB
from fastput.model import ObjectInfo, ObjectUri, decode_crc
from tests.support.content import content, crc32c_base64, crc64nvme_base64

URI = ObjectUri("bucket", "key")
MD5 = hashlib.md5(b"some").hexdigest()
OTHER = hashlib.md5(b"other").hexdigest()


def info(etag: str = "", size_bytes: int = 100, **more: Any) -> ObjectInfo:
    return ObjectInfo(size_bytes, etag, None, 0.0, **more)


def encoded(name: str) -> str:
    return base64.b64encode(b"\1" * DIGEST_BYTES[name]).decode()


def found(said: ObjectInfo, uri: ObjectUri = URI) -> list[str]:
    return [claim.proof for claim in claims(said, uri)]


def test_the_cheapest_comes_first_and_whole_ones_before_those_of_parts() -> None:
    kept = {name: encoded(name) for name in reversed(DIGEST_BYTES)}
    assert found(info(f'"{MD5}"', checksums=kept)) == [*DIGEST_BYTES, "md5 etag"]
    kept = {"crc32c": encoded("crc32c") + "-3", "crc64nvme": encoded("crc64nvme")}
    assert found(info(f'"{MD5}-3"', checksums=kept)) == ["crc64nvme", "crc32c of 3 parts", "md5 etag of 3 parts"]


@pytest.mark.parametrize(
    ("text", "is_composite"),
    [
        (encoded("sha256"), True),  # of how many parts?
        (encoded("sha1"), False),  # too short
        ("", False),
        ("no base64!", False),
        (encoded("sha256") + "-0", False),
        (encoded("sha256") + "-three", False),
    ],
)
def test_checksums_that_say_nothing(text: str, is_composite: bool) -> None:
    assert found(info(checksums={"sha256": text}, is_composite=is_composite)) == []


def test_checksums_of_parts_that_do_not_say_so() -> None:
    """moto gives neither a type nor "-N"; nor did stores before there were checksums of whole objects of parts."""
    said = info(f'"{MD5}-3"', checksums={"sha256": encoded("sha256"), "crc64nvme": encoded("crc64nvme")})
    whole, of_parts, etag = claims(said, URI)
    assert (whole.proof, of_parts.proof, etag.proof) == ("crc64nvme", "sha256 of 3 parts", "md5 etag of 3 parts")
    assert (whole.is_certain, of_parts.is_certain, etag.is_certain) == (True, False, True)
    assert found(replace(said, is_full_object=True))[:2] == ["crc64nvme", "sha256"]
    assert [claim.is_certain for claim in claims(replace(said, is_composite=True), URI)] == [True] * 3


def test_a_crc64nvme_is_never_of_parts() -> None:
    assert found(info(checksums={"crc64nvme": encoded("crc64nvme") + "-2"})) == []


@pytest.mark.parametrize("etag", ["", '"abc"', f'"{MD5}-"', f'"{MD5}-0"', f'"{MD5}-x"', f'"{MD5[:-1]}g"', '"-3"'])
def test_etags_that_are_no_md5s(etag: str) -> None:
    assert found(info(etag)) == []


def test_etags_that_only_look_like_md5s() -> None:
    assert found(info(f'"{MD5}"', is_etag_opaque=True)) == []
    assert found(info(f'"{MD5}-3"', is_etag_opaque=True)) == []
    assert found(info(f'"{MD5}"'), ObjectUri("run7--use1-az4--x-s3", "key")) == []


def test_digests_of_digests() -> None:
    parts = [content(100, 1), content(100, 2)]
    crcs = [base64.b64decode(crc32c_base64(part)) for part in parts]
    assert base64.b64encode(digest_of_digests("crc32c", crcs)).decode() == crc32c_base64(b"".join(crcs))
    hashes = [hashlib.sha1(part).digest() for part in parts]
    assert digest_of_digests("sha1", hashes) == hashlib.sha1(b"".join(hashes)).digest()


@pytest.mark.parametrize(
    ("size_bytes", "part_bytes"),
    [
        (10 << 30, 8 * MIB),  # ours, and aws s3 cp's
        (10 << 30, 5 * MIB),  # rclone
        (10 << 30, 50 * MIB),  # s5cmd
        ((10 << 30) + 1, 16 * MIB),
        (13 * MIB, 5 * MIB),
        (100 << 30, 100 * 1_000_000),
        (300 << 30, 31 * MIB),  # a client that rounds up size / 10,000
    ],
)
def test_guesses(size_bytes: int, part_bytes: int) -> None:
    parts = len(uniform(size_bytes, part_bytes))
    guesses = guess_part_bytes(size_bytes, parts)
    assert part_bytes in guesses
    assert len(guesses) <= MAX_GUESSES
    assert all(len(uniform(size_bytes, guess)) == parts for guess in guesses)


def test_guesses_of_what_can_not_be_cut() -> None:
    assert guess_part_bytes(100, 1) == [100]
    assert guess_part_bytes(100, 10_000) == []


# ---- receipts

DATA = content(300)
SHIPPED = Shipped(
    source="file",
    uri=URI,
    version_id=None,
    etag=f'"{MD5}-2"',
    size_bytes=300,
    crc64nvme=decode_crc(crc64nvme_base64(DATA)),
    checksum="crc32c",
    part_bytes=(200, 100),
    part_checksums=(crc32c_base64(DATA[:200]), crc32c_base64(DATA[200:])),
    digests={"sha256": hashlib.sha256(DATA).hexdigest()},
)


def judged(said: ObjectInfo, shipped: Shipped = SHIPPED, first_part_bytes: int | None = None) -> tuple[Outcome, str]:
    judgement = judge_shipped(shipped, said, URI, first_part_bytes)
    assert bool(judgement.detail) == (judgement.outcome is not Outcome.SAME)
    return judgement.outcome, judgement.proof


@pytest.mark.parametrize("is_right", [True, False])
def test_a_receipt_and_a_checksum(is_right: bool) -> None:
    data = DATA if is_right else DATA[:-1] + b"x"
    outcome = Outcome.SAME if is_right else Outcome.DIFFERS
    kept = {
        "crc64nvme": crc64nvme_base64(data),
        "crc32c": crc32c_base64(data),
        "sha256": base64.b64encode(hashlib.sha256(data).digest()).decode(),
    }
    for name, value in kept.items():
        # The ETag doesn't matter where there is a checksum: an object that was copied has another.
        assert judged(info("x", 300, checksums={name: value})) == (outcome, name)
    assert judged(info(SHIPPED.etag, 300, checksums=kept)) == (outcome, "crc64nvme")


def test_a_receipt_and_another_size() -> None:
    kept = {"crc64nvme": crc64nvme_base64(DATA)}
    assert judged(info(SHIPPED.etag, 299, checksums=kept)) == (Outcome.DIFFERS, "size")


def test_a_receipt_and_checksums_that_it_does_not_know() -> None:
    kept = {"crc32": encoded("crc32"), "sha1": encoded("sha1") + "-2"}
    assert judged(info(SHIPPED.etag, 300, checksums=kept)) == (Outcome.SAME, "etag")
    assert judged(info(f'"{OTHER}"', 300, checksums=kept)) == (Outcome.UNPROVEN, "")


def test_a_receipt_and_an_etag_of_one_part() -> None:
    single = replace(SHIPPED, etag=f'"{MD5}"', part_bytes=(300,), part_checksums=(None,))
    assert judged(info(MD5.upper(), 300), single) == (Outcome.SAME, "md5 etag")
    assert judged(info(f'"{OTHER}"', 300), single) == (Outcome.DIFFERS, "md5 etag")
    assert judged(info(f'"{OTHER}"', 300, is_etag_opaque=True), single) == (Outcome.UNPROVEN, "")
    with_md5 = replace(SHIPPED, digests={"md5": MD5})
    assert judged(info(f'"{MD5}"', 300), with_md5) == (Outcome.SAME, "md5 etag")


def test_a_receipt_and_an_etag_of_parts() -> None:
    assert judged(info(SHIPPED.etag, 300)) == (Outcome.SAME, "etag")
    other = info(f'"{OTHER}-2"', 300)
    assert needs_first_part(SHIPPED, other)
    assert judged(other, first_part_bytes=200) == (Outcome.DIFFERS, "md5 etag of 2 parts")
    # The same bytes, sent again in other parts, have another ETag: that proves nothing.
    assert judged(other, first_part_bytes=150) == (Outcome.UNPROVEN, "")
    assert judged(other, first_part_bytes=None) == (Outcome.UNPROVEN, "")
    for said in (info(f'"{OTHER}-3"', 300), info(f'"{OTHER}"', 300), info("", 300)):
        assert not needs_first_part(SHIPPED, said)
        assert judged(said, first_part_bytes=200) == (Outcome.UNPROVEN, "")


def test_a_receipt_without_etag_and_an_object_without_etag() -> None:
    assert judged(info("", 300), replace(SHIPPED, etag="")) == (Outcome.UNPROVEN, "")
