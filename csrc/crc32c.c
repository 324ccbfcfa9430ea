/* CRC-32C: P = x^32 + 0x1edc6f41, bit-reflected, starting state and final xor ~0.
 *
 * Portable: slicing by 8 as in crc64nvme.c; the state covers the first four of eight bytes.
 *
 * The CRC32 instructions of SSE 4.2 and Armv8 take 8 bytes, one every cycle, but each waits
 * three cycles for the one before.  So a stretch of 3 * B bytes is done as three interleaved
 * streams of B bytes, of which only the first starts from the running state.  Moving a state
 * over B bytes is a multiplication by x^(8B) mod P; that is linear, so four tables of 256
 * entries do it, one for each byte of the state:
 *
 *     state = (((s0 * x^(8B)) + s1) * x^(8B)) + s2
 *
 * Two sizes of B are used, a long one that makes the cost of this negligible and a short one
 * for what is left.
 *
 * Folding (crc_fold.h) leaves 16 bytes with the same CRC, which two more CRC32 instructions
 * from state zero reduce: the state itself was added to the first bytes of the message.
 *
 * On x86 the multiplier and the unit of the CRC32 instruction are different ones, so a long
 * message is done by both at once: in each stretch of it the first part is folded, and three
 * streams over the rest advance within the same loop.
 */
#include "crc32c.h"

#include "crc_combine.h"
#include "crc_constants.h"
#include "crc_vec.h"

#include <string.h>

/* The long one is the longest with which a stretch beside 64-byte vectors fits in 128 KiB, so
 * that a caller who hashes by 128 KiB, while they are in the cache, has it for all of them. */
enum { LONG_STREAM_BYTES = 6848, SHORT_STREAM_BYTES = 256 };
_Static_assert(LONG_STREAM_BYTES % 64 == 0, "streams advance by up to 64 bytes a turn");

/* part[i][b] is the state with byte i = b and zeros elsewhere, moved over one stream. */
struct move_table {
    uint32_t part[4][256];
};

static uint32_t slice[8][256];
static struct move_table over_long;
static struct move_table over_short;

static void init_move_table(struct move_table *over, uint64_t stream_bytes)
{
    for (unsigned i = 0; i < 4; i++)
        for (uint32_t byte = 0; byte < 256; byte++)
            over->part[i][byte] = fp_crc32c_combine(byte << (8 * i), 0, stream_bytes);
}

void fp_crc32c_init(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t state = byte;
        for (int bit = 0; bit < 8; bit++)
            state = (state >> 1) ^ ((state & 1) ? FP_CRC32C_POLY : 0);
        slice[0][byte] = state;
    }
    for (unsigned i = 1; i < 8; i++)
        for (unsigned byte = 0; byte < 256; byte++) {
            const uint32_t state = slice[i - 1][byte];
            slice[i][byte] = (state >> 8) ^ slice[0][state & 0xff];
        }
    init_move_table(&over_long, LONG_STREAM_BYTES);
    init_move_table(&over_short, SHORT_STREAM_BYTES);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t fp_crc32c_portable(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t state = ~crc;

    for (; n >= 8; p += 8, n -= 8) {
        const uint32_t x = state ^ load_le32(p);
        const uint32_t y = load_le32(p + 4);
        state = slice[7][x & 0xff] ^ slice[6][(x >> 8) & 0xff] ^ slice[5][(x >> 16) & 0xff] ^
                slice[4][x >> 24] ^ slice[3][y & 0xff] ^ slice[2][(y >> 8) & 0xff] ^
                slice[1][(y >> 16) & 0xff] ^ slice[0][y >> 24];
    }
    for (; n != 0; p++, n--)
        state = (state >> 8) ^ slice[0][(state ^ *p) & 0xff];
    return ~state;
}

#if defined(FP_HAVE_X86) || defined(FP_HAVE_ARMV8)

#if defined(FP_HAVE_X86)
#define TARGET_CRC32 TARGET_SSE42
#else
#define TARGET_CRC32 TARGET_V128
#endif

/* States are 64 bits wide where 8 bytes are taken at once, as x86 has it: one extension to 64
 * bits for each instruction would cost as much again. */

VEC_FN(TARGET_CRC32) uint32_t step1(uint32_t state, uint8_t byte)
{
#if defined(FP_HAVE_X86)
    return _mm_crc32_u8(state, byte);
#else
    return __crc32cb(state, byte);
#endif
}

VEC_FN(TARGET_CRC32) uint64_t step8(uint64_t state, uint64_t bytes)
{
#if defined(FP_HAVE_X86)
    return _mm_crc32_u64(state, bytes);
#else
    return __crc32cd((uint32_t)state, bytes);
#endif
}

/* Both targets are little-endian. */
static inline uint64_t load64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof value);
    return value;
}

static inline uint64_t move(uint64_t state, const struct move_table *over)
{
    return over->part[0][state & 0xff] ^ over->part[1][(state >> 8) & 0xff] ^
           over->part[2][(state >> 16) & 0xff] ^ over->part[3][(state >> 24) & 0xff];
}

/* One stretch of three streams. */
VEC_FN(TARGET_CRC32) uint64_t update_streams(uint64_t state, const uint8_t *p,
                                             size_t stream_bytes, const struct move_table *over)
{
    const uint8_t *const end = p + stream_bytes;
    uint64_t s1 = 0;
    uint64_t s2 = 0;

    for (; p != end; p += 8) {
        state = step8(state, load64(p));
        s1 = step8(s1, load64(p + stream_bytes));
        s2 = step8(s2, load64(p + 2 * stream_bytes));
    }
    return move(move(state, over) ^ s1, over) ^ s2;
}

