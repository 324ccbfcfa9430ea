#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of st_blocks, whatever the file system's are. */
#define BLOCK_BYTES 512
/* As in slicer.c: still in the cache when it is hashed. */
#define STRIDE_BYTES ((size_t)512 * 1024)

#ifdef __APPLE__
#define MTIME(status) ((status)->st_mtimespec)
#else
#define MTIME(status) ((status)->st_mtim)
#endif

static size_t smaller(int64_t left_bytes, size_t room_bytes) {
    return (uint64_t)left_bytes < room_bytes ? (size_t)left_bytes : room_bytes;
}

static void fail(struct fp_pack_entry *entry, enum fp_pack_outcome outcome, int error_number) {
    entry->outcome = outcome;
    entry->error_number = error_number;
}

static int open_file(const char *path) {
    int fd;
    do /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Whether it is the file that the archive was laid out with. */
static int is_known(struct fp_pack_entry *entry, int fd, int *is_sparse) {
    struct stat status;
    if (fstat(fd, &status) != 0) {
        fail(entry, FP_PACK_UNREADABLE, errno);
        return 0;
    }
    char byte;
    if (!S_ISREG(status.st_mode))
        fail(entry, FP_PACK_NO_FILE, 0);
    else if (status.st_size != entry->size_bytes)
        fail(entry, FP_PACK_RESIZED, 0);
    else if ((int64_t)MTIME(&status).tv_sec * 1000000000 + MTIME(&status).tv_nsec != entry->mtime_ns)
        fail(entry, FP_PACK_WRITTEN, 0);
    else if (entry->size_bytes == 0 && pread(fd, &byte, 1, 0) != 0) /* /proc: says that it is empty, and isn't */
        fail(entry, FP_PACK_RESIZED, 0);
    *is_sparse = (int64_t)status.st_blocks * BLOCK_BYTES < (int64_t)status.st_size;
    return entry->outcome == FP_PACK_OK;
}

/* Two checksums run over a piece: the piece's own, and that of all that is given. */
static void hash_piece(const unsigned char *data, size_t length_bytes, struct fp_pack_entry *entry,
                       struct fp_hashes *hashes) {
    entry->crc64nvme = hashes->update_crc64nvme(entry->crc64nvme, data, length_bytes);
    fp_hash_memory(data, length_bytes, hashes);
}

/* Bytes of the piece from at_bytes on. Returns how many the file gave. */
static size_t read_known(struct fp_pack_entry *entry, int fd, int64_t at_bytes, unsigned char *to, size_t length_bytes,
                         struct fp_hashes *hashes) {
    int is_sparse, error_number = 0;
    if (!is_known(entry, fd, &is_sparse) || length_bytes == 0)
        return 0;
    const int64_t from_bytes = entry->offset_bytes + at_bytes;
    /* The last byte: the kernel's readahead of what was before may have fetched the first ones. */
    if (at_bytes == 0 && fp_is_cached(fd, from_bytes + entry->length_bytes - 1) == 0) {
        entry->is_cold = 1;
        fp_will_need(fd, from_bytes, entry->length_bytes);
    }
    struct fp_hashes none = {0};
    size_t (*const slice)(int, int64_t, void *, size_t, struct fp_hashes *, enum fp_slice_status *, int *) =
        is_sparse ? fp_slice_sparse_file : fp_slice_file;
    enum fp_slice_status status = FP_SLICE_OK;
    size_t got_bytes = 0;
    while (got_bytes < length_bytes && status == FP_SLICE_OK) {
        const size_t stride_bytes = smaller((int64_t)(length_bytes - got_bytes), STRIDE_BYTES);
        const size_t now_bytes = slice(fd, from_bytes + (int64_t)got_bytes, to + got_bytes, stride_bytes, &none,
                                       &status, &error_number);
        hash_piece(to + got_bytes, now_bytes, entry, hashes);
        got_bytes += now_bytes;
    }
    if (status == FP_SLICE_OK)
        status = fp_check_unchanged(fd, entry->size_bytes, entry->mtime_ns, &error_number);
    if (status == FP_SLICE_ERROR)
        fail(entry, FP_PACK_UNREADABLE, error_number);
    else if (status == FP_SLICE_SHRANK)
        fail(entry, FP_PACK_RESIZED, 0);
    else if (status == FP_SLICE_CHANGED)
        fail(entry, FP_PACK_WRITTEN, 0);
    /* What wasn't cached before isn't left there. */
    if (entry->is_cold)
        fp_wont_need(fd, from_bytes, (int64_t)length_bytes);
    return got_bytes;
}

static void read_piece(struct fp_pack_entry *entry, int64_t at_bytes, unsigned char *to, size_t length_bytes,
                       struct fp_hashes *hashes) {
    size_t got_bytes = 0;
    if (entry->outcome == FP_PACK_OK) {
        const int fd = open_file(entry->path);
        if (fd < 0) {
            fail(entry, FP_PACK_UNREADABLE, errno);
        } else {
            got_bytes = read_known(entry, fd, at_bytes, to, length_bytes, hashes);
            close(fd);
        }
    }
    memset(to + got_bytes, 0, length_bytes - got_bytes);
    hash_piece(to + got_bytes, length_bytes - got_bytes, entry, hashes);
}

size_t fp_pack_read(struct fp_pack *pack, unsigned char *to, size_t room_bytes, struct fp_hashes *hashes) {
    size_t filled_bytes = 0;
    while (pack->index < pack->count) {
        struct fp_pack_entry *const entry = &pack->entries[pack->index];
        const int64_t piece_end_bytes = entry->head_bytes + entry->length_bytes;
        const int64_t end_bytes = piece_end_bytes + entry->padding_bytes;
        const int64_t at_bytes = pack->done_bytes;
        unsigned char *const next = to + filled_bytes;
        const size_t left_bytes = room_bytes - filled_bytes;
        size_t now_bytes = 0;
        if (at_bytes == end_bytes) {
            if (entry->path && entry->length_bytes == 0)
                read_piece(entry, 0, next, 0, hashes);
            pack->index++;
            pack->done_bytes = 0;
            continue;
        }
        if (left_bytes == 0)
            break;
        if (at_bytes < entry->head_bytes) {
            now_bytes = smaller(entry->head_bytes - at_bytes, left_bytes);
            memcpy(next, entry->head + at_bytes, now_bytes);
            fp_hash_memory(next, now_bytes, hashes);
        } else if (at_bytes < piece_end_bytes) {
            now_bytes = smaller(piece_end_bytes - at_bytes, left_bytes);
            read_piece(entry, at_bytes - entry->head_bytes, next, now_bytes, hashes);
        } else {
            now_bytes = smaller(end_bytes - at_bytes, left_bytes);
            memset(next, 0, now_bytes);
            fp_hash_memory(next, now_bytes, hashes);
        }
        pack->done_bytes += (int64_t)now_bytes;
        filled_bytes += now_bytes;
    }
    return filled_bytes;
}
