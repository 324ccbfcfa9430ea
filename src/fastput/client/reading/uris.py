"""What people name when they read: an object, or a member of an archive. Pure.

    s3://bucket/obs.tar.zst//2026/a.fits     a member
    s3://bucket/obs.tar.zst//2026/           all members below it
    s3://bucket/obs.tar.zst//                all members

A "//" elsewhere is part of the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastput.model import ObjectUri

_ARCHIVE = re.compile(r"(?P<key>.+?\.(?:tar|tzst|zst))//(?P<member>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Location:
    """
    Attributes:
        member: of the archive, or what lies below it; "": all; None: the object itself, or what lies under a prefix.
    """

    uri: ObjectUri
    member: str | None = None

    @classmethod
    def parse(cls, text: str) -> Location:
        """
        Raises:
            UsageError: no S3 URI.
        """
        uri = ObjectUri.parse(text)
        if (match := _ARCHIVE.fullmatch(uri.key)) is None:
            return cls(uri)
        return cls(ObjectUri(uri.bucket, match["key"]), match["member"])

    @property
    def name(self) -> bytes:
        """Of the member, as it stands in the archive: without the slash at its end."""
        return (self.member or "").encode("utf-8", "surrogateescape").removesuffix(b"/")

    @property
    def is_prefix(self) -> bool:
        """It names what lies below it."""
        named = self.uri.key if self.member is None else self.member
        return not named or named.endswith("/")

    @property
    def last_name(self) -> str:
        """What it is called without what comes before."""
        named = self.member or self.uri.key
        return named.rstrip("/").rpartition("/")[2]

    def __str__(self) -> str:
        return str(self.uri) if self.member is None else f"{self.uri}//{self.member}"
