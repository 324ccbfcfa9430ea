/* Entries read in steps of every length, into buffers of exactly that, so that a sanitizer sees any byte too many. */
#include "pack.h"
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    enum { FILE_BYTES = 700, AT = 10, PIECE_BYTES = 600, HEAD_BYTES = 5, PADDING_BYTES = 7 };
    enum { ENTRY_BYTES = HEAD_BYTES + PIECE_BYTES + PADDING_BYTES, WHOLE_BYTES = 2 * ENTRY_BYTES };
    unsigned char content[FILE_BYTES], wanted[WHOLE_BYTES] = {0};
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (unsigned char)(i * 2654435761u >> 13);
    char path[] = "/tmp/fastput-pack-XXXXXX";
    const int fd = mkstemp(path);
    struct stat status;
    if (fd < 0 || write(fd, content, sizeof content) != FILE_BYTES || fstat(fd, &status) != 0)
        return 2;
#ifdef __APPLE__
    const struct timespec mtime = status.st_mtimespec;
#else
    const struct timespec mtime = status.st_mtim;
#endif
    memcpy(wanted, "first", HEAD_BYTES);
    memcpy(wanted + HEAD_BYTES, content + AT, PIECE_BYTES);
    memcpy(wanted + ENTRY_BYTES, "other", HEAD_BYTES); /* its file isn't there: zeros */
    int checks = 0;
    for (size_t step_bytes = 1; step_bytes <= WHOLE_BYTES + 1; step_bytes++) {
        struct fp_pack_entry entries[] = {
            {.head = "first", .path = path},
            {.head = "other", .path = "/tmp/fastput-pack-isn't-there"},
        };
        for (size_t i = 0; i < 2; i++) {
            entries[i].head_bytes = HEAD_BYTES;
            entries[i].offset_bytes = AT;
            entries[i].length_bytes = PIECE_BYTES;
            entries[i].size_bytes = FILE_BYTES;
            entries[i].mtime_ns = (int64_t)mtime.tv_sec * 1000000000 + mtime.tv_nsec;
            entries[i].padding_bytes = PADDING_BYTES;
        }
        struct fp_pack pack = {.entries = entries, .count = 2};
        struct fp_hashes hashes = {.update_crc64nvme = sum64};
        size_t done_bytes = 0;
        while (pack.index < pack.count) {
            unsigned char *exact = malloc(step_bytes);
            const size_t got_bytes = fp_pack_read(&pack, exact, step_bytes, &hashes);
            check(got_bytes == step_bytes || pack.index == pack.count, "length of a step");
            check(done_bytes + got_bytes <= WHOLE_BYTES && memcmp(exact, wanted + done_bytes, got_bytes) == 0, "bytes");
            done_bytes += got_bytes;
            free(exact);
            checks += 2;
        }
        check(done_bytes == WHOLE_BYTES && hashes.crc64nvme == sum64(0, wanted, WHOLE_BYTES), "hash of all");
        check(entries[0].outcome == FP_PACK_OK, "a file");
        check(entries[0].crc64nvme == sum64(0, content + AT, PIECE_BYTES), "hash of a piece");
        check(entries[1].outcome == FP_PACK_UNREADABLE && entries[1].error_number != 0, "a missing file");
        checks += 4;
    }
    close(fd);
    unlink(path);
    printf("%d checks, %d failures\n", checks, failures);
    return failures != 0;
}
