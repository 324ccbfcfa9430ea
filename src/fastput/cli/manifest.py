"""`fastput put --manifest`: what was sent, as lists of digests. Written when all uploads have ended.

Only objects that the store has confirmed are listed. Where there is none, nothing is written, and what an earlier run
has written stays; otherwise it is replaced.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import click

from fastput.cli.report import Reporter
from fastput.client.arguments import resolve_uri
from fastput.errors import FastputError, UsageError
from fastput.model import ObjectUri, Receipt
from fastput.version import __version__

_STDIN = "-"
_SIDECAR = ".checksum"


@dataclass(frozen=True, slots=True)
class _Kind:
    """
    Attributes:
        path: where it is written unless something else is asked for.
        is_directory: it is several files.
    """

    digests: tuple[str, ...]
    path: str
    is_directory: bool = False


_KINDS = {
    "sha256sum": _Kind(("sha256",), "SHA256SUMS"),
    "md5sum": _Kind(("md5",), "MD5SUMS"),
    "bagit": _Kind(("sha256",), "bag", is_directory=True),
    "casda": _Kind(("crc32", "sha1"), ".", is_directory=True),
}


class ManifestKind(click.ParamType):  # type: ignore[type-arg]
    """KIND or KIND=PATH, as (kind, path)."""

    name = "kind"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        kind, separator, path = value.partition("=")
        if kind not in _KINDS:
            self.fail(f"there is no kind {kind!r}; there are {', '.join(_KINDS)}", parameter, context)
        if separator and not path:
            self.fail(f"{value!r} names no file", parameter, context)
        return kind, path or _KINDS[kind].path


manifest_option = click.option(
    "--manifest", "manifests", type=ManifestKind(), multiple=True, metavar="KIND[=PATH]",
    help="List digests of what was sent: sha256sum or md5sum (a file that sha256sum -c or md5sum -c reads), bagit "
         "(the tag files of a bag, in a directory), casda (a sidecar each, in a directory). Repeatable.",
)  # fmt: skip


class Manifests:
    """The manifests of one run.

    Args:
        chosen: (kind, path) of each.
        sources: what is to be sent, as the command line has it.
        uri: where to.

    Raises:
        UsageError: one can't be written.
    """

    def __init__(self, chosen: Sequence[tuple[str, str]], sources: Sequence[str], uri: str) -> None:
        self._chosen = list(dict.fromkeys(chosen))
        self._sent: list[tuple[str, Future[Receipt]]] = []
        key = ObjectUri.parse(uri).key
        self._prefix = key[: key.rfind("/") + 1]
        for kind, path in self._chosen:
            _check_writable(path, _KINDS[kind].is_directory)
        names = [self._below(resolve_uri(b"" if source == _STDIN else source, uri).key) for source in sources]
        _check_names(self._chosen, names)
        read = {os.path.realpath(source) for source in sources if source != _STDIN}
        for path in self._files(names):
            if os.path.realpath(path) in read:
                raise UsageError(f"the manifest would replace {path}, which is to be sent: give another path")

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests that the receipts have to hold."""
        return tuple(dict.fromkeys(name for kind, _ in self._chosen for name in _KINDS[kind].digests))

    def watch(self, source: str, future: Future[Receipt]) -> Future[Receipt]:
        """Takes an upload into the manifests if it succeeds. Returns its future."""
        self._sent.append((source, future))
        return future

    def write(self, reporter: Reporter) -> int:
        """Writes them when all uploads have ended; reports those that can't be, and returns an exit status."""
        sent: list[tuple[str, Receipt]] = []
        status = 0
        for source, future in self._sent:
            if not _has_succeeded(future):
                continue
            if set(self.digests) <= future.result().digests.keys():
                sent.append((source, future.result()))
            else:  # an earlier run had sent all of it
                why = "it was sent before, and no digests of it were taken: put it again to have it in the manifest"
                status = _report(reporter, source, f"{source}: {why}")
        for kind, path in self._chosen if sent else ():
            files = dict(self._contents(kind, path, sent))
            try:
                for name, content in files.items():
                    os.makedirs(os.path.dirname(os.path.abspath(name)), exist_ok=True)
                    _replace(name, content)
            except OSError as failure:
                why = f"can't be written: {failure.strerror or failure}; what belongs in it was sent"
                status = _report(reporter, path, f"the manifest {path} {why}")
        return status

    def _contents(self, kind: str, path: str, sent: Sequence[tuple[str, Receipt]]) -> Iterator[tuple[str, bytes]]:
        """The files of one manifest and what goes into each, in the order in which they are written."""
        from fastput.formats.manifest import Payload, bag_files, casda_line, checksum_line

        digest = _KINDS[kind].digests[0]
        if kind == "bagit":
            payload = [
                Payload(self._below(receipt.key), receipt.size_bytes, receipt.digests[digest]) for _, receipt in sent
            ]
            bag = bag_files(payload, time.strftime("%Y-%m-%d"), f"fastput {__version__}")
            yield from ((os.path.join(path, name), content) for name, content in bag.items())
        elif kind == "casda":
            for _, receipt in sent:
                line = casda_line(receipt.digests["crc32"], receipt.digests["sha1"], receipt.size_bytes)
                yield os.path.join(path, self._below(receipt.key) + _SIDECAR), line
        else:
            # The path as it was given: -c finds the file from where fastput was called. A stream has only its key's.
            yield path, b"".join(
                checksum_line(receipt.digests[digest], self._below(receipt.key) if source == _STDIN else source)
                for source, receipt in sent
            )

    def _below(self, key: str) -> str:
        return key.removeprefix(self._prefix)

    def _files(self, names: Sequence[str]) -> Iterator[str]:
        """What will be written."""
        for kind, path in self._chosen:
            if kind == "casda":
                yield from (os.path.join(path, name + _SIDECAR) for name in names)
            elif kind == "bagit":
                from fastput.formats.manifest import bag_files

                yield from (os.path.join(path, name) for name in bag_files((), "", ""))
            else:
                yield path


def _report(reporter: Reporter, about: str, message: str) -> int:
    error = FastputError(message)
    reporter.failed(about, error)
    return error.exit_status


def _has_succeeded(future: Future[Receipt]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _check_names(chosen: Sequence[tuple[str, str]], names: Sequence[str]) -> None:
    """Keys are free, files below a directory aren't."""
    for name in names if any(_KINDS[kind].is_directory for kind, _ in chosen) else ():
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            raise UsageError(f"{name!a} can't be a file's name in a manifest: give another key")


def _check_writable(path: str, is_directory: bool) -> None:
    if is_directory:
        directory = os.path.abspath(path)
        while not os.path.lexists(directory):
            directory = os.path.dirname(directory)
    else:
        directory = os.path.dirname(os.path.realpath(path))
        # A device or a pipe would be replaced by a file.
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"the manifest {path} can't be written: it is there, and is no regular file")
    try:
        os.unlink(_create_beside(os.path.join(directory, "manifest"))[0])
    except OSError as error:
        raise UsageError(f"the manifest {path} can't be written: {error.strerror}") from None


def _create_beside(path: str) -> tuple[str, int]:
    """A new file in the same directory, and its descriptor."""
    directory, name = os.path.split(path)
    beside = os.path.join(directory, f".{name[:64]}.{os.urandom(6).hex()}")
    return beside, os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _replace(path: str, content: bytes) -> None:
    """Writes a file beside and moves it into its place: whoever reads it sees the old one or the new one, whole."""
    path = os.path.realpath(path)
    beside, descriptor = _create_beside(path)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
