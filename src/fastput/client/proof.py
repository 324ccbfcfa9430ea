"""What proves that an object is a file, from what the store says of it: pure.

A checksum of the whole object that the store keeps decides. A checksum of the parts' checksums, and an ETag of the form
MD5-N, can be computed too if it is known how the object was cut: if the cut is only guessed, agreement proves
that the object is the file, and disagreement proves nothing.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from fastput.engine.plan import make_plan
from fastput.engine.resume import is_md5
from fastput.errors import UsageError
from fastput.formats.receipt import Shipped
from fastput.limits import AMAZON_S3, MIB
from fastput.model import ObjectInfo, ObjectUri, decode_crc
from fastput.native.crc import crc32c, crc32c_combine
from fastput.tuner import Settings

# Cheapest first; and the length of each in bytes.
DIGEST_BYTES = {"crc64nvme": 8, "crc32c": 4, "crc32": 4, "sha1": 20, "sha256": 32, "sha512": 64, "md5": 16}
_OF_PARTS = re.compile(r"(?P<value>.+)-(?P<parts>[1-9][0-9]{0,4})")
# What other clients cut objects into, as far as it isn't a rule of their own, in MiB and the most frequent first.
_LIKELY_MIB = (8, 5, 16, 10, 64, 32, 50, 100, 128, 15, 20, 25, 256, 512, 1024, 6, 7, 12, 24, 40, 48, 80, 96, 200)
# Each guess costs a pass over the file.
MAX_GUESSES = 8


class Outcome(enum.Enum):
    SAME = "same"
    DIFFERS = "differs"
    MISSING = "missing"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the store says of the object's bytes.

    Attributes:
        parts: None: value is the digest of all bytes; a number: it is the digest of the digests of so many parts.
        is_certain: the store says so; otherwise only agreement proves something.
    """

    algorithm: str
    value: bytes
    parts: int | None
    is_etag: bool = False
    is_certain: bool = True

    @property
    def proof(self) -> str:
        """By what something is proven that agrees with it, in words: "crc64nvme", "md5 etag of 3 parts"."""
        name = f"{self.algorithm} etag" if self.is_etag else self.algorithm
        return name if self.parts is None else f"{name} of {self.parts} parts"

    def agrees(self, digests: Sequence[bytes]) -> bool:
        """Whether these are the digests of the parts, or the one of the whole."""
        if self.parts is None:
            return list(digests) == [self.value]
        return len(digests) == self.parts and digest_of_digests(self.algorithm, digests) == self.value


def claims(info: ObjectInfo, uri: ObjectUri) -> list[Claim]:
    """What can be compared with a file, the one that decides most cheaply first."""
    kept = [claim for name in DIGEST_BYTES if (claim := _kept_claim(name, info)) is not None]
    found = [claim for claim in kept if claim.parts is None] + [claim for claim in kept if claim.parts is not None]
    etag = info.etag.strip('"').lower()
    # The ETags of directory buckets (S3 Express) look like MD5s and aren't.
    if info.is_etag_opaque or uri.bucket.endswith("--x-s3"):
        return found
    if is_md5(etag):
        found.append(Claim("md5", bytes.fromhex(etag), None, is_etag=True))
    elif (match := _OF_PARTS.fullmatch(etag)) and is_md5(match["value"]):
        found.append(Claim("md5", bytes.fromhex(match["value"]), int(match["parts"]), is_etag=True))
    return found


def _kept_claim(name: str, info: ObjectInfo) -> Claim | None:
    text = info.checksums.get(name, "")
    match = _OF_PARTS.fullmatch(text)
    value = decode_digest(name, match["value"] if match else text)
    if value is None or (name == "crc64nvme" and match):
        return None
    if match is not None:
        return Claim(name, value, int(match["parts"]))
    of_parts = _OF_PARTS.fullmatch(info.etag.strip('"'))
    if name == "crc64nvme" or info.is_full_object or not (info.is_composite or of_parts):
        return Claim(name, value, None)
    # Of several parts, and neither "-N" behind the value nor a type says of what: of the parts, as it was before
    # there were types.
    return Claim(name, value, int(of_parts["parts"]), is_certain=info.is_composite) if of_parts else None


def decode_digest(name: str, text: str) -> bytes | None:
    """A checksum in base64, as S3 writes it; None if it can't be one of this algorithm."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == DIGEST_BYTES[name] else None


def digest_of_digests(algorithm: str, digests: Sequence[bytes]) -> bytes:
    """The digest of digests, one behind the other: S3's composite checksums, and the ETags of multipart uploads."""
    joined = b"".join(digests)
    if algorithm == "crc32c":
        return crc32c(joined).to_bytes(4, "big")
    if algorithm == "crc32":
        return zlib.crc32(joined).to_bytes(4, "big")
    return hashlib.new(algorithm, joined, usedforsecurity=False).digest()


def uniform(size_bytes: int, part_bytes: int) -> list[int]:
    """The sizes of the parts when all but the last have this one."""
    whole, rest = divmod(size_bytes, part_bytes)
    return [part_bytes] * whole + ([rest] if rest else [])


