/* The table of CRC kernels and the choice of one for each CRC.
 *
 * Running values are the conventional ones: start with 0, the starting state and the final
 * xor are inside, so f(f(0, a), b) == f(0, a || b).
 *
 * fp_crc_select() must have returned FP_CRC_OK before anything else here is called but
 * fp_crc_variant_runs(); call it from one thread, before the others.
 */
#ifndef FP_CRC_DISPATCH_H
#define FP_CRC_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t (*fp_crc64_fn)(uint64_t crc, const void *data, size_t n);
typedef uint32_t (*fp_crc32_fn)(uint32_t crc, const void *data, size_t n);

struct fp_crc_variant {
    const char *name;
    unsigned cpu_features; /* all that it needs, FP_CPU_* */
    fp_crc64_fn crc64nvme; /* NULL where not compiled or no such kernel */
    fp_crc32_fn crc32c;
};

/* Every name there is, worst first. */
enum { FP_CRC_VARIANT_COUNT = 6 };
extern const struct fp_crc_variant fp_crc_variants[FP_CRC_VARIANT_COUNT];

/* Whether this build and this CPU can run the variant, for at least one of the CRCs. */
bool fp_crc_variant_runs(const struct fp_crc_variant *variant);

enum fp_crc_status {
    FP_CRC_OK = 0,
    FP_CRC_UNKNOWN_VARIANT,
    FP_CRC_UNAVAILABLE_VARIANT,
    FP_CRC_SELF_TEST_FAILED
};

/* Choose the best variant that runs here, or the demanded one.  A variant with a kernel for
 * one CRC only demands, for the other, the best that runs and isn't above it in the table.
 * What is chosen must pass a known-answer test. */
enum fp_crc_status fp_crc_select(const char *demanded_or_null);

/* The chosen variants, of which the one or the other function is the chosen kernel. */
const struct fp_crc_variant *fp_crc64nvme_variant(void);
const struct fp_crc_variant *fp_crc32c_variant(void);

uint64_t fp_crc64nvme(uint64_t crc, const void *data, size_t n);
uint32_t fp_crc32c(uint32_t crc, const void *data, size_t n);

/* Compare a kernel with the known answers. */
bool fp_crc64nvme_self_test(fp_crc64_fn kernel);
bool fp_crc32c_self_test(fp_crc32_fn kernel);

#endif
