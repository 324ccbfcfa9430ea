"""One thing at a time, each with a client of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastput.client.client import Client
from fastput.model import Receipt

if TYPE_CHECKING:
    import io

    from fastput.client.arguments import Sendable
    from fastput.client.verifier import Verification


def put(source: Sendable, uri: str, **options: Any) -> Receipt:
    """Uploads one source with a client of its own.

    Takes the options of Client and of Client.submit.

        receipt = fastput.put("obs.fits", "s3://bucket/2026/obs.fits", profile="observatory")
    """
    names = set(Client.__init__.__kwdefaults__ or {})
    with Client(**{name: value for name, value in options.items() if name in names}) as client:
        return client.put(source, uri, **{name: value for name, value in options.items() if name not in names})


def verify(source: Sendable, uri: str, deep: bool = False, **options: Any) -> Verification:
    """Whether an object is a file, with a client of its own. Takes the options of Client, and errors as Client.verify.

    fastput.verify("obs.fits", "s3://bucket/2026/obs.fits", profile="observatory").check()
    """
    with Client(**options) as client:
        return client.verify(source, uri, deep)


def open(uri: str, *, client: Client | None = None, raw: bool = False, **options: Any) -> io.BufferedReader:
    """An object, or a member of an archive, as a file that can be read anywhere; compressed objects as their content.

        with fastput.open("s3://bucket/obs.tar.zst//2026/a.npy") as file:
            array = numpy.load(file)

    Args:
        client: whose connections to use; otherwise a client of its own is made with the other options, those of Client.
        raw: the object as it is stored.
    """
    if client is not None:
        return client.open(uri, raw)
    from fastput.client.reading.file import open_location

    own = Client(**options)
    try:
        return open_location(own._all_archives(), uri, raw, own.close)
    except BaseException:
        own.close()
        raise