def guess_part_bytes(size_bytes: int, parts: int) -> list[int]:
    """Part sizes that cut an object into exactly so many parts, the likeliest first, MAX_GUESSES at most."""
    if parts == 1:
        return [size_bytes]
    least_bytes = -(-size_bytes // parts)
    limit_bytes = -(-size_bytes // (parts - 1))  # from here on it would be fewer
    try:
        planned = make_plan(size_bytes, Settings(), AMAZON_S3.max_part_bytes * 2)
        candidates = [planned.part_bytes] if planned.is_multipart else []
    except UsageError:
        candidates = []
    candidates += [size * MIB for size in _LIKELY_MIB] + [size * 1_000_000 for size in (10, 50, 100, 8, 16, 20)]
    candidates.append(-(-least_bytes // MIB) * MIB)  # what clients round up to that derive it from the size
    candidates.append(least_bytes)
    fitting = [part_bytes for part_bytes in dict.fromkeys(candidates) if least_bytes <= part_bytes < limit_bytes]
    return fitting[:MAX_GUESSES]


@dataclass(frozen=True, slots=True)
class Judgement:
    """outcome, by what it is proven, and what is to say about it ("" for SAME)."""

    outcome: Outcome
    proof: str = ""
    detail: str = ""


def other_size(object_bytes: int, size_bytes: int, whose: str, what: str = "the object") -> Judgement | None:
    """DIFFERS if the sizes do; whose: "the file" or "the receipt"."""
    if object_bytes == size_bytes:
        return None
    return Judgement(Outcome.DIFFERS, "size", f"{what} has {object_bytes:,} bytes, {whose} {size_bytes:,}")


def judge_content(kept_crc64nvme: int | None, crc64nvme: int) -> Judgement:
    """Whether what an object holds is a file, by what the object says of it; None: it doesn't."""
    if kept_crc64nvme is None:
        return Judgement(Outcome.UNPROVEN, detail="it says nothing of its content")
    proof = "crc64nvme of its content"
    if kept_crc64nvme == crc64nvme:
        return Judgement(Outcome.SAME, proof)
    return Judgement(Outcome.DIFFERS, proof, f"the {proof} isn't the file's")


def judge_shipped(shipped: Shipped, info: ObjectInfo, uri: ObjectUri, first_part_bytes: int | None) -> Judgement:
    """Whether the object is what a receipt says, without reading it.

    Args:
        first_part_bytes: the size of the object's first part, None if the store doesn't say. It is heard only where
            both ETags are of parts and differ.
    """
    if (judgement := other_size(info.size_bytes, shipped.size_bytes, "the receipt")) is not None:
        return judgement
    found = claims(info, uri)
    for claim in found:
        wanted = known_digest(shipped, claim)
        if wanted is not None:
            return _compared(claim, wanted)
    etag, sent_etag = info.etag.strip('"').lower(), shipped.etag.strip('"').lower()
    if etag and etag == sent_etag:
        return Judgement(Outcome.SAME, "etag")
    for claim in found:
        # Two MD5s of equally cut parts; of parts cut otherwise they differ though the bytes are the same.
        is_cut_alike = shipped.part_bytes and shipped.part_bytes[0] == first_part_bytes
        if claim.is_etag and claim.parts is not None and sent_etag.endswith(f"-{claim.parts}") and is_cut_alike:
            return Judgement(Outcome.DIFFERS, claim.proof, f"its ETag is {etag}, the receipt's {sent_etag}")
    etags = f"its ETag is {etag or 'empty'}, the receipt's {sent_etag or 'empty'}"
    return Judgement(Outcome.UNPROVEN, detail=f"{etags}, and it keeps no checksum that the receipt knows")


def needs_first_part(shipped: Shipped, info: ObjectInfo) -> bool:
    """Whether judge_shipped() would hear the size of the object's first part."""
    ours, theirs = _OF_PARTS.fullmatch(shipped.etag.strip('"')), _OF_PARTS.fullmatch(info.etag.strip('"'))
    return bool(ours and theirs and ours["parts"] == theirs["parts"] and ours["value"] != theirs["value"])


def known_digest(shipped: Shipped, claim: Claim) -> bytes | None:
    """What a claim has to be, by the receipt; None: it doesn't say."""
    if claim.parts is not None:
        return None
    if claim.algorithm == "crc64nvme":
        return shipped.crc64nvme.to_bytes(8, "big")
    if claim.algorithm in shipped.digests:
        return bytes.fromhex(shipped.digests[claim.algorithm])
    if claim.is_etag and is_md5(shipped.etag):
        return bytes.fromhex(shipped.etag.strip('"'))
    if claim.algorithm == "crc32c" and shipped.checksum == "crc32c" and all(shipped.part_checksums):
        crc = 0
        for length_bytes, checksum in zip(shipped.part_bytes, shipped.part_checksums, strict=True):
            crc = crc32c_combine(crc, decode_crc(checksum or ""), length_bytes)
        return crc.to_bytes(4, "big") if shipped.part_bytes else None
    return None


def _compared(claim: Claim, wanted: bytes) -> Judgement:
    if claim.value == wanted:
        return Judgement(Outcome.SAME, claim.proof)
    has, should = _shown(claim.value, claim), _shown(wanted, claim)
    return Judgement(Outcome.DIFFERS, claim.proof, f"its {claim.proof} is {has}, the receipt's {should}")


def _shown(value: bytes, claim: Claim) -> str:
    return value.hex() if claim.is_etag else base64.b64encode(value).decode()
