/* The few vector operations that folding needs, for 16-, 32- and 64-byte vectors.
 *
 * Each function carries the instruction set it needs as an attribute and is always inlined
 * into a kernel that carries it too, so that the files are compiled with baseline flags.
 * Names: <v128|v256|v512>_<operation>.  A vector holds 16-byte lanes; in a lane, the half at
 * the lower address is called low and holds the higher powers of x (see crc_fold.h).
 */
#ifndef FP_CRC_VEC_H
#define FP_CRC_VEC_H

#include "cpu.h"

#include <stdint.h>

#if defined(FP_HAVE_X86) || defined(FP_HAVE_ARMV8)

#define VEC_FN(target) static inline __attribute__((always_inline, unused)) target

/* 16 x 0x80, then 0..15, then 16 x 0x80: a window of it is a byte shuffle that moves a lane
 * by some bytes and fills with zeros, or tells by its top bits where it filled. */
static const uint8_t fp_slide_bytes[48] = {
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

#endif

#if defined(FP_HAVE_X86)

#include <immintrin.h>

#define TARGET_SSE42 __attribute__((target("sse4.2")))
#define TARGET_V128 __attribute__((target("sse4.2,pclmul")))

typedef __m128i v128;

VEC_FN(TARGET_V128) v128 v128_load(const void *p)
{
    return _mm_loadu_si128(p);
}

/* A lane with a value in its low half and zeros in its high half. */
VEC_FN(TARGET_V128) v128 v128_low(uint64_t value)
{
    return _mm_cvtsi64_si128((long long)value);
}

VEC_FN(TARGET_V128) uint64_t v128_get_low(v128 a)
{
    return (uint64_t)_mm_cvtsi128_si64(a);
}

VEC_FN(TARGET_V128) uint64_t v128_get_high(v128 a)
{
    return (uint64_t)_mm_extract_epi64(a, 1);
}

VEC_FN(TARGET_V128) v128 v128_xor(v128 a, v128 b)
{
    return _mm_xor_si128(a, b);
}

/* The carry-less product of the two low halves. */
VEC_FN(TARGET_V128) v128 v128_mul_low(v128 a, v128 b)
{
    return _mm_clmulepi64_si128(a, b, 0x00);
}

/* Multiply each half of a by its factor in k and add both products to next. */
VEC_FN(TARGET_V128) v128 v128_fold(v128 a, v128 k, v128 next)
{
    return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), next),
                         _mm_clmulepi64_si128(a, k, 0x11));
}

/* Pick the bytes of a that the indices name; an index of 0x80 gives zero. */
VEC_FN(TARGET_V128) v128 v128_shuffle(v128 a, v128 indices)
{
    return _mm_shuffle_epi8(a, indices);
}

/* Take b's byte where the mask's top bit is set, a's elsewhere. */
VEC_FN(TARGET_V128) v128 v128_blend(v128 a, v128 b, v128 mask)
{
    return _mm_blendv_epi8(a, b, mask);
}

#elif defined(FP_HAVE_ARMV8)

#include <arm_acle.h>
#include <arm_neon.h>

#if defined(__clang__)
#define TARGET_V128 __attribute__((target("crc,aes")))
#else
#define TARGET_V128 __attribute__((target("+crc+crypto")))
#endif

typedef uint64x2_t v128;

VEC_FN(TARGET_V128) v128 v128_load(const void *p)
{
    return vreinterpretq_u64_u8(vld1q_u8(p));
}

VEC_FN(TARGET_V128) v128 v128_low(uint64_t value)
{
    return vsetq_lane_u64(value, vdupq_n_u64(0), 0);
}

VEC_FN(TARGET_V128) uint64_t v128_get_low(v128 a)
{
    return vgetq_lane_u64(a, 0);
}

VEC_FN(TARGET_V128) uint64_t v128_get_high(v128 a)
{
    return vgetq_lane_u64(a, 1);
}

VEC_FN(TARGET_V128) v128 v128_xor(v128 a, v128 b)
{
    return veorq_u64(a, b);
}

VEC_FN(TARGET_V128) v128 v128_mul_low(v128 a, v128 b)
{
    return vreinterpretq_u64_p128(
        vmull_p64((poly64_t)vgetq_lane_u64(a, 0), (poly64_t)vgetq_lane_u64(b, 0)));
}

