"""Which key a file of a tree gets, and which file a key stands for. Pure.

With hashed prefixes a key is PREFIX HASH "/" PATH: a store that splits its index by the first characters of keys then
has its load spread from the first object on. The hash is that of the path below the root, so that the same file always
gets the same key, and what it hides can be told from the key alone.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fastput.limits import MAX_KEY_BYTES

MAX_HASH_DIGITS = 8
PATH_METADATA = "fastput-path"
"""Metadata of an object under a hashed prefix: the path, percent-encoded."""


class BadName(Exception):
    """A name that no key can have; says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Attributes:
        prefix: of the destination; "" or, in general, with a "/" at the end.
        hash_digits: how many hexadecimal digits of SHA-256 come before the path; 0: none.
    """

    prefix: str
    hash_digits: int = 0

    def key(self, path: bytes) -> str:
        """
        Raises:
            BadName: not UTF-8, or longer than a key may be.
        """
        try:
            text = path.decode()
        except UnicodeDecodeError as error:
            raise BadName(f"its name isn't UTF-8 (byte {error.start}), and keys are: rename it") from None
        key = f"{self.prefix}{self._hash(path)}{text}"
        length_bytes = len(key.encode())
        if length_bytes > MAX_KEY_BYTES:
            raise BadName(f"its key would have {length_bytes:,} bytes, and S3 takes {MAX_KEY_BYTES:,}: shorten it")
        return key

    def path(self, key: str) -> bytes | None:
        """The inverse; None: a key of somebody else."""
        if not key.startswith(self.prefix):
            return None
        rest = key.removeprefix(self.prefix).encode()
        path = rest[self.hash_digits + 1 :] if self.hash_digits else rest
        return path if path and self._hash(path).encode() + path == rest else None

    @property
    def listing_prefixes(self) -> list[str]:
        """Under each of them keys are in the order of their paths."""
        if not self.hash_digits:
            return [self.prefix]
        return [f"{self.prefix}{i:0{self.hash_digits}x}/" for i in range(16**self.hash_digits)]

    def _hash(self, path: bytes) -> str:
        return f"{hashlib.sha256(path).hexdigest()[: self.hash_digits]}/" if self.hash_digits else ""
