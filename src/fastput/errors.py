"""Every error that fastput raises on purpose, and the exit status of each.

    FastputError                    1   anything else that went wrong
     ├─ UsageError                  2   what was asked for can't be done: URI, option, limit
     ├─ SourceError                 3   the source can't be read
     │   ├─ SourceNotFound              no such file
     │   ├─ SourceUnreadable            no permission, a directory, a device, a pipe that isn't "-"
     │   ├─ SourceReadError             the disk or the pipe failed while it was read
     │   └─ SourceChanged           4   the file isn't what it was when the upload began
     ├─ CredentialsError            5   none, wrong, or expired
     ├─ StoreError                  6   the store answered with an error
     │   ├─ NoSuchBucket
     │   ├─ WrongRegion
     │   ├─ UploadGone                  the multipart upload was aborted by somebody else, or has expired
     │   ├─ IntegrityError          7   the store received, or holds, other bytes than were read
     │   └─ ObjectExists            8   --no-clobber: an object is there already
     ├─ EndpointError               9   the store can't be reached: name, connection, TLS, time-out
     │   └─ Stalled                11   nothing moved for longer than --stall-timeout
     ├─ JournalError                1   the journal can't be used
     │   └─ JournalBusy            12   another process is sending the same source to the same object
     ├─ Unproven                   13   whether the object is the file can't be told without a download
     ├─ DamagedArchive             14   a compressed or packed object, or its index, isn't what was written
     ├─ ForkError                   1   a client was used in another process than the one that made it
     └─ Interrupted               130   cancelled, or Ctrl-C
         └─ Resumable              10   the same, and the same command goes on where it ended

A subclass without a number has its parent's. Each error says what happened, to which object, and what to do.
"""

from __future__ import annotations

from fastput.text import printable


class FastputError(Exception):
    """The root. All attributes but the message may be None.

    Attributes:
        bucket, key: the object that the error is about.
        part: the part number, from 1.
        request_id: the store's own name for the failed request, for its operators.
        status: the HTTP status.
        code: the store's error code, e.g. "NoSuchBucket".
        upload_id: a multipart upload that is left on the store, if one is.
        hint: what is kept of the upload, and how to go on with it.
        is_temporary: the same may succeed if it is tried again (False rather than None).
    """

    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        bucket: str | None = None,
        key: str | None = None,
        part: int | None = None,
        request_id: str | None = None,
        status: int | None = None,
        code: str | None = None,
        upload_id: str | None = None,
        is_temporary: bool = False,
    ) -> None:
        # One line: a key may hold line breaks, and libraries' messages do.
        self.message = " ".join(message.splitlines())
        super().__init__(self.message)
        self.bucket = bucket
        self.key = key
        self.part = part
        self.request_id = request_id
        self.status = status
        self.code = code
        self.upload_id = upload_id
        self.is_temporary = is_temporary
        self.hint: str | None = None

    def __str__(self) -> str:
        # It goes to terminals and logs, and keys, file names and stores' messages are others' words.
        if self.hint:
            return printable(f"{self.message}; {self.hint}")
        left = f" (multipart upload {self.upload_id} is left on the store)" if self.upload_id else ""
        return printable(self.message + left)


class UsageError(FastputError, ValueError):
    """What was asked for can't be done as it was asked: a URI, an option, a limit of the store."""

    exit_status = 2


class SourceError(FastputError):
    """The source can't be read."""

    exit_status = 3


class SourceNotFound(SourceError):
    """There is no such file."""


class SourceUnreadable(SourceError):
    """The file is there but isn't for us: no permission, a directory, a device."""


class SourceReadError(SourceError):
    """The disk, the file system or the pipe failed while it was read."""


class SourceChanged(SourceError):
    """The file isn't what it was when the upload began.

    No multipart upload was completed. A small file, sent in one request, is on the store as it was when it was read,
    if it changed after that.
    """

    exit_status = 4


class CredentialsError(FastputError):
    """No credentials, wrong ones, or expired ones."""

    exit_status = 5


class StoreError(FastputError):
    """The store answered with an error that a retry doesn't mend."""

    exit_status = 6


class NoSuchBucket(StoreError):
    """The bucket doesn't exist."""


class WrongRegion(StoreError):
    """The bucket lives in another region than the one that was asked."""


class UploadGone(StoreError):
    """The store doesn't know the multipart upload: somebody aborted or completed it, or it has expired."""


class IntegrityError(StoreError):
    """The store received other bytes than the ones that were read, and refused them; or it was found to hold others."""

    exit_status = 7


class ObjectExists(StoreError):
    """--no-clobber: an object with this key is there already."""

    exit_status = 8


class EndpointError(FastputError):
    """The store can't be reached: name resolution, connection, TLS, time-out."""

    exit_status = 9


class Stalled(EndpointError):
    """Nothing moved, in either direction, for longer than the stall time-out."""

    exit_status = 11


class JournalError(FastputError):
    """The journal can't be used: its directory can't be written, or isn't ours."""


class JournalBusy(JournalError):
    """Another process is sending the same source to the same object."""

    exit_status = 12


class Unproven(FastputError):
    """Nothing that the store says of the object proves or disproves that it is the file."""

    exit_status = 13


class DamagedArchive(FastputError):
    """A compressed or packed object, its seek table or its index isn't what was written: nothing of it was used."""

    exit_status = 14


class ForkError(FastputError):
    """A client was used in another process than the one that made it."""


class Interrupted(FastputError):
    """The upload was cancelled."""

    exit_status = 130


class Resumable(Interrupted):
    """The upload was cancelled; its parts and its journal are kept, and putting it again goes on from there."""

    exit_status = 10
