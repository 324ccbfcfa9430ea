# cython: language_level=3, boundscheck=False, wraparound=False
"""Request bodies that read and hash a part in one pass, with the GIL released.

The runtime calls readinto on one of its own threads with a view of its send buffer. Bytes go from the file into
that buffer and through the checksum while they are in the cache; nothing is copied again and nothing is hashed
twice. Errors never leave readinto as exceptions: the stream ends early, the runtime fails the request for its
missing bytes, and `failure` says why.

With a trailer the body is framed as aws-chunked with one chunk, so that the checksum, known only when the last
byte was read, can follow the data:

    <length in hex> CRLF <data> CRLF 0 CRLF x-amz-checksum-crc64nvme:<base64> CRLF CRLF

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

import base64
import os

from fastput.native.crc cimport update_crc32c, update_crc64nvme


cdef extern from "slicer.h" nogil:
    ctypedef uint64_t (*fp_update_crc64)(uint64_t, const void *, size_t)
    ctypedef uint32_t (*fp_update_crc32)(uint32_t, const void *, size_t)
    ctypedef struct fp_hashes "struct fp_hashes":
        fp_update_crc64 update_crc64nvme
        fp_update_crc32 update_crc32c
        uint64_t crc64nvme
        uint32_t crc32c
    ctypedef enum fp_slice_status "enum fp_slice_status":
        FP_SLICE_OK
        FP_SLICE_SHRANK
        FP_SLICE_ERROR
        FP_SLICE_CHANGED
    size_t fp_slice_file(int, int64_t, void *, size_t, fp_hashes *, fp_slice_status *, int *)
    fp_slice_status fp_check_unchanged(int, int64_t, int64_t, int *)
    void fp_slice_memory(const void *, void *, size_t, fp_hashes *)
    void fp_hash_memory(const void *, size_t, fp_hashes *)
    int fp_is_cached(int, int64_t)
    void fp_will_need(int, int64_t, int64_t)
    void fp_wont_need(int, int64_t, int64_t)


cdef dict _CHECKSUM_BYTES = {"crc64nvme": 8, "crc32c": 4}


cdef class PartBody:
    """The body of one part's request, read once from front to back. Made by FileBody and MemoryBody."""

    cdef readonly int64_t length_bytes
    cdef readonly int64_t body_bytes
    cdef readonly str trailer
    cdef int64_t _position_bytes
    cdef fp_hashes _hashes
    cdef bytes _head
    cdef bytes _tail
    cdef int64_t _tail_bytes
    cdef fp_slice_status _status
    cdef int _errno

    cdef int _frame(self, int64_t length_bytes, str trailer) except -1:
        if length_bytes < 0:
            raise ValueError("a part's length can't be negative")
        self.length_bytes = length_bytes
        self.trailer = trailer
        self._hashes.update_crc64nvme = update_crc64nvme
        self._head = b""
        if trailer is not None:
            if trailer not in _CHECKSUM_BYTES:
                raise ValueError(f"no trailer for {trailer!r}; there are crc64nvme and crc32c")
            if trailer == "crc32c":
                self._hashes.update_crc32c = update_crc32c
            # An empty body is the last chunk and nothing else.
            self._head = b"%x\r\n" % length_bytes if length_bytes else b""
            self._tail_bytes = len(self._trailer(bytes(_CHECKSUM_BYTES[trailer])))
        self.body_bytes = len(self._head) + length_bytes + self._tail_bytes
        return 0

    cdef bytes _trailer(self, bytes checksum):
        return b"%b0\r\nx-amz-checksum-%b:%b\r\n\r\n" % (
            b"\r\n" if self.length_bytes else b"", self.trailer.encode(), base64.b64encode(checksum)
        )

    cdef size_t _read(self, int64_t done_bytes, char *destination, size_t length_bytes) noexcept nogil:
        return 0

    @property
    def crc64nvme(self):
        """CRC64NVME of the bytes read so far."""
        return self._hashes.crc64nvme

    @property
    def crc32c(self):
        """CRC32C of the bytes read so far; 0 unless it is the trailer."""
        return self._hashes.crc32c

    @property
    def read_bytes(self):
        """How many of the part's own bytes were read."""
        return max(0, min(self.length_bytes, self._position_bytes - len(self._head)))

    @property
    def failure(self):
        """None, or why the stream ended early: an OSError; EOFError: the file shrank; ValueError: it was written."""
        if self._status == FP_SLICE_ERROR:
            return OSError(self._errno, os.strerror(self._errno))
        if self._status == FP_SLICE_SHRANK:
            return EOFError("it became shorter")
        if self._status == FP_SLICE_CHANGED:
            return ValueError("it was written to")
        return None

    def readinto(self, buffer, /):
        """Fills a writable buffer; returns the number of bytes, 0 at the end of the body or after a failure."""
        cdef Py_buffer view
        PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            return self._fill(<char *>view.buf, <size_t>view.len)
        finally:
            PyBuffer_Release(&view)

    def read(self, Py_ssize_t size=-1, /):
        """As a file's read; readinto is the fast way."""
        cdef int64_t left_bytes = self.body_bytes - self._position_bytes
        buffer = bytearray(left_bytes if size < 0 else min(<int64_t>size, left_bytes))
        return bytes(buffer[:self.readinto(buffer)])

    cdef Py_ssize_t _fill(self, char *destination, size_t room_bytes) except -1:
        cdef int64_t head_bytes = len(self._head)
        cdef int64_t data_end_bytes = head_bytes + self.length_bytes
        cdef size_t filled_bytes = 0
        cdef size_t wanted_bytes, got_bytes
        while filled_bytes < room_bytes and self._position_bytes < self.body_bytes and self._status == FP_SLICE_OK:
            if self._position_bytes < head_bytes:
                got_bytes = _copy(self._head, self._position_bytes, destination + filled_bytes,
                                  room_bytes - filled_bytes)
            elif self._position_bytes < data_end_bytes:
                wanted_bytes = min(room_bytes - filled_bytes, <size_t>(data_end_bytes - self._position_bytes))
                with nogil:
                    got_bytes = self._read(self._position_bytes - head_bytes, destination + filled_bytes,
                                           wanted_bytes)
            else:
                if self._tail is None:
                    self._tail = self._trailer(
                        self._hashes.crc64nvme.to_bytes(8, "big") if self.trailer == "crc64nvme"
                        else self._hashes.crc32c.to_bytes(4, "big")
                    )
                got_bytes = _copy(self._tail, self._position_bytes - data_end_bytes, destination + filled_bytes,
                                  room_bytes - filled_bytes)
            filled_bytes += got_bytes
            self._position_bytes += <int64_t>got_bytes
        return <Py_ssize_t>filled_bytes


