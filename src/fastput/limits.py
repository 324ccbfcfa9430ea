"""Numbers of S3, all of them in this file.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html (multipart limits) and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html (keys).
Many compatible stores are narrower (5 TiB an object, 1,000 parts).
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What one store takes. The defaults are Amazon S3's."""

    min_part_bytes: int = 5 * MIB
    max_part_bytes: int = 5 * GIB
    max_parts: int = 10_000
    max_single_put_bytes: int = 5 * GIB
    # 48.8 TiB since December 2025: every part number, each at its largest.
    max_object_bytes: int = 10_000 * 5 * GIB


AMAZON_S3 = StoreLimits()
# Where compatible stores stop, as Amazon did before.
MAX_COMPATIBLE_OBJECT_BYTES = 5 * TIB

MAX_KEY_BYTES = 1024
MIN_BUCKET_CHARS = 3
# Buckets older than 2018 in us-east-1 may have up to 255 characters; all others stop at 63.
MAX_BUCKET_CHARS = 255
MAX_USER_METADATA_BYTES = 2 * KIB
MAX_TAGS = 10

# Not limits of S3 but fastput's own defaults.
DEFAULT_PART_BYTES = 8 * MIB
DEFAULT_WINDOW = 16
# What a request takes besides its body: the runtime's messages and sockets, our objects. Measured: the peak of
# --memory 64MiB was 4 MiB above base + 64 MiB with 8 parts of 8 MiB in flight.
REQUEST_OVERHEAD_BYTES = 512 * KIB
