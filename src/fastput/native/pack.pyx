# cython: language_level=3, boundscheck=False, wraparound=False
"""Bodies of an archive that is never written, made with the GIL released once for all files of a part: csrc/pack.c."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free

import os

from fastput.native.slicer cimport FP_SLICE_ERROR, FP_SLICE_OK, PartBody, fp_hashes, fp_slice_memory


cdef extern from "pack.h" nogil:
    ctypedef enum fp_pack_outcome "enum fp_pack_outcome":
        FP_PACK_OK
        FP_PACK_UNREADABLE
        FP_PACK_NO_FILE
        FP_PACK_RESIZED
        FP_PACK_WRITTEN
    ctypedef struct fp_pack_entry "struct fp_pack_entry":
        const char *head
        int64_t head_bytes
        const char *path
        int64_t offset_bytes
        int64_t length_bytes
        int64_t size_bytes
        int64_t mtime_ns
        int64_t padding_bytes
        fp_pack_outcome outcome
        int error_number
        uint64_t crc64nvme
    ctypedef struct fp_pack "struct fp_pack":
        fp_pack_entry *entries
        size_t count
        size_t index
        int64_t done_bytes
    size_t fp_pack_read(fp_pack *, unsigned char *, size_t, fp_hashes *)


cdef class PackBody(PartBody):
    """Heads, pieces of files and zeros, and behind them what is known only when they were read.

    Args:
        content: asked by the thread that reads, once each:
            entries(): of each (head, path or None, offset of the piece in the file, length of the piece, size of the
                file, its modification time in ns, zeros behind the piece);
            was_read(pieces, crc64nvme): when all of them were read; the pieces are, of each entry with a path,
                (its index, CRC64NVME of the piece as it was given, why the file isn't what it was, or None);
            rest(): the bytes behind them, if they are fewer than length_bytes.
    """

    cdef object _content
    cdef bint _has_begun
    cdef list _entries  # keeps what the C structures point to
    cdef fp_pack _pack
    cdef bytes _rest
    cdef size_t _rest_done_bytes
    cdef object _trouble

    def __init__(self, content, int64_t length_bytes, str trailer=None):
        self._content = content
        self._frame(length_bytes, trailer)

    def __dealloc__(self):
        free(self._pack.entries)

    @property
    def failure(self):
        """None, or the exception that the content has raised: a file that fails is no failure of the body."""
        return self._trouble

    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil:
        cdef size_t got_bytes = 0
        if not self._has_begun:
            with gil:
                self._begin()
        if self._pack.index < self._pack.count:
            got_bytes = fp_pack_read(&self._pack, <unsigned char *>destination, length_bytes, &self._hashes)
            if self._pack.index == self._pack.count:
                with gil:
                    self._end()
        if got_bytes < length_bytes and self._status == FP_SLICE_OK:
            with gil:
                got_bytes += self._give_rest(destination + got_bytes, length_bytes - got_bytes)
        return got_bytes

    cdef int _begin(self) noexcept:
        self._has_begun = True
        try:
            self._entries = self._content.entries()
            self._pack.entries = _entries_of(self._entries)
            self._pack.count = <size_t>len(self._entries)
        except BaseException as error:
            self._fail(error)

    cdef int _end(self) noexcept:
        cdef size_t index
        cdef fp_pack_entry *entry
        cdef list pieces = []
        try:
            for index in range(self._pack.count):
                entry = &self._pack.entries[index]
                if entry.path != NULL:
                    pieces.append((index, entry.crc64nvme, None if entry.outcome == FP_PACK_OK else _reason(entry)))
            self._content.was_read(pieces, self._hashes.crc64nvme)
            # The body is kept until the store has answered.
            self._entries = None
            free(self._pack.entries)
            self._pack.entries = NULL
            self._pack.count = self._pack.index = 0
        except BaseException as error:
            self._fail(error)

    cdef size_t _give_rest(self, char *destination, size_t length_bytes) noexcept:
        cdef fp_hashes *hashes = &self._hashes
        try:
            if self._rest is None:
                self._rest = self._content.rest()
            if len(self._rest) - self._rest_done_bytes < length_bytes:
                raise ValueError("what is behind the entries is too short")
            fp_slice_memory(<const char *>self._rest + self._rest_done_bytes, destination, length_bytes, hashes)
            self._rest_done_bytes += length_bytes
            return length_bytes
        except BaseException as error:
            self._fail(error)
            return 0

    cdef int _fail(self, error) noexcept:
        self._trouble = error
        self._status = FP_SLICE_ERROR


cdef fp_pack_entry *_entries_of(list entries) except NULL:
    cdef fp_pack_entry *first = <fp_pack_entry *>calloc(len(entries) or 1, sizeof(fp_pack_entry))
    cdef fp_pack_entry *entry = first
    cdef bytes head, path
    if first == NULL:
        raise MemoryError
    try:
        for head, path, offset_bytes, length_bytes, size_bytes, mtime_ns, padding_bytes in entries:
            entry.head, entry.head_bytes = head, len(head)
            if path is not None:
                entry.path = path
            entry.offset_bytes, entry.length_bytes = offset_bytes, length_bytes
            entry.size_bytes, entry.mtime_ns, entry.padding_bytes = size_bytes, mtime_ns, padding_bytes
            if (entry.offset_bytes < 0 or entry.length_bytes < 0 or entry.padding_bytes < 0
                    or entry.length_bytes > entry.size_bytes - entry.offset_bytes):
                raise ValueError("a piece isn't within its file")
            if entry.length_bytes > 0 if path is None else b"\0" in path:
                raise ValueError("a piece without a file's path")
            entry += 1
        return first
    except BaseException:
        free(first)
        raise


cdef str _reason(fp_pack_entry *entry):
    if entry.outcome == FP_PACK_UNREADABLE:
        return f"it can't be read: {os.strerror(entry.error_number)}"
    if entry.outcome == FP_PACK_NO_FILE:
        return "it isn't a regular file any more"
    return "it has another size than it had" if entry.outcome == FP_PACK_RESIZED else "it was written to"