VEC_FN(TARGET_V128) v128 v128_fold(v128 a, v128 k, v128 next)
{
    const v128 high = vreinterpretq_u64_p128(
        vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(k)));
    return veorq_u64(veorq_u64(v128_mul_low(a, k), next), high);
}

VEC_FN(TARGET_V128) v128 v128_shuffle(v128 a, v128 indices)
{
    return vreinterpretq_u64_u8(
        vqtbl1q_u8(vreinterpretq_u8_u64(a), vreinterpretq_u8_u64(indices)));
}

VEC_FN(TARGET_V128) v128 v128_blend(v128 a, v128 b, v128 mask)
{
    const uint8x16_t take_b = vcgeq_u8(vreinterpretq_u8_u64(mask), vdupq_n_u8(0x80));
    return vbslq_u64(vreinterpretq_u64_u8(take_b), b, a);
}

#endif

#if defined(FP_HAVE_X86) || defined(FP_HAVE_ARMV8)

/* What lets the template treat one lane as a vector like the wider ones. */
VEC_FN(TARGET_V128) v128 v128_first(uint64_t value)
{
    return v128_low(value);
}

VEC_FN(TARGET_V128) v128 v128_factors(const uint64_t pair[2])
{
    return v128_load(pair);
}

VEC_FN(TARGET_V128) v128 v128_narrow(v128 a, const uint64_t k[][2])
{
    (void)k;
    return a;
}

#endif

#if defined(FP_HAVE_X86_VPCLMUL)

#define TARGET_V256 __attribute__((target("sse4.2,pclmul,avx2,vpclmulqdq")))
#define TARGET_V512                                                                         \
    __attribute__((target("sse4.2,pclmul,avx2,vpclmulqdq,avx512f,avx512vl,avx512bw")))

typedef __m256i v256;

VEC_FN(TARGET_V256) v256 v256_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* A vector of zeros but for a value in its first 8 bytes. */
VEC_FN(TARGET_V256) v256 v256_first(uint64_t value)
{
    return _mm256_inserti128_si256(_mm256_setzero_si256(), v128_low(value), 0);
}

/* The pair of folding factors in every lane. */
VEC_FN(TARGET_V256) v256 v256_factors(const uint64_t pair[2])
{
    return _mm256_broadcastsi128_si256(v128_load(pair));
}

VEC_FN(TARGET_V256) v256 v256_xor(v256 a, v256 b)
{
    return _mm256_xor_si256(a, b);
}

VEC_FN(TARGET_V256) v256 v256_fold(v256 a, v256 k, v256 next)
{
    return _mm256_xor_si256(_mm256_xor_si256(_mm256_clmulepi64_epi128(a, k, 0x00), next),
                            _mm256_clmulepi64_epi128(a, k, 0x11));
}

/* Fold all lanes into the last; k[i] are the factors for 16 * 2^i bytes. */
VEC_FN(TARGET_V256) v128 v256_narrow(v256 a, const uint64_t k[][2])
{
    return v128_fold(_mm256_castsi256_si128(a), v128_factors(k[0]),
                     _mm256_extracti128_si256(a, 1));
}

typedef __m512i v512;

VEC_FN(TARGET_V512) v512 v512_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

VEC_FN(TARGET_V512) v512 v512_first(uint64_t value)
{
    return _mm512_inserti32x4(_mm512_setzero_si512(), v128_low(value), 0);
}

VEC_FN(TARGET_V512) v512 v512_factors(const uint64_t pair[2])
{
    return _mm512_broadcast_i32x4(v128_load(pair));
}

VEC_FN(TARGET_V512) v512 v512_xor(v512 a, v512 b)
{
    return _mm512_xor_si512(a, b);
}

VEC_FN(TARGET_V512) v512 v512_fold(v512 a, v512 k, v512 next)
{
    /* 0x96 is the truth table of a ^ b ^ c. */
    return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(a, k, 0x00),
                                     _mm512_clmulepi64_epi128(a, k, 0x11), next, 0x96);
}

VEC_FN(TARGET_V512) v128 v512_narrow(v512 a, const uint64_t k[][2])
{
    const v256 half = v256_fold(_mm512_castsi512_si256(a), v256_factors(k[1]),
                                _mm512_extracti64x4_epi64(a, 1));
    return v256_narrow(half, k);
}

#endif

#endif
