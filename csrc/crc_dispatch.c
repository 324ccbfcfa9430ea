/* The choice among the kernels, made once, and their self-test.
 *
 * The known answers were computed bit by bit from the definition, so that a wrong table or
 * constant, a compiler's mistake or a CPU's is found before the first byte is uploaded.
 */
#include "crc_dispatch.h"

#include "cpu.h"
#include "crc32c.h"
#include "crc64nvme.h"
#include "crc_constants.h"

#include <string.h>

#if defined(FP_HAVE_X86)
#define X86_KERNEL(kernel) kernel
#else
#define X86_KERNEL(kernel) NULL
#endif
#if defined(FP_HAVE_X86_VPCLMUL)
#define VPCLMUL_KERNEL(kernel) kernel
#else
#define VPCLMUL_KERNEL(kernel) NULL
#endif
#if defined(FP_HAVE_ARMV8)
#define ARMV8_KERNEL(kernel) kernel
#else
#define ARMV8_KERNEL(kernel) NULL
#endif

#define NEEDS_PCLMUL (FP_CPU_SSE42 | FP_CPU_PCLMUL)
#define NEEDS_VPCLMUL (NEEDS_PCLMUL | FP_CPU_AVX2 | FP_CPU_VPCLMULQDQ)
#define NEEDS_VPCLMUL512 (NEEDS_VPCLMUL | FP_CPU_AVX512)
#define NEEDS_ARMV8 (FP_CPU_ARM_CRC32 | FP_CPU_ARM_PMULL)

const struct fp_crc_variant fp_crc_variants[FP_CRC_VARIANT_COUNT] = {
    {"portable", 0, fp_crc64nvme_portable, fp_crc32c_portable},
    {"sse42", FP_CPU_SSE42, NULL, X86_KERNEL(fp_crc32c_sse42)},
    {"pclmul", NEEDS_PCLMUL, X86_KERNEL(fp_crc64nvme_pclmul), X86_KERNEL(fp_crc32c_pclmul)},
    {"vpclmul", NEEDS_VPCLMUL, VPCLMUL_KERNEL(fp_crc64nvme_vpclmul),
     VPCLMUL_KERNEL(fp_crc32c_vpclmul)},
    {"vpclmul512", NEEDS_VPCLMUL512, VPCLMUL_KERNEL(fp_crc64nvme_vpclmul512),
     VPCLMUL_KERNEL(fp_crc32c_vpclmul512)},
    {"armv8", NEEDS_ARMV8, ARMV8_KERNEL(fp_crc64nvme_armv8), ARMV8_KERNEL(fp_crc32c_armv8)},
};

static const struct fp_crc_variant *chosen64 = &fp_crc_variants[0];
static const struct fp_crc_variant *chosen32 = &fp_crc_variants[0];

bool fp_crc_variant_runs(const struct fp_crc_variant *variant)
{
    return (variant->crc64nvme != NULL || variant->crc32c != NULL) &&
           (fp_cpu_features() & variant->cpu_features) == variant->cpu_features;
}

static const struct {
    size_t bytes;
    uint64_t crc64nvme;
    uint32_t crc32c;
} known_answers[] = FP_CRC_KNOWN_ANSWERS;

enum { KNOWN_ANSWER_COUNT = sizeof known_answers / sizeof known_answers[0] };

static uint8_t known_answer_data[FP_CRC_KNOWN_ANSWER_MAX_BYTES];

/* The generator is the one of gen_constants.py. */
static void fill_known_answer_data(void)
{
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof known_answer_data; i++) {
        seed = seed * 1664525u + 1013904223u;
        known_answer_data[i] = (uint8_t)(seed >> 24);
    }
}

/* Each answer is asked for in one piece and in two, which tests that a value runs on. */
bool fp_crc64nvme_self_test(fp_crc64_fn kernel)
{
    for (size_t i = 0; i < KNOWN_ANSWER_COUNT; i++) {
        const size_t n = known_answers[i].bytes;
        const size_t head = n / 3;
        const uint64_t in_two = kernel(kernel(0, known_answer_data, head),
                                       known_answer_data + head, n - head);
        if (kernel(0, known_answer_data, n) != known_answers[i].crc64nvme ||
            in_two != known_answers[i].crc64nvme)
            return false;
    }
    return true;
}

bool fp_crc32c_self_test(fp_crc32_fn kernel)
{
    for (size_t i = 0; i < KNOWN_ANSWER_COUNT; i++) {
        const size_t n = known_answers[i].bytes;
        const size_t head = n / 3;
        const uint32_t in_two = kernel(kernel(0, known_answer_data, head),
                                       known_answer_data + head, n - head);
        if (kernel(0, known_answer_data, n) != known_answers[i].crc32c ||
            in_two != known_answers[i].crc32c)
            return false;
    }
    return true;
}

enum fp_crc_status fp_crc_select(const char *demanded_or_null)
{
    size_t top = FP_CRC_VARIANT_COUNT - 1;

    if (demanded_or_null != NULL) {
        while (strcmp(fp_crc_variants[top].name, demanded_or_null) != 0)
            if (top-- == 0)
                return FP_CRC_UNKNOWN_VARIANT;
        if (!fp_crc_variant_runs(&fp_crc_variants[top]))
            return FP_CRC_UNAVAILABLE_VARIANT;
    }

    fp_crc64nvme_init();
    fp_crc32c_init();
    fill_known_answer_data();
    for (size_t i = 0; i <= top; i++) {
        if (!fp_crc_variant_runs(&fp_crc_variants[i]))
            continue;
        if (fp_crc_variants[i].crc64nvme != NULL)
            chosen64 = &fp_crc_variants[i];
        if (fp_crc_variants[i].crc32c != NULL)
            chosen32 = &fp_crc_variants[i];
    }
    if (!fp_crc64nvme_self_test(chosen64->crc64nvme) || !fp_crc32c_self_test(chosen32->crc32c))
        return FP_CRC_SELF_TEST_FAILED;
    return FP_CRC_OK;
}

const struct fp_crc_variant *fp_crc64nvme_variant(void)
{
    return chosen64;
}

const struct fp_crc_variant *fp_crc32c_variant(void)
{
    return chosen32;
}

uint64_t fp_crc64nvme(uint64_t crc, const void *data, size_t n)
{
    return chosen64->crc64nvme(crc, data, n);
}

uint32_t fp_crc32c(uint32_t crc, const void *data, size_t n)
{
    return chosen32->crc32c(crc, data, n);
}
