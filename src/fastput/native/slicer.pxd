# What other extensions need to read parts of their own kind.
from libc.stdint cimport int64_t, uint32_t, uint64_t


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
    size_t fp_slice_sparse_file(int, int64_t, void *, size_t, fp_hashes *, fp_slice_status *, int *)
    fp_slice_status fp_check_unchanged(int, int64_t, int64_t, int *)
    void fp_slice_memory(const void *, void *, size_t, fp_hashes *)
    void fp_hash_memory(const void *, size_t, fp_hashes *)
    int fp_is_cached(int, int64_t)
    void fp_will_need(int, int64_t, int64_t)
    void fp_wont_need(int, int64_t, int64_t)


cdef class PartBody:
    cdef readonly int64_t length_bytes
    cdef readonly int64_t body_bytes
    cdef readonly int64_t read_bytes
    cdef readonly int64_t read_ns  # that reading and hashing took,
    cdef readonly int64_t read_cpu_ns  # and of that on the CPU; the rest was waiting for the disk
    cdef readonly str trailer
    cdef fp_hashes _hashes
    cdef fp_slice_status _status
    cdef int _errno
    cdef list _framing  # (literal bytes, length of the data behind them) of what comes next, last first
    cdef bytes _literal
    cdef int64_t _literal_done_bytes
    cdef int64_t _run_left_bytes
    cdef bint _is_trailer_due

    cdef int _frame(self, int64_t length_bytes, str trailer) except -1
    cdef bytes _trailer(self, bytes checksum)
    cdef size_t _read(self, char *destination, size_t length_bytes) noexcept nogil
    cdef Py_ssize_t _fill(self, char *destination, size_t room_bytes) except -1
