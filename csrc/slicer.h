/* Reading a slice of a file, or of memory, and hashing it in the same pass.
 *
 * A part's bytes are read by position (pread: many parts of one descriptor at once, no shared file offset)
 * in strides that fit the cache, and each stride is hashed while it is still there. Reading a whole 8 MiB part
 * first and hashing it afterwards fetches every byte from memory a second time; bench/kernels.py measures both.
 */
#ifndef FASTPUT_SLICER_H
#define FASTPUT_SLICER_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t (*fp_update_crc64)(uint64_t crc, const void *data, size_t length_bytes);
typedef uint32_t (*fp_update_crc32)(uint32_t crc, const void *data, size_t length_bytes);

/* Running checksums. A function that is NULL isn't wanted. */
struct fp_hashes {
    fp_update_crc64 update_crc64nvme;
    fp_update_crc32 update_crc32c;
    uint64_t crc64nvme;
    uint32_t crc32c;
};

enum fp_slice_status {
    FP_SLICE_OK = 0,     /* all bytes that were asked for */
    FP_SLICE_SHRANK = 1, /* the file ends before the slice does */
    FP_SLICE_ERROR = 2,  /* pread failed; *error_number says why */
    FP_SLICE_CHANGED = 3 /* see fp_check_unchanged */
};

/* Reads [offset, offset + length) of fd into destination. Returns the number of bytes read and hashed;
 * fewer than length only with a status that isn't FP_SLICE_OK. */
size_t fp_slice_file(int fd, int64_t offset_bytes, void *destination, size_t length_bytes,
                     struct fp_hashes *hashes, enum fp_slice_status *status, int *error_number);

/* The same of a file with holes: these are not read, only hashed as the zeros that they stand for. Where the file system
 * doesn't tell of holes it reads all of it. */
size_t fp_slice_sparse_file(int fd, int64_t offset_bytes, void *destination, size_t length_bytes,
                            struct fp_hashes *hashes, enum fp_slice_status *status, int *error_number);

/* FP_SLICE_OK while the file has this size and modification time, else FP_SLICE_SHRANK, FP_SLICE_CHANGED or
 * FP_SLICE_ERROR. About 0.3 us: cheap enough after every part, so that a file which is still being written is
 * noticed at once and not after hours. */
enum fp_slice_status fp_check_unchanged(int fd, int64_t size_bytes, int64_t mtime_ns, int *error_number);

/* Copies and hashes length bytes of memory. */
void fp_slice_memory(const void *source, void *destination, size_t length_bytes, struct fp_hashes *hashes);

/* Hashes memory without a copy. */
void fp_hash_memory(const void *source, size_t length_bytes, struct fp_hashes *hashes);

/* Whether the page at offset is in the page cache: 1 yes, 0 no, -1 this kernel or file system can't say. */
int fp_is_cached(int fd, int64_t offset_bytes);

/* Hints to the kernel, ignored where it takes none: read this range soon; this range won't be read again. */
void fp_will_need(int fd, int64_t offset_bytes, int64_t length_bytes);
void fp_wont_need(int fd, int64_t offset_bytes, int64_t length_bytes);

#endif
