/* A run of an archive that is never written: heads, pieces of files and zeros, one after another.
 *
 * A part of an archive of small files holds thousands of them. One call opens, reads, hashes and closes them all, so
 * that what a file costs is its system calls and not the way to them.
 *
 * The place of every byte is known before a file is opened. What a file doesn't give, because it isn't (or isn't any
 * more) what it was when its place was laid out, is zeros: nothing behind it moves.
 */
#ifndef FASTPUT_PACK_H
#define FASTPUT_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "slicer.h"

enum fp_pack_outcome {
    FP_PACK_OK,
    FP_PACK_UNREADABLE, /* error_number says why */
    FP_PACK_NO_FILE,    /* it is there, and isn't a regular file */
    FP_PACK_RESIZED,    /* it has another size */
    FP_PACK_WRITTEN,    /* it has another modification time */
};

/* A head, a piece of a file, zeros. From head to padding_bytes it is given, the rest is found. */
struct fp_pack_entry {
    const char *head;
    int64_t head_bytes;
    const char *path;     /* NULL: no file, and no piece */
    int64_t offset_bytes; /* of the piece, in the file */
    int64_t length_bytes; /* of the piece; 0: the file is only looked at */
    int64_t size_bytes;   /* of the file */
    int64_t mtime_ns;
    int64_t padding_bytes;
    enum fp_pack_outcome outcome;
    int error_number;
    int is_cold;        /* its pages weren't cached */
    uint64_t crc64nvme; /* of the piece as it was given, zeros too */
};

struct fp_pack {
    struct fp_pack_entry *entries;
    size_t count;
    size_t index;       /* the entry that is next */
    int64_t done_bytes; /* and what was given of it */
};

/* The next bytes, at most room_bytes, which go through hashes too. Returns how many; fewer only at the end. */
size_t fp_pack_read(struct fp_pack *pack, unsigned char *to, size_t room_bytes, struct fp_hashes *hashes);

#endif
