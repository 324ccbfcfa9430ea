/* Combination of CRCs: crc(a || b) = crc(a) * x^(8 |b|) + crc(b)  (mod P).
 *
 * The state after a message is linear in the starting state and the message: |b| more bytes
 * multiply the state they find by x^(8 |b|) and add a part of their own.  With the ones I that
 * are both the starting state and the final xor, and b's own part B:
 *
 *     crc(a || b) + I = (crc(a) + I) * x^(8 |b|) + B,     crc(b) + I = I * x^(8 |b|) + B
 *
 * The sum of the two is the first line; neither I nor B is left in it.
 *
 * The power of x comes from a table of x^(8 * 2^k) mod P, one multiplication for each set
 * bit of the length; it has an entry for each bit of a 64-bit length.
 *
 * Registers are reflected: the highest bit is x^0, a shift right multiplies by x.
 */
#include "crc_combine.h"

#include "crc_constants.h"

static const uint64_t crc64nvme_x8_powers[64] = FP_CRC64NVME_X8_POWERS;
static const uint32_t crc32c_x8_powers[64] = FP_CRC32C_X8_POWERS;

/* a * b mod P: add a * x^i for each term x^i of b. */
static uint64_t crc64nvme_multiply(uint64_t a, uint64_t b)
{
    uint64_t product = 0;
    for (; b != 0; b <<= 1) {
        product ^= a & (0 - (b >> 63));
        a = (a >> 1) ^ (FP_CRC64NVME_POLY & (0 - (a & 1)));
    }
    return product;
}

static uint32_t crc32c_multiply(uint32_t a, uint32_t b)
{
    uint32_t product = 0;
    for (; b != 0; b <<= 1) {
        product ^= a & (0 - (b >> 31));
        a = (a >> 1) ^ (FP_CRC32C_POLY & (0 - (a & 1)));
    }
    return product;
}

uint64_t fp_crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b_bytes)
{
    for (unsigned k = 0; len_b_bytes != 0; k++, len_b_bytes >>= 1)
        if (len_b_bytes & 1)
            crc_a = crc64nvme_multiply(crc_a, crc64nvme_x8_powers[k]);
    return crc_a ^ crc_b;
}

uint32_t fp_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b_bytes)
{
    for (unsigned k = 0; len_b_bytes != 0; k++, len_b_bytes >>= 1)
        if (len_b_bytes & 1)
            crc_a = crc32c_multiply(crc_a, crc32c_x8_powers[k]);
    return crc_a ^ crc_b;
}
