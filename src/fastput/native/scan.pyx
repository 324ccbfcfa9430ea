# cython: language_level=3, boundscheck=False, wraparound=False
"""Directories, many entries a call, with the GIL released: what a walk and a survey are made of."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from posix.fcntl cimport O_RDONLY, open
from posix.unistd cimport close

import os

cdef extern from "<fcntl.h>" nogil:
    enum:
        O_CLOEXEC
        O_DIRECTORY
        O_NOFOLLOW

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    DIR *fdopendir(int descriptor)
    int closedir(DIR *directory)

cdef extern from "scan.h" nogil:
    ctypedef struct fp_entry "struct fp_entry":
        int64_t size_bytes
        int64_t disk_bytes
        int64_t mtime_ns
        int64_t ctime_ns
        uint64_t inode
        uint64_t device
        uint64_t links
        uint32_t mode
        uint32_t uid
        uint32_t gid
        int32_t error
        uint32_t name_at
        uint32_t name_bytes
    ctypedef struct fp_rows "struct fp_rows":
        fp_entry *entries
        char *names
        size_t entry_count, entry_room, name_bytes, name_room
    int fp_scan(DIR *directory, fp_rows *rows, int *error)
    enum:
        FP_NAME_ROOM

# One row, for numpy.dtype().
ROW = [
    ("size_bytes", "i8"), ("disk_bytes", "i8"), ("mtime_ns", "i8"), ("ctime_ns", "i8"), ("inode", "u8"),
    ("device", "u8"), ("links", "u8"), ("mode", "u4"), ("uid", "u4"), ("gid", "u4"), ("error", "i4"),
    ("name_at", "u4"), ("name_bytes", "u4"),
]
# So much of names for each row: 30 bytes are common, and one that has no room goes into the next batch.
cdef size_t _NAME_BYTES = 48


cdef class Entry:
    """What lstat says of a name; or stat, where a link was followed.

    Attributes:
        name: within its directory; without a "/".
        mode: type and permissions; 0: it could not be looked at.
        error: the errno of that, else 0.
    """

    cdef readonly bytes name
    cdef readonly uint32_t mode, uid, gid
    cdef readonly int32_t error
    cdef readonly int64_t size_bytes, disk_bytes, mtime_ns, ctime_ns
    cdef readonly uint64_t inode, device, links

    def __init__(
        self, bytes name, uint32_t mode, int64_t size_bytes, int64_t disk_bytes, int64_t mtime_ns, int64_t ctime_ns,
        uint64_t inode, uint64_t device, uint64_t links, uint32_t uid, uint32_t gid, int32_t error=0,
    ):
        self.name, self.mode, self.error = name, mode, error
        self.size_bytes, self.disk_bytes = size_bytes, disk_bytes
        self.mtime_ns, self.ctime_ns = mtime_ns, ctime_ns
        self.inode, self.device, self.links = inode, device, links
        self.uid, self.gid = uid, gid

    def values(self):
        """The arguments of the constructor: builtin types only."""
        return (
            self.name, self.mode, self.size_bytes, self.disk_bytes, self.mtime_ns, self.ctime_ns, self.inode,
            self.device, self.links, self.uid, self.gid, self.error,
        )

    def __eq__(self, other):
        return isinstance(other, Entry) and self.values() == (<Entry>other).values()

    def __hash__(self):
        return hash(self.values())

    @property
    def is_directory(self):
        return (self.mode & 0o170000) == 0o040000

    @property
    def is_file(self):
        return (self.mode & 0o170000) == 0o100000

    @property
    def is_link(self):
        return (self.mode & 0o170000) == 0o120000


cdef class Batch:
    """Room for the entries of one directory or of several. Its buffer is that of its rows (ROW), also unused ones.

    Args:
        entry_room: how many rows.
    """

    cdef fp_rows _rows
    cdef Py_ssize_t _shape[1]
    cdef Py_ssize_t _strides[1]

    def __cinit__(self, size_t entry_room):
        if not 1 <= entry_room <= 1 << 20:
            raise ValueError(f"{entry_room} rows")
        self._rows.entry_room = entry_room
        self._rows.name_room = entry_room * _NAME_BYTES + FP_NAME_ROOM
        self._rows.entries = <fp_entry *>malloc(entry_room * sizeof(fp_entry))
        self._rows.names = <char *>malloc(self._rows.name_room)
        if self._rows.entries is NULL or self._rows.names is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._rows.entries)
        free(self._rows.names)

    def __len__(self):
        return self._rows.entry_count

    def clear(self):
        """Forgets the rows; what numpy sees of them is written over."""
        self._rows.entry_count = self._rows.name_bytes = 0

    def name(self, size_t i):
        """Of a row."""
        if i >= self._rows.entry_count:
            raise IndexError(i)
        return self._name(&self._rows.entries[i])

    def extensions(self, size_t first):
        """Of the names of the rows from this one on: what follows the last dot, with it; b"" where there is none.

        As os.path.splitext: leading dots begin no extension.
        """
        cdef list found = []
        cdef fp_entry *entry
        cdef const char *name
        cdef size_t i, dot
        for i in range(first, self._rows.entry_count):
            entry = &self._rows.entries[i]
            name = self._rows.names + entry.name_at
            dot = _find_extension(name, entry.name_bytes)
            found.append(PyBytes_FromStringAndSize(name + dot, entry.name_bytes - dot))
        return found

    def entries(self, size_t first=0):
        """The rows from this one on, as Entry."""
        cdef list found = []
        cdef fp_entry *row
        cdef Entry entry
        cdef size_t i
        for i in range(first, self._rows.entry_count):
            row = &self._rows.entries[i]
            entry = Entry.__new__(Entry)
            entry.name = self._name(row)
            entry.mode, entry.uid, entry.gid, entry.error = row.mode, row.uid, row.gid, row.error
            entry.size_bytes, entry.disk_bytes = row.size_bytes, row.disk_bytes
            entry.mtime_ns, entry.ctime_ns = row.mtime_ns, row.ctime_ns
            entry.inode, entry.device, entry.links = row.inode, row.device, row.links
            found.append(entry)
        return found

    cdef bytes _name(self, fp_entry *row):
        return PyBytes_FromStringAndSize(self._rows.names + row.name_at, row.name_bytes)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self._shape[0] = self._rows.entry_room * sizeof(fp_entry)
        self._strides[0] = 1
        buffer.buf = self._rows.entries
        buffer.format = b"B"
        buffer.internal = NULL
        buffer.itemsize = 1
        buffer.len = self._shape[0]
        buffer.ndim = 1
        buffer.obj = self
        buffer.readonly = 1
        buffer.shape = self._shape
        buffer.strides = self._strides
        buffer.suboffsets = NULL

    def __releasebuffer__(self, Py_buffer *buffer):
        pass


cdef size_t _find_extension(const char *name, size_t length) noexcept nogil:
    """Where it begins; length: there is none."""
    cdef size_t dot = length
    cdef size_t i
    while dot > 0 and name[dot - 1] != c".":
        dot -= 1
    for i in range(dot):
        if name[i] != c".":
            return dot - 1
    return length


cdef class Directory:
    """One that is being read. One thread at a time.

    Args:
        follow: it may be a link to one.

    Raises:
        OSError: from the constructor: it can't be opened.
    """

    cdef DIR *_directory

    def __cinit__(self, bytes path, bint follow=False):
        cdef const char *name = path
        cdef int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (0 if follow else O_NOFOLLOW)
        cdef int descriptor, error
        if b"\0" in path:
            raise ValueError("a path with a zero in it")
        with nogil:
            descriptor = open(name, flags)
            if descriptor >= 0:
                self._directory = fdopendir(descriptor)
            error = errno
            if descriptor >= 0 and self._directory is NULL:
                close(descriptor)
        if self._directory is NULL:
            raise OSError(error, os.strerror(error), path)

    def __dealloc__(self):
        self.close()

    def read(self, Batch batch not None):
        """Adds entries until the batch is full. Returns whether there may be more.

        Raises:
            OSError: it can't be read on.
        """
        cdef int error = 0
        cdef bint has_more
        if self._directory is NULL:
            return False
        with nogil:
            has_more = fp_scan(self._directory, &batch._rows, &error)
        if not has_more:
            self.close()
        if error:
            raise OSError(error, os.strerror(error))
        return has_more

    def close(self):
        """May be called twice."""
        cdef DIR *directory = self._directory
        self._directory = NULL
        if directory is not NULL:
            with nogil:
                closedir(directory)
