# cython: language_level=3, boundscheck=False, wraparound=False
"""Request bodies that read and hash a part in one pass, with the GIL released.

The runtime calls readinto on one of its own threads with a view of its send buffer. Bytes go from the file into
that buffer and through the checksum while they are in the cache; nothing is copied again and nothing is hashed
twice. Errors never leave readinto as exceptions: the stream ends early, the runtime fails the request for its
missing bytes, and `failure` says why.

With a trailer the body is framed as aws-chunked, so that the checksum, known only when the last byte was read, can
follow the data:

    {<length in hex> CRLF <data> CRLF}... 0 CRLF x-amz-checksum-crc64nvme:<base64> CRLF CRLF

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.types cimport clockid_t

import base64
import os

from fastput.native.crc cimport update_crc32c, update_crc64nvme


cdef dict _CHECKSUM_BYTES = {"crc64nvme": 8, "crc32c": 4}


# Bytes of framing around a chunk of 8 KiB ("2000", CRLF, CRLF) and around one of 64 KiB ("10000", CRLF, CRLF).
cdef int _SMALL_BYTES = 8192
cdef int _LARGE_BYTES = 65536
cdef int _SMALL_FRAME_BYTES = 8
cdef int _LARGE_FRAME_BYTES = 9
cdef int _CACHE_LINE_BYTES = 64


cdef list _chunks(int64_t length_bytes):
    """The chunks of a part: one, after as many short ones as it takes to make the framing before it 64 bytes or 128.

    The runtime's buffer begins at a cache line, and so does the part in the file: then nearly all of the data has the
    same place in a cache line on both sides. Where it hasn't, the kernel's copy (rep movsb) runs at 2.8 GB/s instead
    of 8.6, measured on a Zen 4. 8 KiB are the least that S3 takes for a chunk that isn't the last.
    """
    cdef int small_count, large_count
    cdef int64_t short_bytes
    for large_count in range(8):
        for small_count in range(8):
            short_bytes = small_count * _SMALL_BYTES + large_count * _LARGE_BYTES
            if short_bytes >= length_bytes // 2:
                break
            if (small_count * _SMALL_FRAME_BYTES + large_count * _LARGE_FRAME_BYTES
                    + len(b"%x\r\n" % (length_bytes - short_bytes))) % _CACHE_LINE_BYTES == 0:
                return ([_LARGE_BYTES] * large_count + [_SMALL_BYTES] * small_count + [length_bytes - short_bytes])
    return [length_bytes] if length_bytes else []


cdef extern from "time.h" nogil:
    clockid_t CLOCK_THREAD_CPUTIME_ID


cdef int64_t now_ns(clockid_t clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return <int64_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef class PartBody:
    """The body of one part's request, read once from front to back. What is read is its subclasses' matter."""

    cdef int _frame(self, int64_t length_bytes, str trailer) except -1:
        cdef bytes separator = b""
        if length_bytes < 0:
            raise ValueError("a part's length can't be negative")
        self.length_bytes = length_bytes
        self.trailer = trailer
        self._literal = b""
        self._hashes.update_crc64nvme = update_crc64nvme
        if trailer is None:
            self._framing = [(b"", length_bytes)]
            self.body_bytes = length_bytes
            return 0
        if trailer not in _CHECKSUM_BYTES:
            raise ValueError(f"no trailer for {trailer!r}; there are crc64nvme and crc32c")
        if trailer == "crc32c":
            self._hashes.update_crc32c = update_crc32c
        self._framing = []
        for chunk_bytes in _chunks(length_bytes):
            self._framing.append((b"%b%x\r\n" % (separator, chunk_bytes), chunk_bytes))
            separator = b"\r\n"
        self._framing.reverse()
        self._is_trailer_due = True
        self.body_bytes = sum(len(literal) + run_bytes for literal, run_bytes in self._framing)
        self.body_bytes += len(self._trailer(bytes(_CHECKSUM_BYTES[trailer])))
        return 0

    cdef bytes _trailer(self, bytes checksum):
        return b"%b0\r\nx-amz-checksum-%b:%b\r\n\r\n" % (
            b"\r\n" if self.length_bytes else b"", self.trailer.encode(), base64.b64encode(checksum)
        )

    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil:
        """The bytes of the source from read_bytes on."""
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
        cdef int64_t began_ns = now_ns(CLOCK_MONOTONIC)
        cdef int64_t cpu_began_ns = now_ns(CLOCK_THREAD_CPUTIME_ID)
        try:
            return self._fill(<char *>view.buf, <size_t>view.len)
        finally:
            self.read_ns += now_ns(CLOCK_MONOTONIC) - began_ns
            self.read_cpu_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_began_ns
            PyBuffer_Release(&view)

    def read(self, Py_ssize_t size=-1, /):
        """As a file's read; readinto is the fast way."""
        buffer = bytearray(self.body_bytes if size < 0 else min(<int64_t>size, self.body_bytes))
        return bytes(buffer[:self.readinto(buffer)])

    cdef Py_ssize_t _fill(self, char *destination, size_t room_bytes) except -1:
        cdef size_t filled_bytes = 0
        cdef size_t wanted_bytes, got_bytes
        while filled_bytes < room_bytes and self._status == FP_SLICE_OK:
            if self._literal_done_bytes < len(self._literal):
                got_bytes = min(<size_t>(len(self._literal) - self._literal_done_bytes), room_bytes - filled_bytes)
                memcpy(destination + filled_bytes, <const char *>self._literal + self._literal_done_bytes, got_bytes)
                self._literal_done_bytes += <int64_t>got_bytes
            elif self._run_left_bytes > 0:
                wanted_bytes = min(room_bytes - filled_bytes, <size_t>self._run_left_bytes)
                with nogil:
                    got_bytes = self._read(destination + filled_bytes, wanted_bytes)
                self.read_bytes += <int64_t>got_bytes
                self._run_left_bytes -= <int64_t>got_bytes
            elif self._framing:
                self._literal, self._run_left_bytes = self._framing.pop()
                self._literal_done_bytes = got_bytes = 0
            elif self._is_trailer_due:
                self._is_trailer_due = False
                self._literal = self._trailer(
                    self._hashes.crc64nvme.to_bytes(8, "big") if self.trailer == "crc64nvme"
                    else self._hashes.crc32c.to_bytes(4, "big")
                )
                self._literal_done_bytes = got_bytes = 0
            else:
                break
            filled_bytes += got_bytes
        return <Py_ssize_t>filled_bytes


