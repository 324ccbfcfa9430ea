"""What an endpoint takes, and which protection an object gets of it: pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastput.limits import AMAZON_S3, MAX_COMPATIBLE_OBJECT_BYTES, StoreLimits
from fastput.model import Checksum


class Carriage(enum.Enum):
    """Where a body's checksum travels."""

    TRAILER = "trailer"
    """Behind an aws-chunked body: the bytes are hashed while they are sent."""
    BARE_TRAILER = "bare trailer"
    """The same without saying so in Content-Encoding, which some stores would keep with the object."""
    HEADER = "header"
    """Before the body, which has to be read and hashed first."""


@dataclass(frozen=True, slots=True)
class Protection:
    """
    Attributes:
        carriage: None where there is no checksum.
        is_checked: the store was seen to refuse a wrong one.
    """

    checksum: Checksum
    carriage: Carriage | None
    is_checked: bool

    @property
    def trailer(self) -> str | None:
        """The name of the checksum in the trailer, None if there is none."""
        return self.checksum.value if self.carriage in (Carriage.TRAILER, Carriage.BARE_TRAILER) else None

    @property
    def is_before_body(self) -> bool:
        """The checksum has to be known before the body is sent."""
        return self.carriage is Carriage.HEADER


UNPROTECTED = Protection(Checksum.NONE, None, False)


@dataclass(frozen=True, slots=True)
class StoreProfile:
    """What one endpoint takes.

    Attributes:
        protections: the ways that it takes, strongest first; the last resort, none at all, isn't among them.
        max_parts: the highest part number.
        max_object_bytes: of one object.
        takes_object_size: MpuObjectSize in Complete isn't refused.
        takes_if_none_match: If-None-Match isn't refused.
    """

    protections: tuple[Protection, ...]
    max_parts: int = AMAZON_S3.max_parts
    max_object_bytes: int = MAX_COMPATIBLE_OBJECT_BYTES
    takes_object_size: bool = True
    takes_if_none_match: bool = True

    @property
    def limits(self) -> StoreLimits:
        return replace(AMAZON_S3, max_parts=self.max_parts, max_object_bytes=self.max_object_bytes)

    @property
    def strongest(self) -> Protection:
        """The best that is left: a checksum that the store checks, or else one that it doesn't mind."""
        return self.protections[0] if self.protections else UNPROTECTED

    def protection(self, checksum: Checksum | None) -> Protection:
        """How an object is protected; None: as well as this endpoint can.

        A checksum that was asked for by name is used even where the endpoint wasn't seen to take it: as a trailer if
        it is a CRC.
        """
        if checksum is None:
            return self.strongest
        if checksum is Checksum.NONE:
            return UNPROTECTED
        found = next((known for known in self.protections if known.checksum is checksum), None)
        return found or Protection(checksum, Carriage.TRAILER if checksum.is_crc else Carriage.HEADER, False)

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        document = asdict(self)
        document["protections"] = [
            {
                "checksum": known.checksum.value,
                "carriage": known.carriage.value if known.carriage else None,
                "is_checked": known.is_checked,
            }
            for known in self.protections
        ]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> StoreProfile:
        """The inverse of to_dict().

        Raises:
            ValueError: it isn't one.
        """
        try:
            protections = tuple(
                Protection(Checksum(known["checksum"]), Carriage(known["carriage"]), bool(known["is_checked"]))
                for known in document["protections"]
            )
            profile = cls(
                protections,
                int(document["max_parts"]),
                int(document["max_object_bytes"]),
                bool(document["takes_object_size"]),
                bool(document["takes_if_none_match"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a store's profile: {error!r}") from None
        if not 1 <= profile.max_parts <= AMAZON_S3.max_parts or profile.max_object_bytes < AMAZON_S3.min_part_bytes:
            raise ValueError("not a store's profile: limits out of range")
        return profile


AMAZON = StoreProfile(
    protections=(
        Protection(Checksum.CRC64NVME, Carriage.TRAILER, True),
        Protection(Checksum.CRC32C, Carriage.TRAILER, True),
        Protection(Checksum.MD5, Carriage.HEADER, True),
    ),
    max_object_bytes=AMAZON_S3.max_object_bytes,
)

GUESS = StoreProfile((Protection(Checksum.CRC64NVME, Carriage.BARE_TRAILER, is_checked=False),))
"""What most stores take, for a transfer that begins while it is being found out."""


def known_profile(host: str) -> StoreProfile | None:
    """The profile of a store that documents what it takes; None: it has to be found out."""
    is_amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return AMAZON if is_amazon else None
