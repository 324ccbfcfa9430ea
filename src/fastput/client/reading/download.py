"""An object becomes a file: looked at, fetched in ranges into a file beside it, compared, renamed.

Calls block, and several threads may call at a time.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastput.client.reading.part_file import Identity, PartFile
from fastput.engine.control import persist
from fastput.engine.fetch import Fetcher, Spring
from fastput.engine.fetch_plan import cut, range_bytes
from fastput.engine.retry import RetryPolicy
from fastput.errors import IntegrityError, Interrupted, StoreError, UsageError
from fastput.limits import DEFAULT_WINDOW
from fastput.model import Checksum, Endpoint, ObjectInfo, ObjectUri, Part, Progress, encode_crc
from fastput.native.crc import crc64nvme_combine
from fastput.native.landing import FileLanding, Landing
from fastput.store import Store
from fastput.text import printable
from fastput.transport.receive import RangeReceiver
from fastput.tree.times import kept_mtime_ns

if TYPE_CHECKING:
    from fastput.client.verifier import Verification

Prove = Callable[[str, ObjectUri], "Verification"]


@dataclass(frozen=True, slots=True)
class GetReceipt:
    """Proof of one file: what the store said of the object, what was written.

    crc64nvme is that of the file's bytes as they arrived, base64 as in a Receipt. started_at and ended_at are seconds
    since the Unix epoch.

    Attributes:
        proof: by what the file was found to be the object: "crc64nvme", "md5 etag" and so on; empty: the store says
            nothing that decides.
        resumed_bytes: that an earlier run had fetched.
    """

    path: str
    bucket: str
    key: str
    version_id: str | None
    etag: str
    size_bytes: int
    crc64nvme: str
    proof: str
    resumed_bytes: int
    started_at: float
    ended_at: float
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return dataclasses.asdict(self)


class Downloads:
    """Of one store. Threads share it.

    Args:
        prove: compares a file with its object by what the store says: for objects without a CRC64NVME.
        window: the most ranges of an object under way.
    """

    def __init__(
        self,
        store: Store,
        prove: Prove,
        window: int | None = None,
        policy: RetryPolicy | None = None,
        stall_timeout_s: float = 300.0,
    ) -> None:
        self._store = store
        self._prove = prove
        self._window = window or DEFAULT_WINDOW
        self._policy = policy or RetryPolicy()
        self._stall_timeout_s = stall_timeout_s
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards _springs, so that one makes it and the others wait
        self._springs: dict[tuple[str, str], Spring] = {}

    def get(
        self,
        uri: ObjectUri,
        target: Path,
        version_id: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> GetReceipt:
        """As Client.get()."""
        started_at, stop = time.time(), self._stop
        info = self.look(uri, version_id)
        if target.is_dir():
            target = target / uri.key.rpartition("/")[2]
        if target.name in ("", ".", "..") or target.is_dir():
            raise UsageError(f"{printable(str(target))}: is a directory: give the name of a file")
        length_bytes = range_bytes(info.size_bytes)
        file = PartFile(target)
        is_of_use = True
        try:
            identity = Identity(str(uri), info.etag, info.size_bytes, length_bytes)
            crcs = file.begin(identity, cut(info.size_bytes, length_bytes), _unless(stop, uri))
            # Now it is known that it isn't larger than the disk.
            parts = list(cut(info.size_bytes, length_bytes))
            missing = [part for part in parts if part.number not in crcs]
            resumed_bytes = info.size_bytes - sum(part.length_bytes for part in missing)
            fetcher = self.fetcher(uri, info, version_id)

            def land(part: Part) -> Landing:
                return FileLanding(file.fd, part.offset_bytes, part.length_bytes)

            def landed(part: Part, landing: Landing) -> None:
                crcs[part.number] = landing.crc64nvme
                file.note(part, landing.crc64nvme)

            def tell() -> None:
                if on_progress is not None:
                    received_bytes = resumed_bytes + fetcher.received_bytes
                    on_progress(Progress(str(uri), received_bytes, info.size_bytes, len(crcs), fetcher.in_flight))

            fetcher.run(missing, land, landed, tell)
            crc = 0
            for part in parts:
                crc = crc64nvme_combine(crc, crcs[part.number], part.length_bytes)
            try:
                proof = self._proof(uri, info, crc, file)
            except IntegrityError:
                is_of_use = False
                raise
            file.finish(kept_mtime_ns(info.metadata))
        except BaseException as error:
            # Of an object that isn't there any more.
            file.leave(is_of_use and not (isinstance(error, StoreError) and error.status in (404, 412)))
            raise
        return GetReceipt(
            path=os.fspath(target),
            bucket=uri.bucket,
            key=uri.key,
            version_id=info.version_id,
            etag=info.etag,
            size_bytes=info.size_bytes,
            crc64nvme=encode_crc(crc, Checksum.CRC64NVME),
            proof=proof,
            resumed_bytes=resumed_bytes,
            started_at=started_at,
            ended_at=time.time(),
            metadata=dict(info.metadata),
        )

    def look(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo:
        """What there is.

        Raises:
            StoreError: nothing, or the store doesn't say.
        """
        info = persist(lambda: self._store.head(uri, version_id), self._policy, self._stop)
        if info is None:
            text = f"{uri}: there is no such object"
            raise StoreError(text, bucket=uri.bucket, key=uri.key, status=404, code="NoSuchKey")
        return info

    def fetcher(self, uri: ObjectUri, info: ObjectInfo, version_id: str | None = None) -> Fetcher:
        """For ranges of an object as it was looked at, wherever they are to arrive."""
        endpoint = self._store.endpoint(uri)
        spring, stop = self._spring(endpoint), self._stop
        return Fetcher(
            spring, endpoint, uri, info.etag, version_id, self._window, self._policy, stop, self._stall_timeout_s
        )

    def cancel(self) -> None:
        """Ends what is under way with Interrupted; files that aren't whole stay for a later run."""
        stop, self._stop = self._stop, threading.Event()
        stop.set()

    def close(self) -> None:
        """Ends connections and threads. The store stays open."""
        for spring in self._springs.values():
            spring.receiver.close()

    def _spring(self, endpoint: Endpoint) -> Spring:
        identity = (endpoint.url, endpoint.region)
        with self._lock:
            if identity not in self._springs:
                receiver = RangeReceiver(endpoint, self._store.credentials, self._store.tls())
                self._springs[identity] = Spring(receiver, self._store.renew_credentials)
            return self._springs[identity]

    def _proof(self, uri: ObjectUri, info: ObjectInfo, crc: int, file: PartFile) -> str:
        """
        Raises:
            IntegrityError: the file isn't the object.
        """
        ours, theirs = encode_crc(crc, Checksum.CRC64NVME), info.checksums.get("crc64nvme")
        if theirs is None or not info.is_full_object:
            verification = self._prove(os.fspath(file.path), uri)
            if isinstance(error := verification.error(), IntegrityError):
                raise error
            return verification.proof
        if ours != theirs:
            raise IntegrityError(
                f"{uri}: what arrived isn't the object: its crc64nvme is {ours}, the store's {theirs}; nothing was "
                "kept: get it again",
                bucket=uri.bucket,
                key=uri.key,
            )
        return "crc64nvme"


def _unless(stop: threading.Event, uri: ObjectUri) -> Callable[[], None]:
    def check() -> None:
        if stop.is_set():
            raise Interrupted(f"{uri}: cancelled")

    return check
