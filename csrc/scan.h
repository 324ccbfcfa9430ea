/* What a directory holds: one row an entry, without a call of Python for each.
 *
 * A million names through os.scandir and DirEntry.stat cost 3 to 4 microseconds each, most of it objects that a survey
 * throws away at once; here it is what the file system takes.
 */
#ifndef FASTPUT_SCAN_H
#define FASTPUT_SCAN_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>

/* An entry as lstat sees it. No padding: numpy reads rows of it (native/scan.pyx has the same list). */
struct fp_entry {
    int64_t size_bytes;
    int64_t disk_bytes; /* that it takes up: less than its size where it has holes */
    int64_t mtime_ns;
    int64_t ctime_ns;
    uint64_t inode;
    uint64_t device;
    uint64_t links;
    uint32_t mode; /* 0: it could not be looked at, and error says why; the rest is 0 then */
    uint32_t uid;
    uint32_t gid;
    int32_t error; /* an errno */
    uint32_t name_at;
    uint32_t name_bytes;
};

/* The longest name that a directory can hold, with the zero behind it. */
enum { FP_NAME_ROOM = 256 };

/* Rows that are filled, and the names that they point to, one after the other and each with a zero behind it. */
struct fp_rows {
    struct fp_entry *entries;
    char *names;
    size_t entry_count, entry_room, name_bytes, name_room;
};

/* Adds entries of a directory, without "." and "..", until there are no more (returns 0) or no room (returns 1).
 * *error: an errno if the directory could not be read to its end, or 0. */
int fp_scan(DIR *directory, struct fp_rows *rows, int *error);

#endif
