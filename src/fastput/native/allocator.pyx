# cython: language_level=3
"""Tunes the C library's allocator for send buffers."""


cdef extern from "allocator.h":
    int fp_keep_buffers()


def keep_buffers():
    """Keeps freed memory for the next buffer instead of giving it back to the kernel.

    For a process that mostly uploads: a fifth less CPU, but its memory doesn't shrink again. Acts on the whole
    process; to be called before threads are started. False where the C library isn't glibc.
    """
    return bool(fp_keep_buffers())
