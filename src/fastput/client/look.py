"""One object that is compared: by what the store says of it, or by downloading it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from fastput.client.hashing import Hasher, cut, in_order
from fastput.client.proof import (
    Claim,
    Judgement,
    Outcome,
    claims,
    decode_digest,
    guess_part_bytes,
    uniform,
)
from fastput.engine.control import persist
from fastput.engine.job import COMPRESSED_SUFFIX
from fastput.engine.retry import RetryPolicy
from fastput.errors import StoreError
from fastput.formats.receipt import Shipped
from fastput.formats.tail import ENCODING_METADATA
from fastput.limits import MAX_KEY_BYTES, MIB
from fastput.model import Checksum, ListedPart, ObjectInfo, ObjectUri, Part, encode_crc
from fastput.native.crc import crc64nvme, crc64nvme_combine
from fastput.source import Source
from fastput.store import Store

_T = TypeVar("_T")

_DOWNLOAD_BYTES = 8 * MIB
_NOTHING_SAID = "the store keeps no checksum of it, and its ETag says nothing of its bytes"


@dataclass(frozen=True, slots=True)
class Look:
    """One object that is looked at."""

    store: Store
    uri: ObjectUri
    version_id: str | None
    pool: ThreadPoolExecutor
    window: int
    policy: RetryPolicy
    stop: threading.Event

    def head(self) -> ObjectInfo | None:
        return self._ask(lambda: self.store.head(self.uri, self.version_id))

    def instead(self) -> str:
        """What is there where the object isn't, as far as put --compress would have named it; "": nothing."""
        if len(self.uri.key.encode()) + len(COMPRESSED_SUFFIX) > MAX_KEY_BYTES:
            return ""
        uri = self.uri.with_key(self.uri.key + COMPRESSED_SUFFIX)
        made = self._ask(lambda: self.store.head(uri))
        is_made = made is not None and ENCODING_METADATA in made.metadata
        return f"there is no such object, but {uri}: verify that" if is_made else ""

    def part_bytes(self, number: int) -> int | None:
        """The size of a part; None where the store doesn't say."""
        try:
            return self._ask(lambda: self.store.part_bytes(self.uri, number, self.version_id))
        except StoreError:
            return None

    # ---- by what the store says

    def compare_claims(self, info: ObjectInfo, hasher: Hasher, shipped: Shipped | None) -> Judgement:
        detail = _NOTHING_SAID
        for claim in claims(info, self.uri):
            if claim.parts is None:
                if claim.agrees([hasher.whole(claim.algorithm)]):
                    return Judgement(Outcome.SAME, claim.proof)
                return Judgement(Outcome.DIFFERS, claim.proof, f"its {claim.proof} isn't the file's")
            judgement = self._compare_parts(claim, info, hasher, shipped)
            if judgement is not None:
                return judgement
            detail = f"it was made of {claim.parts} parts, and the store doesn't say where they begin"
        return Judgement(Outcome.UNPROVEN, detail=detail)

    def _compare_parts(
        self, claim: Claim, info: ObjectInfo, hasher: Hasher, shipped: Shipped | None
    ) -> Judgement | None:
        """By the digest of the parts' digests; None if nobody knows the parts and no guess of them agrees."""
        tried: list[Sequence[int]] = []
        for sizes, kept, is_known in self._cuts(claim, info, shipped):
            if len(sizes) != claim.parts or sum(sizes) != info.size_bytes:
                continue
            if sizes not in tried:
                tried.append(sizes)
                digests = hasher.parts(claim.algorithm, sizes)
                if claim.agrees(digests):
                    return Judgement(Outcome.SAME, claim.proof)
                wrong = [str(n) for n, (a, b) in enumerate(zip(digests, kept, strict=False), start=1) if a != b]
            if is_known and claim.is_certain:
                more = f": part {', '.join(wrong[:8])}{', ...' if len(wrong) > 8 else ''}" if wrong else ""
                return Judgement(Outcome.DIFFERS, claim.proof, f"its {claim.proof} isn't the file's{more}")
        return None

    def _cuts(
        self, claim: Claim, info: ObjectInfo, shipped: Shipped | None
    ) -> Iterator[tuple[list[int], list[bytes], bool]]:
        """(sizes of the parts, their digests as the store has them or none, whether this is known and not guessed)"""
        assert claim.parts is not None
        if shipped is not None and shipped.etag.strip('"') == info.etag.strip('"'):
            yield list(shipped.part_bytes), [], True
        if not claim.is_etag and info.is_composite:
            listed = self._object_parts()
            kept = [decode_digest(claim.algorithm, part.checksums.get(claim.algorithm, "")) for part in listed]
            digests = [digest for digest in kept if digest is not None]
            yield [part.size_bytes for part in listed], digests if len(digests) == len(kept) else [], True
        if claim.parts == 1:
            yield [info.size_bytes], [], True
            return
        first_bytes = self.part_bytes(1)
        if first_bytes:
            yield uniform(info.size_bytes, first_bytes), [], False
            yield self._all_part_bytes(claim.parts), [], True
        else:
            for part_bytes in guess_part_bytes(info.size_bytes, claim.parts):
                yield uniform(info.size_bytes, part_bytes), [], False

    def _object_parts(self) -> Sequence[ListedPart]:
        try:
            return self._ask(lambda: self.store.object_parts(self.uri, self.version_id))
        except StoreError:
            return ()

    def _all_part_bytes(self, parts: int) -> list[int]:
        """The size of each part; fewer than there are where the store doesn't say all."""
        sizes: list[int] = []
        with closing(in_order(self.pool, self.part_bytes, range(1, parts + 1), self.window)) as found:
            for size_bytes in found:
                if size_bytes is None:
                    break
                sizes.append(size_bytes)
        return sizes

    # ---- by downloading it

    def compare_all(self, info: ObjectInfo, source: Source, hasher: Hasher) -> Judgement:
        version_id = self._version(info)

        def first_difference(piece: Part) -> int | None:
            return difference(self._read(piece, version_id), piece, source, hasher)

        pieces = cut(info.size_bytes, _DOWNLOAD_BYTES)
        with closing(in_order(self.pool, first_difference, pieces, self.window)) as found:
            place = next((place for place in found if place is not None), None)
        self._check_still_there(info)
        return downloaded(place)

    def compare_crc(self, info: ObjectInfo, shipped: Shipped) -> Judgement:
        version_id = self._version(info)
        crc = 0
        pieces = cut(info.size_bytes, _DOWNLOAD_BYTES)
        for piece, piece_crc in in_order(
            self.pool, lambda piece: (piece, crc64nvme(self._read(piece, version_id))), pieces, self.window
        ):
            crc = crc64nvme_combine(crc, piece_crc, piece.length_bytes)
        self._check_still_there(info)
        if crc == shipped.crc64nvme:
            return Judgement(Outcome.SAME, "download")
        has, should = (encode_crc(value, Checksum.CRC64NVME) for value in (crc, shipped.crc64nvme))
        return Judgement(Outcome.DIFFERS, "download", f"its bytes' crc64nvme is {has}, the receipt's {should}")

    def _read(self, piece: Part, version_id: str | None) -> bytes:
        last_byte = piece.offset_bytes + piece.length_bytes - 1
        return self._ask(lambda: self.store.read(self.uri, piece.offset_bytes, last_byte, version_id))

    def _version(self, info: ObjectInfo) -> str | None:
        return self.version_id or (info.version_id if info.version_id not in ("", "null") else None)

    def _check_still_there(self, info: ObjectInfo) -> None:
        now = self.head()
        if now is None or (now.etag, now.size_bytes, now.modified_at) != (info.etag, info.size_bytes, info.modified_at):
            raise StoreError(
                f"{self.uri}: it was replaced while it was read: verify it again",
                bucket=self.uri.bucket,
                key=self.uri.key,
            )

    def _ask(self, work: Callable[[], _T]) -> _T:
        return persist(work, self.policy, self.stop)


def difference(data: bytes | memoryview, piece: Part, source: Source, hasher: Hasher) -> int | None:
    """The place of the first byte that isn't the source's."""
    if crc64nvme(data).to_bytes(8, "big") == hasher.part("crc64nvme", piece):
        return None
    ours = bytearray(piece.length_bytes)
    source.body(piece, None).readinto(ours)
    return piece.offset_bytes + _first_difference(bytes(data), ours)


def downloaded(place: int | None) -> Judgement:
    if place is None:
        return Judgement(Outcome.SAME, "download")
    return Judgement(Outcome.DIFFERS, "download", f"byte {place:,} is the first that isn't the file's")


def _first_difference(a: bytes, b: bytearray) -> int:
    """The place of the first byte that differs, by halving; of equal ones 0."""
    low, high = 0, len(a)
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] != b[low:middle]:
            high = middle
        else:
            low = middle
    return low
