# cython: language_level=3, boundscheck=False, wraparound=False
"""Where the bytes of a range arrive: hashed and put there in one pass, with the GIL released. csrc/landing.c.

A landing may be filled by several requests, each going on where the one before ended; its CRC runs on.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport EAGAIN, ECONNRESET
from libc.stdint cimport int64_t, uint64_t

import os

from fastput.native.crc cimport update_crc64nvme


cdef extern from "landing.h" nogil:
    ctypedef uint64_t (*fp_update_crc64)(uint64_t, const void *, size_t)
    ctypedef enum fp_land_status "enum fp_land_status":
        FP_LAND_OK
        FP_LAND_TOO_MUCH
        FP_LAND_UNWRITTEN
        FP_LAND_CLOSED
        FP_LAND_LOST
    ctypedef struct fp_landing "struct fp_landing":
        unsigned char *memory
        int fd
        int64_t offset_bytes
        int64_t length_bytes
        int64_t received_bytes
        fp_update_crc64 update_crc64nvme
        uint64_t crc64nvme
        int error_number
    fp_land_status fp_land(fp_landing *, const void *, size_t)
    fp_land_status fp_land_from_socket(fp_landing *, int)


cdef class Landing:
    """One range. Filled by one thread at a time; others may look at what has arrived. Made by its subclasses."""

    cdef fp_landing _landing
    cdef readonly object failure  # None, or the OSError why the file didn't take what came

    @property
    def length_bytes(self):
        return self._landing.length_bytes

    @property
    def received_bytes(self):
        """From the front; as it grows."""
        return self._landing.received_bytes

    @property
    def left_bytes(self):
        return self._landing.length_bytes - self._landing.received_bytes

    @property
    def crc64nvme(self):
        """CRC64NVME of the bytes received so far."""
        return self._landing.crc64nvme

    def put(self, piece, /):
        """Takes the next bytes.

        Raises:
            ValueError: more than the range has left.
            OSError: the file doesn't take them; it is kept in `failure`.
        """
        cdef Py_buffer view
        cdef fp_land_status status
        PyObject_GetBuffer(piece, &view, PyBUF_SIMPLE)
        try:
            with nogil:
                status = fp_land(&self._landing, view.buf, <size_t>view.len)
        finally:
            PyBuffer_Release(&view)
        self._check(status)

    def receive(self, int socket, /):
        """Takes all that is left from a connected, blocking socket.

        Raises:
            ConnectionError: the connection failed before the end.
            TimeoutError: nothing came for as long as the socket waits.
            OSError: the file doesn't take it; it is kept in `failure`.
        """
        cdef fp_land_status status
        with nogil:
            status = fp_land_from_socket(&self._landing, socket)
        self._check(status)

    cdef int _check(self, fp_land_status status) except -1:
        cdef int error_number = self._landing.error_number
        if status == FP_LAND_OK:
            return 0
        if status == FP_LAND_TOO_MUCH:
            raise ValueError("more bytes than the range has")
        if status == FP_LAND_CLOSED:
            raise ConnectionResetError(ECONNRESET, "the connection was closed before the end")
        if status == FP_LAND_LOST and error_number == EAGAIN:
            raise TimeoutError("nothing came")
        error = OSError(error_number, os.strerror(error_number))
        if status == FP_LAND_UNWRITTEN:
            self.failure = error
        raise error


cdef class FileLanding(Landing):
    """Bytes [offset, offset + length) of an open file, which the caller keeps open."""

    def __init__(self, int fd, int64_t offset_bytes, int64_t length_bytes):
        if offset_bytes < 0 or length_bytes < 0:
            raise ValueError("a range can't be negative")
        self._landing.fd = fd
        self._landing.offset_bytes = offset_bytes
        self._landing.length_bytes = length_bytes
        self._landing.update_crc64nvme = update_crc64nvme


cdef class MemoryLanding(Landing):
    """All of a writable buffer: a bytearray, an mmap, a numpy array."""

    cdef Py_buffer _view  # zero, and so released as nothing, until __init__ has filled it

    def __init__(self, buffer):
        PyObject_GetBuffer(buffer, &self._view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._landing.memory = <unsigned char *>self._view.buf
        self._landing.length_bytes = self._view.len
        self._landing.update_crc64nvme = update_crc64nvme

    def __dealloc__(self):
        PyBuffer_Release(&self._view)