cdef class FileBody(PartBody):
    """Bytes [offset, offset + length) of an open file of a known size and modification time.

    The caller keeps the descriptor open. With the last byte the file is looked at again: if it isn't what it was,
    the body ends one byte early and the request fails before it is sent.
    """

    cdef readonly int fd
    cdef readonly int64_t offset_bytes
    cdef int64_t _file_bytes
    cdef int64_t _mtime_ns
    cdef bint _is_sparse

    def __init__(self, int fd, int64_t offset_bytes, int64_t length_bytes, int64_t file_bytes, int64_t mtime_ns,
                 str trailer=None, bint is_sparse=False):
        self.fd = fd
        self.offset_bytes = offset_bytes
        self._file_bytes = file_bytes
        self._mtime_ns = mtime_ns
        self._is_sparse = is_sparse
        self._frame(length_bytes, trailer)

    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil:
        cdef int64_t from_bytes = self.offset_bytes + self.read_bytes
        cdef size_t got_bytes
        if self._is_sparse:
            got_bytes = fp_slice_sparse_file(self.fd, from_bytes, destination, length_bytes, &self._hashes,
                                             &self._status, &self._errno)
        else:
            got_bytes = fp_slice_file(self.fd, from_bytes, destination, length_bytes, &self._hashes, &self._status,
                                      &self._errno)
        if self._status == FP_SLICE_OK and self.read_bytes + <int64_t>got_bytes == self.length_bytes:
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

    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil:
        fp_slice_memory(<const char *>self._view.buf + self.read_bytes, destination, length_bytes, &self._hashes)
        return length_bytes


cdef class ChainBody(PartBody):
    """The bytes of several such objects, one behind the other. Not copied before."""

    cdef list _buffers
    cdef Py_buffer *_views
    cdef Py_ssize_t _count
    cdef Py_ssize_t _index
    cdef Py_ssize_t _done_bytes  # of the one at _index

    def __init__(self, buffers, str trailer=None):
        cdef int64_t length_bytes = 0
        self._buffers = list(buffers)
        self._views = <Py_buffer *>calloc(len(self._buffers) or 1, sizeof(Py_buffer))
        if self._views == NULL:
            raise MemoryError
        for buffer in self._buffers:
            PyObject_GetBuffer(buffer, &self._views[self._count], PyBUF_SIMPLE)
            length_bytes += self._views[self._count].len
            self._count += 1
        self._frame(length_bytes, trailer)

    def __dealloc__(self):
        cdef Py_ssize_t index
        for index in range(self._count):
            PyBuffer_Release(&self._views[index])
        free(self._views)

    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil:
        cdef size_t filled_bytes = 0
        cdef size_t got_bytes
        while filled_bytes < length_bytes:
            got_bytes = min(length_bytes - filled_bytes, <size_t>(self._views[self._index].len - self._done_bytes))
            fp_slice_memory(<const char *>self._views[self._index].buf + self._done_bytes, destination + filled_bytes,
                            got_bytes, &self._hashes)
            filled_bytes += got_bytes
            self._done_bytes += <Py_ssize_t>got_bytes
            if self._done_bytes == self._views[self._index].len:
                self._index += 1
                self._done_bytes = 0
        return filled_bytes


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
