"""What the engine asks of a store's control plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastput.model import (
    Checksum,
    ConfirmedPart,
    Credentials,
    Endpoint,
    ObjectAttributes,
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


@dataclass(frozen=True, slots=True)
class Completed:
    """The store's answer to a completed object."""

    etag: str
    version_id: str | None


class Store(Protocol):
    """Calls block and may come from several threads. Each raises the errors of fastput.errors only."""

    def endpoint(self, uri: ObjectUri) -> Endpoint:
        """Where requests for this bucket go."""

    def credentials(self) -> Credentials:
        """The credentials now, renewed where they can be."""

    def tls(self) -> TlsOptions:
        """How certificates are checked."""

    def create(self, uri: ObjectUri, attributes: ObjectAttributes, checksum: Checksum) -> str:
        """Creates a multipart upload and returns its ID."""

    def complete(
        self,
        uri: ObjectUri,
        upload_id: str,
        parts: Sequence[ConfirmedPart],
        size_bytes: int,
        checksum: Checksum,
        checksum_value: str | None,
        no_clobber: bool,
    ) -> Completed:
        """Makes the object out of its parts. The store refuses it unless size and full-object checksum agree."""

    def abort(self, uri: ObjectUri, upload_id: str) -> None:
        """Makes the store forget an upload and its parts."""

    def exists(self, uri: ObjectUri) -> bool:
        """Whether there is an object with this key."""

    def close(self) -> None:
        """Closes connections."""
