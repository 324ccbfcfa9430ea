/* Exhaustive test of every CRC kernel that runs here, against the bit-by-bit definition.
 *
 * Built by tests/native/test_sanitizers.py and `make sanitize` with the address and
 * undefined-behaviour sanitizers.  An argument names the one variant to test.  With
 * FP_TEST_OVERRUN defined the kernels are asked for one byte more than there is, which the
 * address sanitizer must notice: it shows that a kernel which reads too far would be found.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "crc_combine.h"
#include "crc_dispatch.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_BYTES = 1100, ALIGNMENTS = 64, LONG_BYTES = 262144 };

static const uint64_t START64 = 0x0123456789abcdefu;
static const uint32_t START32 = 0x89abcdefu;

static bool runs[FP_CRC_VARIANT_COUNT];
static unsigned long checks;
static unsigned long failures;

static void check(bool holds, const char *format, ...)
{
    checks++;
    if (holds || ++failures > 20)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* The definitions, one byte at a time, with running values as the kernels have them. */

static uint64_t define64(uint64_t crc, uint8_t byte)
{
    uint64_t state = ~crc ^ byte;
    for (int bit = 0; bit < 8; bit++)
        state = (state >> 1) ^ ((state & 1) ? 0x9a6c9329ac4bc9b5u : 0);
    return ~state;
}

static uint32_t define32(uint32_t crc, uint8_t byte)
{
    uint32_t state = ~crc ^ byte;
    for (int bit = 0; bit < 8; bit++)
        state = (state >> 1) ^ ((state & 1) ? 0x82f63b78u : 0);
    return ~state;
}

static void fill(uint8_t *p, size_t n)
{
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        p[i] = (uint8_t)(seed >> 32);
    }
}

/* Ask every kernel for n bytes at p. */
static void check_kernels(const char *where, const uint8_t *p, size_t n, uint64_t start64,
                          uint64_t expected64, uint32_t start32, uint32_t expected32)
{
    for (size_t i = 0; i < FP_CRC_VARIANT_COUNT; i++) {
        const struct fp_crc_variant *v = &fp_crc_variants[i];
        if (!runs[i])
            continue;
        if (v->crc64nvme != NULL)
            check(v->crc64nvme(start64, p, n) == expected64, "%s crc64nvme: %s, %zu bytes at %p",
                  v->name, where, n, (const void *)p);
        if (v->crc32c != NULL)
            check(v->crc32c(start32, p, n) == expected32, "%s crc32c: %s, %zu bytes at %p",
                  v->name, where, n, (const void *)p);
    }
}

/* Every length at every alignment, from the start and running on. */
static void test_lengths_and_alignments(void)
{
    uint8_t *const buffer = aligned_alloc(64, 64 * ((ALIGNMENTS + MAX_BYTES) / 64 + 1));
    fill(buffer, ALIGNMENTS + MAX_BYTES);
    for (size_t offset = 0; offset < ALIGNMENTS; offset++) {
        const uint8_t *const p = buffer + offset;
        uint64_t from_zero64 = 0, running64 = START64;
        uint32_t from_zero32 = 0, running32 = START32;
        for (size_t n = 0; n <= MAX_BYTES; n++) {
            check_kernels("aligned buffer", p, n, 0, from_zero64, 0, from_zero32);
            check_kernels("running on", p, n, START64, running64, START32, running32);
            from_zero64 = define64(from_zero64, p[n]);
            running64 = define64(running64, p[n]);
            from_zero32 = define32(from_zero32, p[n]);
            running32 = define32(running32, p[n]);
        }
    }
    free(buffer);
}

/* With one byte more, a multiple of every vector: the last load of each is the one at fault. */
#if defined(FP_TEST_OVERRUN)
enum { HEAP_BLOCK_MIN_BYTES = 1087, OVERRUN_BYTES = 1 };
#else
enum { HEAP_BLOCK_MIN_BYTES = 1, OVERRUN_BYTES = 0 };
#endif

/* Heap blocks of the very length: the sanitizer knows their ends. */
static void test_heap_blocks(void)
{
    for (size_t n = HEAP_BLOCK_MIN_BYTES; n <= MAX_BYTES; n++) {
        uint8_t *const p = malloc(n);
        uint64_t crc64 = 0;
        uint32_t crc32 = 0;
        fill(p, n);
        for (size_t i = 0; i < n; i++) {
            crc64 = define64(crc64, p[i]);
            crc32 = define32(crc32, p[i]);
        }
        check_kernels("heap block", p, n + OVERRUN_BYTES, 0, crc64, 0, crc32);
        free(p);
    }
}

/* The stretches of streams in crc32c.c: alone, and beside vectors of 16, 32 and 64 bytes. */
static bool is_about_a_multiple(size_t n)
{
    return (n + 1) % 2048 <= 2 || (n + 1) % 20544 <= 2 || (n + 1) % 34368 <= 2 ||
           (n + 1) % 48192 <= 2 || (n + 1) % 130624 <= 2;
}

