"""What the engine asks of a store's control plane."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastput.errors import FastputError
from fastput.model import (
    Checksum,
    ConfirmedPart,
    Credentials,
    Endpoint,
    ListedPart,
    ListedUpload,
    ObjectAttributes,
    ObjectInfo,
    ObjectPage,
    ObjectUri,
    TlsOptions,
)


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How the store is found. None leaves it to the user's AWS configuration: environment, profiles, SSO."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    ca_bundle: str | None = None
    verify: bool = True
    # Completing 10,000 parts takes S3 minutes, in which it sends white space.
    read_timeout_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Completed:
    """The store's answer to a completed object. checksums are those of the whole that it says it keeps."""

    etag: str
    version_id: str | None
    checksums: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """Calls block and may come from several threads. Each raises the errors of fastput.errors only.

    Nothing is repeated in here: an error's is_temporary says whether that may help.
    """

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        """Where requests for this bucket go."""

    def credentials(self) -> Credentials:
        """The credentials now, renewed where they can be."""

    def renew_credentials(self) -> None:
        """Has the next call of credentials() look for new ones: the store said that those have expired."""

    def tls(self) -> TlsOptions:
        """How certificates are checked."""

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        """Creates a multipart upload and returns its ID."""

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int | None,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        """Makes the object out of its parts. The store refuses it unless size and full-object checksum agree.

        Raises:
            UploadGone: it was completed or aborted before.
            ObjectExists: no_clobber, and there is one.
        """

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        """Makes the store forget an upload and its parts."""

    def head(self, uri: ObjectUri, version_id: str | None = None) -> ObjectInfo | None:
        """What there is under this key, now or as that version; None: nothing."""

    def part_bytes(self, uri: ObjectUri, number: int, version_id: str | None = None) -> int | None:
        """The size of a part of an object that was made of several; None: the store doesn't say."""

    def object_parts(self, uri: ObjectUri, version_id: str | None = None) -> Sequence[ListedPart]:
        """The parts that an object was made of, by number; those that the store doesn't tell are missing.

        Only for objects with a composite checksum: a store that doesn't know the question may send the object.
        """

    def read(
        self, uri: ObjectUri, first_byte: int, last_byte: int, version_id: str | None = None, etag: str = ""
    ) -> bytes:
        """These bytes of the object, the last included.

        Args:
            etag: that it has to have.

        Raises:
            EndpointError: the connection failed, or the answer is shorter than asked; is_temporary.
            StoreError: no such bytes, the store sends others than were asked for, or the object was replaced.
        """

    def read_tail(self, uri: ObjectUri, length_bytes: int) -> tuple[bytes, ObjectInfo]:
        """The last bytes of the object, all of it if it is shorter, and what the store says of it: one question.

        The object's checksums are among that only where the store says them with a range; many do in head() only.

        Raises:
            EndpointError: the connection failed, or the answer is shorter than it says; is_temporary.
            StoreError: no such object, or the store sends other bytes than were asked for.
        """

    def list_objects(self, prefix: ObjectUri, token: str | None = None, names_only: bool = False) -> ObjectPage:
        """A page of the objects whose keys begin like this one, in the store's order.

        Args:
            token: of the page before; None: the first.
            names_only: of keys that go on behind a "/" only what comes before it is named.
        """

    def delete_objects(self, bucket: str, keys: Sequence[str]) -> Mapping[str, FastputError]:
        """Deletes objects; those that aren't there count as deleted.

        Args:
            keys: at most 1,000.

        Returns:
            Those that the store refused to delete.
        """

    def list_parts(self, uri: ObjectUri, upload_id: str) -> Iterator[ListedPart]:
        """The parts that the store has of an upload, by number.

        Raises:
            UploadGone: there is no such upload.
        """

    def list_uploads(self, prefix: ObjectUri) -> Iterator[ListedUpload]:
        """The multipart uploads under keys that begin like this one, neither completed nor aborted.

        By key, and those of one key by age, the oldest first; where a store pages in another order, so within each
        page. next() may be called again after a temporary error.
        """

    def close(self) -> None:
        """Closes connections."""
