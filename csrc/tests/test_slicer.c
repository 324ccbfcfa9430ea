/* Slices of a file into buffers of exactly their size, so that a sanitizer sees any byte too many. */
#include "slicer.h"
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    enum { FILE_BYTES = 3 * 1024 * 1024 + 17 };
    unsigned char *content = malloc(FILE_BYTES);
    for (size_t i = 0; i < FILE_BYTES; i++)
        content[i] = (unsigned char)(i * 2654435761u >> 13);
    FILE *file = tmpfile();
    if (!content || !file || fwrite(content, 1, FILE_BYTES, file) != FILE_BYTES || fflush(file) != 0)
        return 2;
    int fd = fileno(file);
    static const size_t lengths[] = {0, 1, 63, 4096, 524287, 524288, 524289, 2000000};
    int checks = 0;
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (int64_t offset = 0; offset < 3; offset++) {
            size_t length = lengths[l];
            unsigned char *exact = malloc(length ? length : 1);
            struct fp_hashes hashes = {.update_crc64nvme = sum64};
            enum fp_slice_status status;
            int error_number;
            size_t got = fp_slice_file(fd, offset, exact, length, &hashes, &status, &error_number);
            check(got == length && status == FP_SLICE_OK, "length of a slice");
            check(memcmp(exact, content + offset, length) == 0, "bytes of a slice");
            check(hashes.crc64nvme == sum64(0, content + offset, length), "hash of a slice");
            struct fp_hashes copied = {.update_crc64nvme = sum64};
            fp_slice_memory(content + offset, exact, length, &copied);
            check(memcmp(exact, content + offset, length) == 0 && copied.crc64nvme == hashes.crc64nvme, "a copy");
            free(exact);
            checks += 4;
        }
    }
    unsigned char tail[64];
    struct fp_hashes hashes = {.update_crc64nvme = sum64};
    enum fp_slice_status status;
    int error_number;
    check(fp_slice_file(fd, FILE_BYTES - 10, tail, sizeof tail, &hashes, &status, &error_number) == 10 &&
              status == FP_SLICE_SHRANK, "a slice beyond the end");
    check(fp_slice_file(-1, 0, tail, sizeof tail, &hashes, &status, &error_number) == 0 &&
              status == FP_SLICE_ERROR && error_number != 0, "a closed descriptor");
    struct stat now;
    fstat(fd, &now);
    const int64_t mtime_ns = (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec;
    check(fp_check_unchanged(fd, FILE_BYTES, mtime_ns, &error_number) == FP_SLICE_OK, "unchanged");
    check(fp_check_unchanged(fd, FILE_BYTES, mtime_ns + 1, &error_number) == FP_SLICE_CHANGED, "another mtime");
    check(fp_check_unchanged(fd, FILE_BYTES + 1, mtime_ns, &error_number) == FP_SLICE_SHRANK, "shorter");
    free(content);
    fclose(file);
    printf("%d checks, %d failures\n", checks + 5, failures);
    return failures != 0;
}