/* Data between two pages that must not be touched. */
static void test_guard_pages(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t usable = (LONG_BYTES / page + 1) * page;
    uint8_t *const map =
        mmap(NULL, usable + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, usable, PROT_READ | PROT_WRITE) != 0) {
        perror("guard pages");
        exit(EXIT_FAILURE);
    }
    uint8_t *const first = map + page;
    const uint8_t *const end = first + usable;
    fill(first, usable);

    uint64_t crc64 = 0;
    uint32_t crc32 = 0;
    for (size_t n = 0; n <= usable; n++) {
        if (n <= MAX_BYTES || is_about_a_multiple(n))
            check_kernels("after a guard page", first, n, 0, crc64, 0, crc32);
        if (n < usable) {
            crc64 = define64(crc64, first[n]);
            crc32 = define32(crc32, first[n]);
        }
    }
    for (size_t n = 0; n <= LONG_BYTES; n += n < MAX_BYTES ? 1 : 5413) {
        const uint8_t *const p = end - n;
        crc64 = 0;
        crc32 = 0;
        for (size_t i = 0; i < n; i++) {
            crc64 = define64(crc64, p[i]);
            crc32 = define32(crc32, p[i]);
        }
        check_kernels("before a guard page", p, n, 0, crc64, 0, crc32);
    }
    munmap(map, usable + 2 * page);
}

static void test_combination(void)
{
    uint8_t data[MAX_BYTES];
    fill(data, sizeof data);
    const uint64_t all64 = fp_crc64nvme(0, data, sizeof data);
    const uint32_t all32 = fp_crc32c(0, data, sizeof data);
    for (size_t head = 0; head <= sizeof data; head++) {
        const size_t tail = sizeof data - head;
        check(fp_crc64nvme_combine(fp_crc64nvme(0, data, head),
                                   fp_crc64nvme(0, data + head, tail), tail) == all64,
              "crc64nvme combined at %zu", head);
        check(fp_crc32c_combine(fp_crc32c(0, data, head), fp_crc32c(0, data + head, tail),
                                tail) == all32,
              "crc32c combined at %zu", head);
    }
}

/* Kernels with one fault each, of the kinds that the self-test is there for. */
static uint64_t wrong_tail64(uint64_t crc, const void *data, size_t n)
{
    return fp_crc64nvme(crc, data, n) ^ (n % 16 == 15);
}

static uint32_t wrong_when_long32(uint32_t crc, const void *data, size_t n)
{
    return fp_crc32c(crc, data, n) ^ (n >= 24576);
}

static uint32_t forgets_the_start32(uint32_t crc, const void *data, size_t n)
{
    return fp_crc32c(n > 16 ? 0 : crc, data, n);
}

static void test_dispatch(void)
{
    check(fp_crc_select("no such") == FP_CRC_UNKNOWN_VARIANT, "unknown variant accepted");
    for (size_t i = 0; i < FP_CRC_VARIANT_COUNT; i++) {
        const struct fp_crc_variant *v = &fp_crc_variants[i];
        if (!fp_crc_variant_runs(v)) {
            check(fp_crc_select(v->name) == FP_CRC_UNAVAILABLE_VARIANT, "%s accepted", v->name);
            continue;
        }
        check(fp_crc_select(v->name) == FP_CRC_OK, "%s refused", v->name);
        check(v->crc64nvme == NULL || fp_crc64nvme_variant() == v, "%s ignored", v->name);
        check(v->crc32c == NULL || fp_crc32c_variant() == v, "%s ignored", v->name);
        check(fp_crc64nvme_variant() <= v && fp_crc32c_variant() <= v, "%s exceeded", v->name);
    }
    check(!fp_crc64nvme_self_test(wrong_tail64), "self-test passes a wrong tail");
    check(!fp_crc32c_self_test(wrong_when_long32), "self-test passes a wrong long message");
    check(!fp_crc32c_self_test(forgets_the_start32), "self-test passes a forgotten start");
    check(fp_crc_select(NULL) == FP_CRC_OK, "the best refused");
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < FP_CRC_VARIANT_COUNT; i++)
        runs[i] = fp_crc_variant_runs(&fp_crc_variants[i]) &&
                  (argc < 2 || strcmp(argv[1], fp_crc_variants[i].name) == 0);
    if (fp_crc_select(NULL) != FP_CRC_OK) {
        fputs("the self-test failed\n", stderr);
        return EXIT_FAILURE;
    }
    check(fp_crc64nvme(0, "123456789", 9) == 0xae8b14860a799888u, "published crc64nvme");
    check(fp_crc32c(0, "123456789", 9) == 0xe3069283u, "published crc32c");
    test_heap_blocks();
    test_guard_pages();
    test_lengths_and_alignments();
    test_combination();
    test_dispatch();
    printf("%lu checks, %lu failures; best: %s and %s\n", checks, failures,
           fp_crc64nvme_variant()->name, fp_crc32c_variant()->name);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
