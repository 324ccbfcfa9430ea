"""AWS Signature Version 4 in the headers of a request. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

from fastput.model import Credentials

UNSIGNED = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_ALGORITHM = "AWS4-HMAC-SHA256"

Headers = Sequence[tuple[str, str]]


class Signer:
    """Signs requests to one region, and keeps the key of the day: five HMACs that only the first request needs."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._key: tuple[tuple[str, str], bytes] | None = None

    def sign(
        self, method: str, path: str, headers: Headers, body_hash: str, credentials: Credentials, now_s: float
    ) -> list[tuple[str, str]]:
        """The headers to be sent.

        Args:
            path: percent-encoded once, with the query.
            headers: names in lower case, Host among them; all of them are signed.
            body_hash: hexadecimal SHA-256 of the body, or what stands for it.
            now_s: since the Unix epoch.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
        day = stamp[:8]
        signed = [*headers, ("x-amz-content-sha256", body_hash), ("x-amz-date", stamp)]
        if credentials.token:
            signed.append(("x-amz-security-token", credentials.token))
        ordered = sorted(signed)
        names = ";".join(name for name, _ in ordered)
        lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in ordered)
        resource, _, query = path.partition("?")
        canonical = f"{method}\n{resource}\n{_canonical_query(query)}\n{lines}\n{names}\n{body_hash}"
        scope = f"{day}/{self._region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._key_of(day, credentials.secret_key), text.encode(), "sha256").hex()
        who = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}"
        return [*signed, ("authorization", f"{who}, SignedHeaders={names}, Signature={signature}")]

    def _key_of(self, day: str, secret_key: str) -> bytes:
        kept = self._key
        if kept is None or kept[0] != (day, secret_key):
            key = f"AWS4{secret_key}".encode()
            for step in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._key = kept = ((day, secret_key), key)
        return kept[1]


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))
