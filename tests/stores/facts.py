"""What each store takes, checks and keeps: all that the tests expect differently of them stands here.

Measured with requests of our own, not with fastput: SeaweedFS 4.48, Ceph RGW 16.2.15, rclone 1.75.2, moto 5.2.5.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from bench.servers import ceph, moto, rclone, seaweedfs

KEYS = {
    "spaces": "a key  with spaces ",
    "unicode": "ångström/файл/望遠鏡/😀",
    "composed": "\u00e9 is not e\u0301",
    "plus": "a+b++c",
    "percent": "100%/%41/%2F/%",
    "ampersand": "a&b=c&",
    "question": "what?key=value",
    "hash": "run#7",
    "quotes": "'single' and \"double\"",
    "xml": "<a>&amp;</a>",
    "reserved": "!*'();:@$,[]~",
    "control": "tab\there",
    "backslash": "a\\b",
    "deep": "d/" * 100 + "end",
    "long name": "n" * 255,
    "dots": "a.b/..c/...",
    "two slashes": "a//b///c",
    "slash first": "/a",
    "dot names": "a/./b/../c",
    "longest": "k" * 1024,
    "line break": "line\nbreak",
}


@dataclass(frozen=True)
class Facts:
    """One store."""

    server: ModuleType
    checksum: str
    """The strongest that it takes, and so what fastput sends without being told."""
    is_checked: bool
    """It refuses a wrong one."""
    is_kept: bool
    """It keeps a checksum of the whole object, and says it."""
    checks_md5: bool = True
    checks_keys: bool = True
    """A wrong secret is refused."""
    keeps_etag: bool = True
    """The ETag of an object of several parts is that which Complete said."""
    keeps_upload_of_bad_part: bool = True
    """A part that it has refused can be sent again."""
    tags: frozenset[str] = frozenset({"one request", "parts"})
    """The ways to make an object that keep its tags."""
    refuses_keys: frozenset[str] = frozenset()
    """Of KEYS."""


STORES = {
    "seaweedfs": Facts(
        seaweedfs,
        checksum="crc64nvme",
        is_checked=True,
        is_kept=True,
        # It stores and returns "a//b" as "a/b".
        refuses_keys=frozenset({"dot names", "longest"}),
    ),
    "rclone": Facts(
        rclone,
        checksum="md5",
        is_checked=True,
        is_kept=False,
        # It says the MD5 of the parts' MD5s at first, and the object's MD5 from then on.
        keeps_etag=False,
        # Parts are written into one file as they come.
        keeps_upload_of_bad_part=False,
        tags=frozenset(),
        # Keys are paths of files.
        refuses_keys=frozenset({"two slashes", "slash first", "dot names", "longest"}),
    ),
    "moto": Facts(
        moto,
        checksum="crc64nvme",
        is_checked=False,
        # It computes one itself.
        is_kept=True,
        checks_md5=False,
        checks_keys=False,
        refuses_keys=frozenset({"line break"}),
    ),
    "ceph": Facts(
        ceph,
        checksum="md5",
        is_checked=True,
        is_kept=False,
        tags=frozenset({"one request"}),
    ),
}

PARAMETERS = [pytest.param(name, marks=[pytest.mark.ceph] if name == "ceph" else []) for name in STORES]


def raises(error: type[Exception], is_expected: bool = True) -> AbstractContextManager[Any]:
    """pytest.raises where the store refuses, nothing where it doesn't."""
    return pytest.raises(error) if is_expected else contextlib.nullcontext()
