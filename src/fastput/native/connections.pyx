# cython: language_level=3
"""What the kernel knows of the connections that event loops watch."""

import errno
import os
import time

from libc.stdint cimport UINT64_MAX, int64_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "<unistd.h>" nogil:
    int usleep(unsigned int us)

cdef enum:
    _REST_US = 100
    _LOOKS = 20

cdef extern from "connections.h" nogil:
    ctypedef struct fp_connection_totals "struct fp_connection_totals":
        int64_t acknowledged_bytes
        int64_t sent_bytes
        int64_t retransmitted_bytes
        int64_t busy_us
        int64_t receiver_limited_us
        int64_t buffer_limited_us
        int64_t open
        int64_t active
        int64_t rtt_us
        int64_t min_rtt_us
    ctypedef struct fp_connections "struct fp_connections":
        pass
    fp_connections *fp_connections_new(const int *epolls, size_t count, uint16_t port)
    void fp_connections_free(fp_connections *c)
    int fp_connections_look(fp_connections *c, fp_connection_totals *totals)
    void fp_connections_pace(fp_connections *c, uint64_t bytes_per_s)

cdef class Connections:
    """Those of some event loops to one port. One thread at a time.

    Args:
        epolls: the event loops' epoll descriptors.
        port: of the other ends.
    """

    cdef fp_connections *_connections

    def __cinit__(self, epolls, int port):
        cdef int *descriptors = <int *>malloc(max(1, len(epolls)) * sizeof(int))
        if descriptors is NULL:
            raise MemoryError
        try:
            for i, epoll in enumerate(epolls):
                descriptors[i] = epoll
            self._connections = fp_connections_new(descriptors, len(epolls), <uint16_t>port)
        finally:
            free(descriptors)
        if self._connections is NULL:
            raise MemoryError

    def __dealloc__(self):
        fp_connections_free(self._connections)

    def look(self):
        """The totals of now, in the order of fp_connection_totals; None where the system doesn't say.

        Bytes and microseconds are sums since this was made, of closed connections too; then the numbers of open and
        of active connections, their mean round-trip time and the least, of now.
        """
        cdef fp_connection_totals totals
        cdef int error
        with nogil:
            error = fp_connections_look(self._connections, &totals)
        if error == errno.ENOTSUP:
            return None
        if error:
            raise OSError(error, os.strerror(error))
        return (
            totals.acknowledged_bytes, totals.sent_bytes, totals.retransmitted_bytes, totals.busy_us,
            totals.receiver_limited_us, totals.buffer_limited_us, totals.open, totals.active, totals.rtt_us,
            totals.min_rtt_us,
        )

    def catch(self, int count, double within_s):
        """Looks without a rest until so many are open, so that a new one is paced before it has sent much.

        Sleeps of 0.1 ms without the GIL: who has it keeps it for up to 5 ms, and loopback carries 10 MB in that time.
        """
        cdef fp_connection_totals totals
        cdef double until_s = time.monotonic() + within_s
        cdef int error = 0
        while error == 0:
            with nogil:
                for _ in range(_LOOKS):
                    error = fp_connections_look(self._connections, &totals)
                    if error or totals.open >= count:
                        break
                    usleep(_REST_US)
            if error or totals.open >= count or time.monotonic() >= until_s:
                break

    def pace(self, bytes_per_s):
        """The most that all may send together, shared by those that are sending at each look; None: no limit."""
        cdef uint64_t most = UINT64_MAX if bytes_per_s is None else <uint64_t>max(1, int(bytes_per_s))
        fp_connections_pace(self._connections, most)
