"""CompleteMultipartUpload, and what has to be looked up before it is said again. Blocks; for a control thread.

S3 may answer 200 with an error inside, or not at all and have made the object: repeating blindly would fail with
NoSuchUpload for an object that is there, and --no-clobber would meet our own. So after any doubt: has the store
still got the upload? Then it may be said again. If not, is the object under this key what we sent?
https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from fastput.answers import asks_for_less
from fastput.engine.control import persist
from fastput.engine.multipart import Completion
from fastput.engine.resume import is_listed, is_md5
from fastput.engine.retry import RetryPolicy
from fastput.errors import EndpointError, FastputError, IntegrityError, ObjectExists, StoreError, UploadGone
from fastput.model import Checksum, ConfirmedPart, ListedPart, ObjectInfo, ObjectUri, decode_crc, encode_crc
from fastput.native.crc import crc32c_combine
from fastput.profile import Protection, StoreProfile
from fastput.store import Completed, Store


@dataclass(frozen=True, slots=True)
class Finisher:
    """Makes one object out of its parts."""

    store: Store
    uri: ObjectUri
    protection: Protection
    profile: StoreProfile
    no_clobber: bool
    policy: RetryPolicy
    stop: threading.Event

    def complete(self, completion: Completion) -> Completed:
        """
        Raises:
            ObjectExists: no_clobber, and there is one that isn't ours.
            IntegrityError: the store has other bytes than were sent.
            UploadGone: neither the upload nor the object is there.
            FastputError: the store kept failing; the upload is still there.
        """
        assert completion.upload_id is not None
        if not self.protection.is_checked:
            try:
                listed = self._list(completion.upload_id)
            except StoreError:
                listed = []  # it doesn't list: Complete has to show what it has
            if listed:
                check_listed(self.uri, completion.parts, listed)
        completed = self._complete(completion, completion.upload_id)
        if completed.checksums.get("crc64nvme") == _crc64nvme(completion):
            return completed
        # The answer doesn't say what the store keeps: look. Ceph's doesn't even say the ETag.
        try:
            info = persist(lambda: self.store.head(self.uri), self.policy, self.stop, has_answered=True)
        except FastputError:
            return completed  # it was said to be made; who may only write can't look
        if info is None or not info.etag or completed.etag.strip('"') not in ("", info.etag.strip('"')):
            return completed  # replaced by somebody else meanwhile, or nothing that tells
        kept = info.checksums if info.is_full_object else {}
        crc64nvme = _crc64nvme(completion)
        if info.size_bytes != completion.size_bytes or kept.get("crc64nvme", crc64nvme) != crc64nvme:
            raise IntegrityError(
                f"{self.uri}: the store made an object of {info.size_bytes:,} bytes and CRC64NVME "
                f"{kept.get('crc64nvme', 'unknown')} out of {completion.size_bytes:,} and {crc64nvme}: send it again",
                bucket=self.uri.bucket,
                key=self.uri.key,
            )
        return Completed(info.etag, completed.version_id, kept)

    def look_up(self, completion: Completion) -> Completed | None:
        """The object that Complete made, if it is there and is what was sent."""
        return look_up(self.store, self.uri, completion, self.protection.checksum, self.policy, self.stop)

    def _complete(self, completion: Completion, upload_id: str) -> Completed:
        attempt = 0
        takes_everything = True
        while True:
            attempt += 1
            try:
                return self.store.complete(
                    self.uri,
                    upload_id,
                    completion.parts,
                    completion.size_bytes if self.profile.takes_object_size and takes_everything else None,
                    self.protection.checksum,
                    object_checksum(self.protection.checksum, completion),
                    self.no_clobber and self.profile.takes_if_none_match and takes_everything,
                )
            except StoreError as error:
                if takes_everything and (error.code == "NotImplemented" or error.status == 501):
                    # It doesn't know a condition. --no-clobber has looked before; the size is looked at afterwards.
                    takes_everything = False
                    continue
                if not (error.is_temporary or isinstance(error, (UploadGone, ObjectExists))):
                    raise
                failure: FastputError = error
            except FastputError as error:
                if not error.is_temporary:
                    raise
                failure = error
            if isinstance(failure, UploadGone) or not self._is_still_there(upload_id):
                if (completed := self.look_up(completion)) is not None:
                    return completed
                raise failure
            if isinstance(failure, ObjectExists):
                raise failure
            policy = self.policy.lost_link if isinstance(failure, EndpointError) else self.policy
            policy = self.policy.throttled if asks_for_less(failure) else policy
            delay_s = policy.delay_s(attempt, random.random())
            if delay_s is None or self.stop.wait(delay_s):
                raise failure

    def _list(self, upload_id: str) -> list[ListedPart]:
        return persist(
            lambda: list(self.store.list_parts(self.uri, upload_id)), self.policy, self.stop, has_answered=True
        )

    def _is_still_there(self, upload_id: str) -> bool:
        """Whether the upload waits for Complete; True where the store can't say."""
        try:
            self._list(upload_id)
        except UploadGone:
            return False
        except FastputError:
            pass
        return True


