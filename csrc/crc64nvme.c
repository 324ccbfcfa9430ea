/* CRC-64/NVME: P = x^64 + 0xad93d23594c93659, bit-reflected, starting state and final xor ~0.
 *
 * Portable: slicing by 8.  Table 0 holds the state change of one byte followed by nothing,
 * table i that of one byte followed by i zero bytes.  As the CRC is linear, eight bytes are
 * eight independent look-ups xored together.
 *
 * With a carry-less multiplication: crc_fold.h reduces the message to 16 bytes L * x^64 + H,
 * of which the state is (L * x^64 + H) * x^64 mod P:
 *
 *   1. L * x^128 is L * (x^127 mod P) read as a lane (crc_fold.h explains the lost power of
 *      x), which added to H * x^64 leaves 128 bits, T = T1 * x^64 + T0.
 *   2. Barrett: the quotient T1 * x^64 / P is q = floor(T1 * mu / x^64) exactly, where
 *      mu = floor(x^128 / P); the remainder is the low half of T - q * P.
 *
 * mu and P have 65 bits.  In a register where bit i stands for x^(64 - i) all but their x^0
 * term have a place; the product with a reflected half then has bit k for x^(127 - k), like a
 * lane.  For mu the missing term doesn't matter, as T1 * x^0 is below x^64; for P, whose x^0
 * term is 1, q itself is added.
 */
#include "crc64nvme.h"

#include "crc_constants.h"
#include "crc_vec.h"

static uint64_t slice[8][256];

void fp_crc64nvme_init(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = (state >> 1) ^ ((state & 1) ? FP_CRC64NVME_POLY : 0);
        slice[0][byte] = state;
    }
    for (unsigned i = 1; i < 8; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint64_t state = slice[i - 1][byte];
            slice[i][byte] = (state >> 8) ^ slice[0][state & 0xff];
        }
}

/* Little-endian whatever the machine; compilers make one load of it. */
static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint64_t update_by_table(uint64_t state, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        const uint64_t x = state ^ load_le64(p);
        state = slice[7][x & 0xff] ^ slice[6][(x >> 8) & 0xff] ^ slice[5][(x >> 16) & 0xff] ^
                slice[4][(x >> 24) & 0xff] ^ slice[3][(x >> 32) & 0xff] ^
                slice[2][(x >> 40) & 0xff] ^ slice[1][(x >> 48) & 0xff] ^ slice[0][x >> 56];
    }
    for (; n != 0; p++, n--)
        state = (state >> 8) ^ slice[0][(state ^ *p) & 0xff];
    return state;
}

uint64_t fp_crc64nvme_portable(uint64_t crc, const void *data, size_t n)
{
    return ~update_by_table(~crc, data, n);
}

#if defined(FP_HAVE_X86) || defined(FP_HAVE_ARMV8)

static const uint64_t fold_factors[][2] = {
    FP_CRC64NVME_FOLD_16,  FP_CRC64NVME_FOLD_32,  FP_CRC64NVME_FOLD_64,
    FP_CRC64NVME_FOLD_128, FP_CRC64NVME_FOLD_256, FP_CRC64NVME_FOLD_512};

VEC_FN(TARGET_V128) uint64_t reduce(v128 lane)
{
    const v128 factor = v128_low(FP_CRC64NVME_X127);
    const v128 t = v128_xor(v128_mul_low(lane, factor), v128_low(v128_get_high(lane)));
    const v128 q = v128_mul_low(t, v128_low(FP_CRC64NVME_BARRETT_MU));
    const v128 qp = v128_mul_low(q, v128_low(FP_CRC64NVME_BARRETT_P));
    return v128_get_high(t) ^ v128_get_high(qp) ^ v128_get_low(q);
}

/* One kernel: the tables for what is shorter than a lane, folding for the rest. */
#define DEFINE_KERNEL(variant, target, fold)                                                \
    target uint64_t fp_crc64nvme_##variant(uint64_t crc, const void *data, size_t n)        \
    {                                                                                       \
        if (n < 16)                                                                         \
            return ~update_by_table(~crc, data, n);                                         \
        return ~reduce(fold(~crc, data, n, fold_factors));                                  \
    }

#define FOLD_VEC v128
#define FOLD_VEC_BYTES 16
#define FOLD_TARGET TARGET_V128
#include "crc_fold.h"

#endif

#if defined(FP_HAVE_X86)
DEFINE_KERNEL(pclmul, TARGET_V128, fold_v128)
#endif

#if defined(FP_HAVE_X86_VPCLMUL)

#define FOLD_VEC v256
#define FOLD_VEC_BYTES 32
#define FOLD_TARGET TARGET_V256
#include "crc_fold.h"
DEFINE_KERNEL(vpclmul, TARGET_V256, fold_v256)

#define FOLD_VEC v512
#define FOLD_VEC_BYTES 64
#define FOLD_TARGET TARGET_V512
#include "crc_fold.h"
DEFINE_KERNEL(vpclmul512, TARGET_V512, fold_v512)

#endif

#if defined(FP_HAVE_ARMV8)
DEFINE_KERNEL(armv8, TARGET_V128, fold_v128)
#endif
