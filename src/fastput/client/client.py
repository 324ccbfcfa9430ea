"""Client: one engine with its connections, shared by threads and by asyncio."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastput.client.arguments import (
    ENCODING,
    open_source,
    parse_checksum,
    parse_compression,
    parse_digests,
    rechecks_all,
    resolve_uri,
)
from fastput.client.core import Core
from fastput.engine.job import COMPRESSED_SUFFIX, Job
from fastput.errors import UsageError
from fastput.model import (
    ObjectAttributes,
    ObjectUri,
    Progress,
    Receipt,
)

if TYPE_CHECKING:
    import io

    from fastput.client.arguments import Sendable
    from fastput.client.packing import PackEvents, PackOptions, PackReport
    from fastput.client.reading.download import GetReceipt
    from fastput.client.reading.got import Got
    from fastput.client.reading.listing import Listed
    from fastput.client.trees import TreeEvents, TreeReport
    from fastput.client.verifier import Verification
    from fastput.tree.roots import Root
    from fastput.tree.transfer import TransferOptions


_log = logging.getLogger("fastput")


class Client(Core):
    """Uploads to one endpoint with one set of credentials. Threads share it; connections stay warm.

        with fastput.Client(endpoint_url=url, memory="4GiB") as client:
            futures = [client.submit(path, uri) for path, uri in work]
            for done in fastput.as_completed(futures):
                register(done.result())

    Leaving the `with` block waits for what was submitted; leaving it by an exception cancels it.

    Args:
        endpoint_url: a store other than Amazon S3; also AWS_ENDPOINT_URL or the profile's.
        region, profile: as in ~/.aws/config; also AWS_REGION, AWS_PROFILE.
        ca_bundle: a PEM file of certificate authorities; also AWS_CA_BUNDLE.
        verify: False accepts any certificate.
        concurrency: requests in flight. By default it follows the link and the store, from measurements.
        part_size: of multipart uploads, in bytes or as "16MiB". By default it follows the file's size.
        memory: the most that parts in flight may take, in bytes or as "4GiB". By default a quarter of the machine's.
        resume: keep a journal of multipart uploads of files, and go on with those that an earlier run has left.
        state_dir: where journals are kept, and what stores were found to take; by default the platform's state
            directory, e.g. ~/.local/state/fastput.
        probe: find out anew what the store takes, whatever is remembered.
        stall_timeout: seconds without anything moving after which uploads end with Stalled.
        on_stall: called with a sentence, on the engine's thread, while nothing moves.
        limit_rate: the most that all uploads together send, as "400Mbps", "50MB/s", or by the local time of day as
            "08:00-18:00=200Mbps,else=max". It counts the objects' bytes.
        trace: a file for what was measured and decided, ten JSON lines a second.

    Raises:
        UsageError: an option makes no sense.
    """

    def put(self, source: Sendable, uri: str, **options: Any) -> Receipt:
        """Uploads and waits. Options and errors as submit()."""
        return self.submit(source, uri, **options).result()

    async def aput(self, source: Sendable, uri: str, **options: Any) -> Receipt:
        """Uploads without blocking the event loop. Options and errors as submit().

        Cancelling the task stops the waiting, not an upload that has begun.
        """
        import asyncio  # 50 ms that only those pay who use it

        return await asyncio.wrap_future(self.submit(source, uri, **options))

    def submit(
        self,
        source: Sendable,
        uri: str,
        *,
        checksum: str = "auto",
        content_type: str | None = None,
        storage_class: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        no_clobber: bool = False,
        verify_etag: bool = False,
        digests: Sequence[str] = (),
        verify_resume: str = "sample",
        upload_id: str | None = None,
        compress: str | int | None = None,
        frame_size: int | str | None = None,
        content_encoding: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> Future[Receipt]:
        """Queues an upload and returns at once.

        Args:
            source: a path; an open binary file or pipe, read from where it stands to its end; or bytes in memory
                (bytes, mmap, a C-contiguous numpy array), not copied and not to be changed before the end.
            uri: s3://bucket/key, or s3://bucket/prefix/ to put a path under its own name.
            checksum: what the store checks the bytes against: crc64nvme, crc32c, md5, none, or auto: the strongest
                that it takes.
            no_clobber: fail with ObjectExists rather than replace an object.
            verify_etag: compare the store's ETag of each part with its MD5: for stores that check nothing themselves.
            digests: of the whole object, for the receipt: crc32, md5, sha1, sha256, sha512. Taken in the same pass.
            verify_resume: how much of what an earlier run has sent is read again: "sample" or "all".
            upload_id: a multipart upload on the store to go on with, of which there is no journal here.
            compress: None: as it is; "auto", or a level of zstd from 1 to 19: the object is in the seekable zstd
                format, any part of which can be read by itself, and its key gets ".zst". auto follows link and data.
            frame_size: of content that can be decompressed by itself, in bytes or as "1MiB", which is the default.
            content_encoding: the key stays as it is, and the object has Content-Encoding: zstd.
            on_progress: called on the engine's thread after each part; has to be quick.
            on_note: called with a sentence when something was found that people should know, e.g. that an earlier
                upload goes on; on any thread. By default it is logged.

        Returns:
            A future of the receipt, resolved when the store has confirmed the object. Its exception is a FastputError:
            SourceError, CredentialsError, StoreError, EndpointError, JournalBusy, Interrupted (see fastput.errors).

        Raises:
            UsageError: the URI or an option makes no sense.
            ForkError: in a child process of the one that made the client.
        """
        self._check_process()
        compression = parse_compression(compress, frame_size)
        if content_encoding and compression is None:
            raise UsageError("a Content-Encoding is for what is compressed: give --compress, too")
        encoding = ENCODING if content_encoding else None
        attributes = ObjectAttributes(content_type, storage_class, dict(metadata or {}), dict(tags or {}), encoding)
        attributes.check()
        job = Job(
            open_source=lambda: open_source(source),
            uri=resolve_uri(source, uri, COMPRESSED_SUFFIX if compression and not content_encoding else ""),
            compression=compression,
            attributes=attributes,
            checksum=parse_checksum(checksum),
            no_clobber=no_clobber,
            verifies_etag=verify_etag,
            digests=parse_digests(digests),
            is_resumable=self._resumes,
            rechecks_all=rechecks_all(verify_resume),
            upload_id=upload_id,
            on_progress=on_progress,
            on_note=on_note or _log.info,
        )
        return self._submit(job)

    def transfer(
        self,
        sources: str | os.PathLike[str] | Root,
        uri: str,
        options: TransferOptions | None = None,
        events: TreeEvents | None = None,
        *,
        checksum: str = "auto",
        content_type: str | None = None,
        storage_class: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        no_clobber: bool = False,
        verify_etag: bool = False,
        compress: str | int | None = None,
        frame_size: int | str | None = None,
    ) -> TreeReport:
        """Sends what lies in a directory, or the part of it that the store hasn't got; waits for all of it.

            options = fastput.TransferOptions(how=fastput.How.TIMES)
            client.transfer("run7", "s3://bucket/run7/", options).check()   # as fastput sync

        Args:
            sources: a directory: what lies in it goes right below the prefix; or any Root.
            uri: s3://bucket/prefix/; a "/" is added where there is none.
            options: what is sent, skipped, deleted; by default all files are sent.
            events: told of each file.
            checksum, content_type, storage_class, metadata, tags, no_clobber, verify_etag, compress, frame_size: as in
                submit(); each object is compressed by itself.

        Returns:
            planned = sent + skipped + failed. A file that fails is no exception: see TreeReport.check().

        Raises:
            UsageError: the URI or an option makes no sense, or more would be deleted than is allowed.
            SourceError: the directory isn't there.
            JournalBusy: another process transfers the same to the same place.
            StoreError, EndpointError, CredentialsError: the store can't be asked.
        """
        from fastput.client.trees import TreeEvents, report_of, root_of  # only who sends trees pays for it
        from fastput.tree.transfer import Means, Transfer, TransferOptions

        target = ObjectUri.parse(uri if uri.endswith("/") else f"{uri}/")
        told = events or TreeEvents()
        attributes = ObjectAttributes(content_type, storage_class, dict(metadata or {}), dict(tags or {}))
        template = self._template(
            target, attributes, checksum, no_clobber, verify_etag, parse_compression(compress, frame_size), told.note
        )
        means = Means(
            submit=self._submit_all,
            store=self._store,
            is_same=self._is_same,
            state_directory=self._state_directory if self._resumes else None,
            template=template,
            stop=self._stop,
        )
        root = root_of(sources) if isinstance(sources, (str, os.PathLike)) else sources
        return report_of(Transfer(root, target, options or TransferOptions(), means, told).run())

    def pack(
        self,
        sources: str | os.PathLike[str] | Root,
        uri: str,
        options: PackOptions | None = None,
        events: PackEvents | None = None,
        *,
        checksum: str = "auto",
        storage_class: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        no_clobber: bool = False,
        verify_etag: bool = False,
        compress: str | int | None = None,
        frame_size: int | str | None = None,
    ) -> PackReport:
        """Sends what lies in a directory as a tar, or as several of bounded size, with an index; waits for all of it.

            client.pack("run7", "s3://bucket/run7.tar", compress="auto").check()   # s3://bucket/run7.tar.zst

        The tar is never written: it is made as it is sent. Beside it are its index for ratarmount, as CSV and as JSON
        lines; it also holds one itself (docs/decisions/0016-virtual-tar.md).

        Args:
            sources: a directory: members are named below it; or any Root.
            uri: s3://bucket/key, or s3://bucket/prefix/ to name it after the directory.
            options, events: what is packed; told of what becomes of it.
            checksum, storage_class, metadata, tags, no_clobber, verify_etag, compress, frame_size: as in submit().

        Returns:
            planned = packed + skipped + failed. A file that fails is no exception: see PackReport.check().

        Raises:
            UsageError: the URI or an option makes no sense.
            SourceError: the directory isn't there, or there is nothing in it.
        """
        from fastput.client.packing import PackEvents, Packing, PackOptions  # only who packs pays for it
        from fastput.client.trees import root_of

        told = events or PackEvents()
        attributes = ObjectAttributes("application/x-tar", storage_class, dict(metadata or {}), dict(tags or {}))
        template = self._template(
            ObjectUri.parse(uri), attributes, checksum, no_clobber, verify_etag,
            parse_compression(compress, frame_size), told.note,
        )  # fmt: skip
        root = root_of(sources) if isinstance(sources, (str, os.PathLike)) else sources
        return Packing(root, template, options or PackOptions(), told, self._submit).run()

    def _is_same(self, path: str, uri: ObjectUri) -> bool | None:
        """Whether an object has a file's bytes, by what the store says of it; None: it doesn't say."""
        from fastput.client.proof import Outcome

        outcome = self.verify(path, str(uri)).outcome
        return None if outcome is Outcome.UNPROVEN else outcome is Outcome.SAME

    def verify(self, source: Sendable, uri: str, deep: bool = False) -> Verification:
        """Whether an object is a file: by what the store says of it, and only if deep by downloading it. Waits.

            client.verify("obs.fits", "s3://bucket/2026/obs.fits").check()    # raises unless it is the same

        Args:
            source: a path, or bytes in memory.
            uri: as in submit().

        Raises:
            UsageError: the URI makes no sense, or the source is a stream.
            SourceError: the source can't be read, or is written to meanwhile.
            StoreError, EndpointError, CredentialsError: the store can't be asked.
            Interrupted: the client was cancelled.
        """
        return self._verify(source, resolve_uri(source, uri), deep)

    def get(
        self,
        uri: str,
        path: str | os.PathLike[str],
        *,
        version_id: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> GetReceipt:
        """Downloads an object to a file and waits. The file appears when it is whole and was compared with the object.

        Of a download that was interrupted, a file beside it is left, `.NAME.fastput-part`: the same call goes on there.

        Args:
            path: of the file, or of a directory that gets one with the key's last name.
            on_progress: called ten times a second, on the caller's thread.

        Raises:
            UsageError: the URI makes no sense, or there is no room or no such directory.
            StoreError, EndpointError, CredentialsError: the object can't be read, or was replaced meanwhile.
            IntegrityError: what arrived isn't what the store says of it; nothing is left of it.
            JournalBusy: another process downloads to the same file.
            Interrupted: the client was cancelled.
        """
        self._check_process()
        source = ObjectUri.parse(uri)
        return self._all_downloads().get(source.with_key(source.key), Path(path), version_id, on_progress)

    def get_all(
        self,
        uris: str | Sequence[str],
        path: str | os.PathLike[str],
        *,
        raw: bool = False,
        no_clobber: bool = False,
        dry_run: bool = False,
        on_progress: Callable[[str, int, int], None] = lambda source, arrived_bytes, size_bytes: None,
    ) -> Iterator[Got]:
        """Objects, what lies under prefixes, and members of archives become files, as with `fastput get`.

            for got in client.get_all("s3://bucket/run7.tar.zst//2026/", "run7"): ...    # got.error, if it isn't there

        Args:
            uris: s3://bucket/key, s3://bucket/prefix/, or members: s3://bucket/obs.tar.zst//path/in/tar.
            raw: objects as they are stored, also compressed ones.
            no_clobber: leave files alone that are there already.
            dry_run: write nothing.
            on_progress: told of what is too large to come with one request; on any thread.

        Raises:
            UsageError: a URI makes no sense, or they can't go there.
            Interrupted: the client was cancelled.
        """
        from fastput.client.reading.get import Getter

        getter = Getter(
            self._store, self._all_archives(), self._all_downloads(), raw=raw, no_clobber=no_clobber, dry_run=dry_run,
            on_progress=on_progress,
        )  # fmt: skip
        return getter.get([uris] if isinstance(uris, str) else uris, os.fspath(path))

    def open(self, uri: str, raw: bool = False) -> io.BufferedReader:
        """An object, or a member of an archive, as a file that can be read anywhere; compressed ones as their content.

            with client.open("s3://bucket/obs.tar.zst//2026/a.fits") as file: ...

        Errors of reading are those of fastput.errors, DamagedArchive among them.

        Args:
            raw: the object as it is stored.
        """
        from fastput.client.reading.file import open_location

        return open_location(self._all_archives(), uri, raw)

    def list(self, uri: str, recursive: bool = False) -> Iterator[Listed]:
        """What lies under s3://bucket/prefix/, or in an archive: s3://bucket/obs.tar.zst// or ...//directory/.

        Raises:
            DamagedArchive: the archive's index isn't what was written.
            StoreError, EndpointError, CredentialsError: it can't be asked, or there is nothing.
        """
        from fastput.client.reading.listing import listing
        from fastput.client.reading.uris import Location

        return listing(self._store, self._all_archives(), Location.parse(uri), recursive)
