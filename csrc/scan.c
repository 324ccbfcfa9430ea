#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#define MTIME st_mtimespec
#define CTIME st_ctimespec
#else
#define MTIME st_mtim
#define CTIME st_ctim
#endif

static int64_t to_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void look(int directory, struct fp_entry *entry, const char *name)
{
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        entry->error = errno;
        return;
    }
    entry->size_bytes = status.st_size;
    entry->disk_bytes = (int64_t)status.st_blocks * 512; /* POSIX leaves the unit open; Linux and macOS have this one */
    entry->mtime_ns = to_ns(status.MTIME);
    entry->ctime_ns = to_ns(status.CTIME);
    entry->inode = status.st_ino;
    entry->device = status.st_dev;
    entry->links = status.st_nlink;
    entry->mode = status.st_mode;
    entry->uid = status.st_uid;
    entry->gid = status.st_gid;
}

static int is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

int fp_scan(DIR *directory, struct fp_rows *rows, int *error)
{
    *error = 0;
    while (rows->entry_count < rows->entry_room && rows->name_room - rows->name_bytes >= FP_NAME_ROOM) {
        errno = 0;
        const struct dirent *found = readdir(directory);
        if (!found) {
            *error = errno;
            return 0;
        }
        if (is_dots(found->d_name))
            continue;
        size_t length = strnlen(found->d_name, FP_NAME_ROOM - 1);
        struct fp_entry *entry = &rows->entries[rows->entry_count++];
        memset(entry, 0, sizeof *entry);
        entry->name_at = (uint32_t)rows->name_bytes;
        entry->name_bytes = (uint32_t)length;
        memcpy(rows->names + rows->name_bytes, found->d_name, length);
        rows->names[rows->name_bytes + length] = 0;
        rows->name_bytes += length + 1;
        look(dirfd(directory), entry, rows->names + entry->name_at);
    }
    return 1;
}
