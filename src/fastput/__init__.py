"""fastput: native-accelerated uploads to Amazon S3 and S3-compatible stores.

    receipt = fastput.put("obs.fits", "s3://bucket/2026/obs.fits")

Everything is loaded on first use: `import fastput` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastput.version import __version__

if TYPE_CHECKING:
    from concurrent.futures import as_completed

    from fastput import errors
    from fastput.client import Client, open, put, verify
    from fastput.client.reading.got import Got
    from fastput.client.reading.listing import Listed
    from fastput.client.trees import TreeEvents, TreeReport
    from fastput.client.verifier import Verification
    from fastput.errors import FastputError
    from fastput.model import Progress, Receipt
    from fastput.tree.compare import How
    from fastput.tree.select import Rule, Selection
    from fastput.tree.transfer import Deletion, TransferOptions

__all__ = [
    "Client",
    "Deletion",
    "FastputError",
    "Got",
    "How",
    "Listed",
    "Progress",
    "Receipt",
    "Rule",
    "Selection",
    "TransferOptions",
    "TreeEvents",
    "TreeReport",
    "Verification",
    "__version__",
    "as_completed",
    "errors",
    "open",
    "put",
    "verify",
]

_HOMES = {
    "Client": "fastput.client",
    "put": "fastput.client",
    "verify": "fastput.client",
    "open": "fastput.client",
    "Got": "fastput.client.reading.got",
    "Listed": "fastput.client.reading.listing",
    "Verification": "fastput.client.verifier",
    "FastputError": "fastput.errors",
    "Progress": "fastput.model",
    "Receipt": "fastput.model",
    "as_completed": "concurrent.futures",
    "Deletion": "fastput.tree.transfer",
    "How": "fastput.tree.compare",
    "Rule": "fastput.tree.select",
    "Selection": "fastput.tree.select",
    "TransferOptions": "fastput.tree.transfer",
    "TreeEvents": "fastput.client.trees",
    "TreeReport": "fastput.client.trees",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("fastput.errors")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fastput' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
