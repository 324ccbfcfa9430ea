# C-level access to the chosen kernels, so that another extension links none of its own.
from libc.stdint cimport uint32_t, uint64_t

# Running values: start with 0 and hand each result on to the next call.
cdef uint64_t update_crc64nvme(uint64_t crc, const void *data, size_t n) noexcept nogil
cdef uint32_t update_crc32c(uint32_t crc, const void *data, size_t n) noexcept nogil