def look_up(
    store: Store, uri: ObjectUri, completion: Completion, checksum: Checksum, policy: RetryPolicy, stop: threading.Event
) -> Completed | None:
    """The object under a key, if it is what was sent."""
    info = persist(lambda: store.head(uri), policy, stop, has_answered=True)
    if info is None or not is_ours(info, completion, checksum):
        return None
    return Completed(info.etag, info.version_id, info.checksums if info.is_full_object else {})


def is_ours(info: ObjectInfo, completion: Completion, checksum: Checksum) -> bool:
    """Whether an object is what was sent: by a checksum that the store keeps, or else by its ETag."""
    if info.size_bytes != completion.size_bytes:
        return False
    if info.is_full_object and "crc64nvme" in info.checksums:
        return info.checksums["crc64nvme"] == _crc64nvme(completion)
    if info.is_full_object and checksum is Checksum.CRC32C and "crc32c" in info.checksums:
        return info.checksums["crc32c"] == object_checksum(checksum, completion)
    expected = multipart_etag(completion.parts) if completion.upload_id is not None else completion.parts[0].etag
    return expected is not None and info.etag.strip('"').lower() == expected.strip('"').lower()


def multipart_etag(parts: Sequence[ConfirmedPart]) -> str | None:
    """MD5 of the parts' MD5s, then -N, as S3 makes it; None where the parts' ETags are no MD5s."""
    if not all(is_md5(part.etag) for part in parts):
        return None
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def check_listed(uri: ObjectUri, parts: Sequence[ConfirmedPart], listed: Sequence[ListedPart]) -> None:
    """Compares what the store has with what was sent, where the store checks nothing itself.

    Raises:
        IntegrityError: a part is missing, or of another size or ETag.
    """
    on_store: dict[int, list[ListedPart]] = {}
    for found in listed:
        on_store.setdefault(found.number, []).append(found)
    for part in parts:
        candidates = on_store.get(part.number, [])
        if not is_listed(part, candidates):
            has = ", ".join(f"{other.size_bytes:,} bytes with ETag {other.etag}" for other in candidates) or "none"
            raise IntegrityError(
                f"{uri}: part {part.number} was sent as {part.length_bytes:,} bytes with ETag {part.etag}, and the "
                f"store has {has}; nothing was completed",
                bucket=uri.bucket,
                key=uri.key,
                part=part.number,
            )


def object_checksum(checksum: Checksum, completion: Completion) -> str | None:
    """The full-object checksum that goes with Complete, combined from the parts'."""
    if checksum is Checksum.CRC64NVME:
        return _crc64nvme(completion)
    if checksum is not Checksum.CRC32C:
        return None
    crc = 0
    for part in completion.parts:
        assert part.checksum is not None
        crc = crc32c_combine(crc, decode_crc(part.checksum), part.length_bytes)
    return encode_crc(crc, checksum)


def _crc64nvme(completion: Completion) -> str:
    return encode_crc(completion.crc64nvme, Checksum.CRC64NVME)