VEC_FN(TARGET_CRC32) uint32_t update_serial(uint64_t wide_state, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        wide_state = step8(wide_state, load64(p));
    uint32_t state = (uint32_t)wide_state;
    for (; n != 0; p++, n--)
        state = step1(state, *p);
    return state;
}

TARGET_CRC32 static uint32_t crc_by_streams(uint32_t crc, const uint8_t *p, size_t n)
{
    uint64_t state = ~crc;

    for (; n >= 3 * LONG_STREAM_BYTES; p += 3 * LONG_STREAM_BYTES, n -= 3 * LONG_STREAM_BYTES)
        state = update_streams(state, p, LONG_STREAM_BYTES, &over_long);
    for (; n >= 3 * SHORT_STREAM_BYTES; p += 3 * SHORT_STREAM_BYTES, n -= 3 * SHORT_STREAM_BYTES)
        state = update_streams(state, p, SHORT_STREAM_BYTES, &over_short);
    return ~update_serial(state, p, n);
}

#endif

#if defined(FP_HAVE_ARMV8)

TARGET_CRC32 uint32_t fp_crc32c_armv8(uint32_t crc, const void *data, size_t n)
{
    return crc_by_streams(crc, data, n);
}

#endif

#if defined(FP_HAVE_X86)

TARGET_CRC32 uint32_t fp_crc32c_sse42(uint32_t crc, const void *data, size_t n)
{
    return crc_by_streams(crc, data, n);
}

static const uint64_t fold_factors[][2] = {FP_CRC32C_FOLD_16,  FP_CRC32C_FOLD_32,
                                           FP_CRC32C_FOLD_64,  FP_CRC32C_FOLD_128,
                                           FP_CRC32C_FOLD_256, FP_CRC32C_FOLD_512};

/* Below this many bytes the chain of CRC32 instructions is done sooner than a fold. */
enum { FOLD_MIN_BYTES = 128 };

/* What each stream advances by while eight vectors are folded.  The narrow vectors are folded
 * more slowly than the streams advance; the wide ones leave little room beside them. */
#define BESIDE_BYTES(vec_bytes) ((vec_bytes) == 64 ? 32 : 64)

/* What is folded until the streams are done; the first eight vectors are only loaded. */
#define FOLDED_BYTES(vec_bytes)                                                             \
    ((LONG_STREAM_BYTES / BESIDE_BYTES(vec_bytes) + 1) * 8 * (vec_bytes))

/* The three streams that are done beside folding; they lie one after the other. */
struct streams {
    const uint8_t *p;
    uint64_t state[3];
};

VEC_FN(TARGET_CRC32) void advance_streams(struct streams *streams, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8, streams->p += 8)
        for (size_t s = 0; s < 3; s++)
            streams->state[s] =
                step8(streams->state[s], load64(streams->p + s * LONG_STREAM_BYTES));
}

#define FOLD_PARAMETER , struct streams *streams_or_null
#define FOLD_MEANWHILE                                                                      \
    if (streams_or_null != NULL)                                                            \
        advance_streams(streams_or_null, BESIDE_BYTES(FOLD_VEC_BYTES));

VEC_FN(TARGET_V128) uint64_t reduce(v128 lane)
{
    return step8(step8(0, v128_get_low(lane)), v128_get_high(lane));
}

#define DEFINE_KERNEL(variant, target, fold, vec_bytes)                                     \
    target uint32_t fp_crc32c_##variant(uint32_t crc, const void *data, size_t n)           \
    {                                                                                       \
        const size_t folded_bytes = FOLDED_BYTES(vec_bytes);                                \
        const size_t stretch_bytes = folded_bytes + 3 * LONG_STREAM_BYTES;                  \
        const uint8_t *p = data;                                                            \
        uint64_t state = ~crc;                                                              \
                                                                                            \
        for (; n >= stretch_bytes; p += stretch_bytes, n -= stretch_bytes) {                \
            struct streams streams = {p + folded_bytes, {0, 0, 0}};                         \
            state = reduce(fold(state, p, folded_bytes, fold_factors, &streams));           \
            for (size_t s = 0; s < 3; s++)                                                  \
                state = move(state, &over_long) ^ streams.state[s];                         \
        }                                                                                   \
        if (n < FOLD_MIN_BYTES)                                                             \
            return ~update_serial(state, p, n);                                             \
        return ~(uint32_t)reduce(fold(state, p, n, fold_factors, NULL));                    \
    }

#define FOLD_VEC v128
#define FOLD_VEC_BYTES 16
#define FOLD_TARGET TARGET_V128
#include "crc_fold.h"
DEFINE_KERNEL(pclmul, TARGET_V128, fold_v128, 16)

#endif

#if defined(FP_HAVE_X86_VPCLMUL)

#define FOLD_VEC v256
#define FOLD_VEC_BYTES 32
#define FOLD_TARGET TARGET_V256
#include "crc_fold.h"
DEFINE_KERNEL(vpclmul, TARGET_V256, fold_v256, 32)

#define FOLD_VEC v512
#define FOLD_VEC_BYTES 64
#define FOLD_TARGET TARGET_V512
#include "crc_fold.h"
DEFINE_KERNEL(vpclmul512, TARGET_V512, fold_v512, 64)

#endif