cdef size_t _copy(bytes source, int64_t start_bytes, char *destination, size_t room_bytes) except? 0:
    cdef size_t length_bytes = min(<size_t>(len(source) - start_bytes), room_bytes)
    memcpy(destination, <const char *>source + start_bytes, length_bytes)
    return length_bytes


cdef class FileBody(PartBody):
    """Bytes [offset, offset + length) of an open file of a known size and modification time.

    The caller keeps the descriptor open. With the last byte the file is looked at again: if it isn't what it was,
    the body ends one byte early and the request fails before it is sent.
    """

    cdef readonly int fd
    cdef readonly int64_t offset_bytes
    cdef int64_t _file_bytes
    cdef int64_t _mtime_ns

    def __init__(self, int fd, int64_t offset_bytes, int64_t length_bytes, int64_t file_bytes, int64_t mtime_ns,
                 str trailer=None):
        self.fd = fd
        self.offset_bytes = offset_bytes
        self._file_bytes = file_bytes
        self._mtime_ns = mtime_ns
        self._frame(length_bytes, trailer)

    cdef size_t _read(self, int64_t done_bytes, char *destination, size_t length_bytes) noexcept nogil:
        cdef size_t got_bytes = fp_slice_file(self.fd, self.offset_bytes + done_bytes, destination, length_bytes,
                                              &self._hashes, &self._status, &self._errno)
        if self._status == FP_SLICE_OK and done_bytes + <int64_t>got_bytes == self.length_bytes:
            self._status = fp_check_unchanged(self.fd, self._file_bytes, self._mtime_ns, &self._errno)
        return got_bytes if self._status == FP_SLICE_OK or got_bytes == 0 else got_bytes - 1


cdef class MemoryBody(PartBody):
    """The bytes of an object with a contiguous buffer: bytes, bytearray, mmap, a numpy array. Not copied before."""

    cdef Py_buffer _view  # zero, and so released as nothing, until __init__ has filled it

    def __init__(self, buffer, str trailer=None):
        PyObject_GetBuffer(buffer, &self._view, PyBUF_SIMPLE)
        self._frame(self._view.len, trailer)

    def __dealloc__(self):
        PyBuffer_Release(&self._view)

    cdef size_t _read(self, int64_t done_bytes, char *destination, size_t length_bytes) noexcept nogil:
        fp_slice_memory(<const char *>self._view.buf + done_bytes, destination, length_bytes, &self._hashes)
        return length_bytes


def is_cached(int fd, int64_t offset_bytes, /):
    """Whether a file's page is in the page cache; None where the kernel or the file system can't say."""
    cdef int answer = fp_is_cached(fd, offset_bytes)
    return None if answer < 0 else bool(answer)


def will_need(int fd, int64_t offset_bytes, int64_t length_bytes, /):
    """Asks the kernel to read a range ahead."""
    with nogil:
        fp_will_need(fd, offset_bytes, length_bytes)


def wont_need(int fd, int64_t offset_bytes, int64_t length_bytes, /):
    """Tells the kernel to drop a range from the page cache."""
    with nogil:
        fp_wont_need(fd, offset_bytes, length_bytes)
