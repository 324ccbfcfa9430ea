# cython: language_level=3
"""CRC-64/NVME and CRC-32C at the speed of memory.

The kernel of each is chosen once, when this module is imported: the best that the CPU runs.
The environment variable FASTPUT_CRC names another one, of `portable`, `sse42`, `pclmul`,
`vpclmul`, `vpclmul512` and `armv8`.  It is a demand: a name which does not exist or cannot run
here is an ImportError.  Where a variant is of one CRC only (`sse42` is of CRC-32C), the other
takes the best variant that runs and is not above it in that order.
"""

import os

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "crc_combine.h" nogil:
    uint64_t fp_crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b_bytes)
    uint32_t fp_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b_bytes)

cdef extern from "crc_dispatch.h" nogil:
    ctypedef uint64_t (*fp_crc64_fn)(uint64_t crc, const void *data, size_t n) noexcept nogil
    ctypedef uint32_t (*fp_crc32_fn)(uint32_t crc, const void *data, size_t n) noexcept nogil

    cdef struct fp_crc_variant:
        const char *name
        fp_crc64_fn crc64nvme
        fp_crc32_fn crc32c

    cdef enum fp_crc_status:
        FP_CRC_OK
        FP_CRC_UNKNOWN_VARIANT
        FP_CRC_UNAVAILABLE_VARIANT
        FP_CRC_SELF_TEST_FAILED

    enum:
        FP_CRC_VARIANT_COUNT

    const fp_crc_variant fp_crc_variants[]
    bint fp_crc_variant_runs(const fp_crc_variant *variant)
    fp_crc_status fp_crc_select(const char *demanded_or_null)
    const fp_crc_variant *fp_crc64nvme_variant()
    const fp_crc_variant *fp_crc32c_variant()
    uint64_t fp_crc64nvme(uint64_t crc, const void *data, size_t n)
    uint32_t fp_crc32c(uint32_t crc, const void *data, size_t n)

# Below this, handing the GIL over costs more than the checksum takes.
cdef enum:
    GIL_HELD_BYTES = 4096


cdef uint64_t update_crc64nvme(uint64_t crc, const void *data, size_t n) noexcept nogil:
    return fp_crc64nvme(crc, data, n)


cdef uint32_t update_crc32c(uint32_t crc, const void *data, size_t n) noexcept nogil:
    return fp_crc32c(crc, data, n)


# A Py_buffer and not a typed memoryview, whose set-up costs more than a small checksum.
cdef uint64_t crc64_of_buffer(fp_crc64_fn kernel, object data, uint64_t crc) except? 0:
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef size_t n = <size_t>view.len
    if n <= GIL_HELD_BYTES:
        crc = kernel(crc, view.buf, n)
    else:
        with nogil:
            crc = kernel(crc, view.buf, n)
    PyBuffer_Release(&view)
    return crc


cdef uint32_t crc32_of_buffer(fp_crc32_fn kernel, object data, uint32_t crc) except? 0:
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef size_t n = <size_t>view.len
    if n <= GIL_HELD_BYTES:
        crc = kernel(crc, view.buf, n)
    else:
        with nogil:
            crc = kernel(crc, view.buf, n)
    PyBuffer_Release(&view)
    return crc


def crc64nvme(data, uint64_t crc=0, /):
    """Return the CRC-64/NVME of contiguous data, running on from crc."""
    return crc64_of_buffer(fp_crc64nvme, data, crc)


def crc32c(data, uint32_t crc=0, /):
    """Return the CRC-32C of contiguous data, running on from crc."""
    return crc32_of_buffer(fp_crc32c, data, crc)


def crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b, /):
    """Return the CRC-64/NVME of a || b from those of a and b and the length of b in bytes."""
    return fp_crc64nvme_combine(crc_a, crc_b, len_b)


def crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b, /):
    """Return the CRC-32C of a || b from those of a and b and the length of b in bytes."""
    return fp_crc32c_combine(crc_a, crc_b, len_b)


cdef const fp_crc_variant *find_variant(str name) except? NULL:
    """Return the variant of that name if it runs here, else NULL."""
    cdef Py_ssize_t i
    cdef bytes wanted = name.encode()
    for i in range(FP_CRC_VARIANT_COUNT):
        if fp_crc_variants[i].name == wanted and fp_crc_variant_runs(&fp_crc_variants[i]):
            return &fp_crc_variants[i]
    return NULL


def crc64nvme_with(str name not None, data, uint64_t crc=0, /):
    """As crc64nvme(), by the named variant; ValueError if that can't run here."""
    cdef const fp_crc_variant *variant = find_variant(name)
    if variant is NULL or variant.crc64nvme is NULL:
        raise ValueError(f"no CRC-64/NVME variant {name!r} here (available: {_names('crc64nvme')})")
    return crc64_of_buffer(variant.crc64nvme, data, crc)


def crc32c_with(str name not None, data, uint32_t crc=0, /):
    """As crc32c(), by the named variant; ValueError if that can't run here."""
    cdef const fp_crc_variant *variant = find_variant(name)
    if variant is NULL or variant.crc32c is NULL:
        raise ValueError(f"no CRC-32C variant {name!r} here (available: {_names('crc32c')})")
    return crc32_of_buffer(variant.crc32c, data, crc)


def variants():
    """Return the name of the variant in use, for each CRC."""
    return {
        "crc64nvme": fp_crc64nvme_variant().name.decode(),
        "crc32c": fp_crc32c_variant().name.decode(),
    }


def available():
    """Return the names of the variants that run on this CPU, worst first, for each CRC."""
    cdef Py_ssize_t i
    cdef dict names = {"crc64nvme": [], "crc32c": []}
    for i in range(FP_CRC_VARIANT_COUNT):
        if not fp_crc_variant_runs(&fp_crc_variants[i]):
            continue
        if fp_crc_variants[i].crc64nvme is not NULL:
            names["crc64nvme"].append(fp_crc_variants[i].name.decode())
        if fp_crc_variants[i].crc32c is not NULL:
            names["crc32c"].append(fp_crc_variants[i].name.decode())
    return names


cdef str _names(str which):
    return ", ".join(available()[which])


cdef void choose() except *:
    cdef bytes demanded = os.environb.get(b"FASTPUT_CRC", b"")
    cdef const char *demanded_or_null = NULL
    if demanded:
        demanded_or_null = demanded
    cdef fp_crc_status status = fp_crc_select(demanded_or_null)
    if status == FP_CRC_OK:
        return
    if status == FP_CRC_SELF_TEST_FAILED:
        raise ImportError(f"the checksum kernels give wrong results on this machine: {variants()}")
    # Every variant has a CRC-32C.
    why = "is unknown" if status == FP_CRC_UNKNOWN_VARIANT else "can't run here"
    raise ImportError(f"FASTPUT_CRC={os.fsdecode(demanded)!r} {why} (available: {_names('crc32c')})")


choose()
