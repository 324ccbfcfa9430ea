# cython: language_level=3, boundscheck=False, wraparound=False
"""Small files over one connection, one after another, with the GIL released once for all of them: csrc/put.c."""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fastput.native.crc cimport update_crc64nvme


cdef extern from "slicer.h" nogil:
    ctypedef uint64_t (*fp_update_crc64)(uint64_t, const void *, size_t)

cdef extern from "answer.h" nogil:
    ctypedef enum fp_answer_end "enum fp_answer_end":
        FP_ANSWER_GOES_ON
        FP_ANSWER_CLOSES
    ctypedef struct fp_answer "struct fp_answer":
        int status
        size_t body_bytes
        fp_answer_end end
        char *etag
        char *version_id
        char *kept_crc64nvme
    int fp_read_head(const char *, size_t, fp_answer *, size_t *)

cdef extern from "put.h" nogil:
    size_t FP_PUT_HEAD_BYTES
    size_t FP_PUT_CHUNK_BYTES
    size_t FP_PUT_TAIL_BYTES
    ctypedef enum fp_put_outcome "enum fp_put_outcome":
        FP_PUT_NOT_TRIED
        FP_PUT_DONE
        FP_PUT_CHANGED
        FP_PUT_UNREADABLE
        FP_PUT_REFUSED
        FP_PUT_STRANGE
        FP_PUT_LOST
    ctypedef struct fp_put "struct fp_put":
        const char *path
        const char *head
        size_t head_bytes
        int64_t size_bytes
        int64_t mtime_ns
        fp_put_outcome outcome
        int error_number
        uint64_t crc64nvme
        uint64_t device
        uint64_t inode
        int64_t ctime_ns
        fp_answer answer
    ctypedef struct fp_put_times "struct fp_put_times":
        int64_t read_ns
        int64_t read_cpu_ns
    size_t fp_put_body_bytes(int64_t)
    size_t fp_put_prepare(fp_put *, unsigned char *, fp_update_crc64, fp_put_times *, unsigned char **)
    int fp_put_answered(fp_put *, const char *, size_t, size_t *)
    size_t fp_put_files(int, fp_put *, size_t, unsigned char *, fp_update_crc64, fp_put_times *)


NOT_TRIED = FP_PUT_NOT_TRIED
DONE = FP_PUT_DONE
CHANGED = FP_PUT_CHANGED
UNREADABLE = FP_PUT_UNREADABLE
REFUSED = FP_PUT_REFUSED
STRANGE = FP_PUT_STRANGE
LOST = FP_PUT_LOST
MOST_HEAD_BYTES = FP_PUT_HEAD_BYTES


def body_bytes(int64_t size_bytes, /):
    """The length of a request's body with a file of so many bytes: framed, with its CRC64NVME as a trailer."""
    return fp_put_body_bytes(size_bytes)


def read_head(bytes data not None, /):
    """For tests: (status, body_bytes, goes_on, etag, version_id, kept_crc64nvme, head_bytes); None: not all of it.

    Raises:
        ValueError: it isn't understood.
    """
    cdef fp_answer answer
    cdef size_t head_bytes
    cdef int found = fp_read_head(data, <size_t>len(data), &answer, &head_bytes)
    if found < 0:
        raise ValueError("not understood")
    return (answer.status, answer.body_bytes, answer.end == FP_ANSWER_GOES_ON, <bytes>answer.etag,
            <bytes>answer.version_id, <bytes>answer.kept_crc64nvme, head_bytes) if found else None


cdef class Sent:
    """What became of one file.

    Attributes:
        outcome: one of the constants above.
        error_number: errno where it is UNREADABLE or LOST; 0 with LOST: the other end closed the connection.
        status: of the answer, if there was one.
        kept_crc64nvme: as the answer says it, base64; "": it doesn't.
    """

    cdef readonly int outcome, error_number, status
    cdef readonly uint64_t crc64nvme, device, inode
    cdef readonly int64_t ctime_ns
    cdef readonly str etag, version_id, kept_crc64nvme


