"""What becomes of symbolic links."""

from __future__ import annotations

from enum import StrEnum


class LinkPolicy(StrEnum):
    SKIP = "skip"
    FOLLOW = "follow"
    RECORD = "record"
    """An object with the link's target as its content, named as rclone's --links does."""


RECORD_SUFFIX = b".rclonelink"
"""https://rclone.org/local/#symlinks-junction-points"""