cdef Sent _sent(fp_put *put):
    cdef Sent sent = Sent.__new__(Sent)
    sent.outcome, sent.error_number = put.outcome, put.error_number
    sent.status = put.answer.status
    sent.crc64nvme, sent.device, sent.inode, sent.ctime_ns = put.crc64nvme, put.device, put.inode, put.ctime_ns
    sent.etag = (<bytes>put.answer.etag).decode("latin-1")
    sent.version_id = (<bytes>put.answer.version_id).decode("latin-1")
    sent.kept_crc64nvme = (<bytes>put.answer.kept_crc64nvme).decode("latin-1")
    return sent


cdef bint _can_go_on(fp_put *last):
    if last.outcome == FP_PUT_LOST or last.outcome == FP_PUT_STRANGE:
        return False
    return last.answer.status == 0 or last.answer.end == FP_ANSWER_GOES_ON  # 0: nothing was sent


cdef class Putter:
    """For one thread.

    Args:
        most_bytes: of a file.
        most_files: of one call.

    Attributes:
        read_ns, read_cpu_ns: what reading and hashing took so far, and of that on the CPU.
    """

    cdef readonly int64_t most_bytes
    cdef fp_put *_puts
    cdef size_t _most_files
    cdef unsigned char *_buffer
    cdef fp_put_times _times

    def __cinit__(self, int64_t most_bytes, size_t most_files):
        self.most_bytes = most_bytes
        self._most_files = most_files
        self._puts = <fp_put *>calloc(most_files, sizeof(fp_put))
        # calloc: pages that no file needs aren't touched.
        self._buffer = <unsigned char *>calloc(
            1, FP_PUT_HEAD_BYTES + FP_PUT_CHUNK_BYTES + <size_t>most_bytes + FP_PUT_TAIL_BYTES)
        if self._puts == NULL or self._buffer == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._puts)
        free(self._buffer)

    @property
    def read_ns(self):
        return self._times.read_ns

    @property
    def read_cpu_ns(self):
        return self._times.read_cpu_ns

    def send(self, int socket, list files not None, /):
        """Sends files until one isn't taken, or the connection can't take another; what is wrong with a file
        before it is sent keeps none of the others.

        Args:
            socket: the descriptor of a connected, blocking one.
            files: (path, head of the request, size, modification time in ns) of each.

        Returns:
            [Sent of each that was tried], whether the connection can take another.

        Raises:
            ValueError: more or larger files, or longer heads, than there is room for.
        """
        cdef size_t count = <size_t>len(files)
        cdef size_t tried, index
        cdef fp_put_times *times = &self._times
        self._take(files)
        with nogil:
            tried = fp_put_files(socket, self._puts, count, self._buffer, update_crc64nvme, times)
        return [_sent(&self._puts[index]) for index in range(tried)], _can_go_on(&self._puts[tried - 1])

    def prepare(self, tuple file not None, /):
        """Reads one file, for connections that Python sends on.

        Returns:
            Sent, DONE so far; and the request; None unless it is DONE.
        """
        cdef size_t length_bytes
        cdef unsigned char *begin = NULL
        cdef fp_put_times *times = &self._times
        self._take([file])
        with nogil:
            length_bytes = fp_put_prepare(self._puts, self._buffer, update_crc64nvme, times, &begin)
        if not length_bytes:
            return _sent(self._puts), None
        self._puts.outcome = FP_PUT_DONE
        return _sent(self._puts), (<char *>begin)[:length_bytes]

    def answered(self, bytes received not None, /):
        """What the store has said of the file that was prepared.

        Args:
            received: all since the request was sent.

        Returns:
            Sent, how many bytes of the answer are to be received yet, and whether the connection can take another
            behind them; None: more is needed.
        """
        cdef size_t left_bytes
        if not fp_put_answered(self._puts, received, <size_t>len(received), &left_bytes):
            return None
        return _sent(self._puts), left_bytes, _can_go_on(self._puts)

    cdef int _take(self, list files) except -1:
        cdef fp_put *put = self._puts
        if not files or <size_t>len(files) > self._most_files:
            raise ValueError(f"{len(files)} files")
        for path, head, size_bytes, mtime_ns in files:
            memset(put, 0, sizeof(fp_put))
            put.path, put.head, put.head_bytes = <bytes?>path, <bytes?>head, len(<bytes>head)
            put.size_bytes, put.mtime_ns = size_bytes, mtime_ns
            if put.head_bytes > FP_PUT_HEAD_BYTES or not 0 <= put.size_bytes <= self.most_bytes or b"\0" in path:
                raise ValueError("no room")
            put += 1
        return 0
