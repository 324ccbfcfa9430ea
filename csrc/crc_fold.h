/* Template: reduce a message to 16 bytes with the same CRC, by carry-less multiplication.
 *
 * Include it once for each vector width, with FOLD_VEC defined as v128, v256 or v512,
 * FOLD_VEC_BYTES as 16, 32 or 64 and FOLD_TARGET as the attribute of the instruction set; it
 * defines `v128 fold_<FOLD_VEC>(state, p, n, k)` and undefines the three.  FOLD_PARAMETER and
 * FOLD_MEANWHILE, where defined, are one more parameter and a statement for every turn of the
 * main loop: work that needs other execution units.
 *
 * The mathematics.  A message is a polynomial M over GF(2), its first bit the highest power
 * of x; the state of a CRC of degree d over it is M * x^d mod P, where the starting state has
 * been added to the first d bits of M.  Both CRCs are bit-reflected: the lowest bit of the
 * first byte comes first.  A little-endian load of 16 bytes thus gives a register in which
 * bit i of 128 stands for x^(127 - i): in polynomial terms L * x^64 + H, where L is the half
 * at the lower address and bit i of a half stands for x^(63 - i).
 *
 * Folding.  Only the remainder mod P matters, so a lane that lies D bits before another can
 * be multiplied by x^D and added to it (addition is xor):
 *
 *     (L * x^64 + H) * x^D  =  L * (x^(D+64) mod P)  +  H * (x^D mod P)     (mod P)
 *
 * Each factor has 64 bits at most, each product 127, so that the sum fits in a lane again.
 * One thing to mind: the carry-less product of two reflected halves has bit k for
 * x^(126 - k), but a lane has bit k for x^(127 - k); read as a lane, the product has been
 * multiplied by x.  The factors are therefore x^(D+63) mod P and x^(D-1) mod P.  For the
 * 32-bit CRC they have degree below 32 and use the upper half of their register only.
 *
 * Eight vectors are folded side by side by eight times their size, to hide the latency of
 * the multiplication; a tree of folds by 4, 2 and 1 vector sizes makes one of them, and the
 * lanes of that are folded together in the same way.  The loop is then bound by the
 * multiplier, two products for each lane: asking for data ahead of time gains nothing.
 *
 * The last 1 to 15 bytes: the 16 bytes so far and the n remaining are 16 + n bytes, cut into
 * the first n (folded by 16 bytes, with zeros in front) and the last 16.  Both are byte
 * shuffles; the load of the remaining bytes ends with the message and starts in bytes of it
 * which have been used already, so that nothing outside of it is ever read.
 */

#define FOLD_CAT_(a, b) a##_##b
#define FOLD_CAT(a, b) FOLD_CAT_(a, b)
#define FOLD_OP(name) FOLD_CAT(FOLD_VEC, name)
/* k[i] holds the factors for folding by 16 * 2^i bytes. */
#define FOLD_FACTORS(vectors)                                                               \
    FOLD_OP(factors)(k[__builtin_ctz((unsigned)(vectors) * FOLD_VEC_BYTES) - 4])
#ifndef FOLD_PARAMETER
#define FOLD_PARAMETER
#define FOLD_MEANWHILE
#endif

/* n is at least 16.  The state is in the low d bits of its argument. */
VEC_FN(FOLD_TARGET)
v128 FOLD_CAT(fold, FOLD_VEC)(uint64_t state, const uint8_t *p, size_t n,
                              const uint64_t k[][2] FOLD_PARAMETER)
{
    v128 lane;

    if (n >= FOLD_VEC_BYTES) {
        FOLD_VEC a0 = FOLD_OP(xor)(FOLD_OP(load)(p), FOLD_OP(first)(state));
        if (n >= 8 * FOLD_VEC_BYTES) {
            FOLD_VEC a1 = FOLD_OP(load)(p + 1 * FOLD_VEC_BYTES);
            FOLD_VEC a2 = FOLD_OP(load)(p + 2 * FOLD_VEC_BYTES);
            FOLD_VEC a3 = FOLD_OP(load)(p + 3 * FOLD_VEC_BYTES);
            FOLD_VEC a4 = FOLD_OP(load)(p + 4 * FOLD_VEC_BYTES);
            FOLD_VEC a5 = FOLD_OP(load)(p + 5 * FOLD_VEC_BYTES);
            FOLD_VEC a6 = FOLD_OP(load)(p + 6 * FOLD_VEC_BYTES);
            FOLD_VEC a7 = FOLD_OP(load)(p + 7 * FOLD_VEC_BYTES);
            const FOLD_VEC k8 = FOLD_FACTORS(8);
            const FOLD_VEC k4 = FOLD_FACTORS(4);
            const FOLD_VEC k2 = FOLD_FACTORS(2);
            const FOLD_VEC k1 = FOLD_FACTORS(1);

            p += 8 * FOLD_VEC_BYTES;
            n -= 8 * FOLD_VEC_BYTES;
            while (n >= 8 * FOLD_VEC_BYTES) {
                a0 = FOLD_OP(fold)(a0, k8, FOLD_OP(load)(p));
                a1 = FOLD_OP(fold)(a1, k8, FOLD_OP(load)(p + 1 * FOLD_VEC_BYTES));
                a2 = FOLD_OP(fold)(a2, k8, FOLD_OP(load)(p + 2 * FOLD_VEC_BYTES));
                a3 = FOLD_OP(fold)(a3, k8, FOLD_OP(load)(p + 3 * FOLD_VEC_BYTES));
                a4 = FOLD_OP(fold)(a4, k8, FOLD_OP(load)(p + 4 * FOLD_VEC_BYTES));
                a5 = FOLD_OP(fold)(a5, k8, FOLD_OP(load)(p + 5 * FOLD_VEC_BYTES));
                a6 = FOLD_OP(fold)(a6, k8, FOLD_OP(load)(p + 6 * FOLD_VEC_BYTES));
                a7 = FOLD_OP(fold)(a7, k8, FOLD_OP(load)(p + 7 * FOLD_VEC_BYTES));
                FOLD_MEANWHILE
                p += 8 * FOLD_VEC_BYTES;
                n -= 8 * FOLD_VEC_BYTES;
            }
            a4 = FOLD_OP(fold)(a0, k4, a4);
            a5 = FOLD_OP(fold)(a1, k4, a5);
            a6 = FOLD_OP(fold)(a2, k4, a6);
            a7 = FOLD_OP(fold)(a3, k4, a7);
            a6 = FOLD_OP(fold)(a4, k2, a6);
            a7 = FOLD_OP(fold)(a5, k2, a7);
            a0 = FOLD_OP(fold)(a6, k1, a7);
        } else {
            p += FOLD_VEC_BYTES;
            n -= FOLD_VEC_BYTES;
        }
        const FOLD_VEC k1 = FOLD_FACTORS(1);
        for (; n >= FOLD_VEC_BYTES; p += FOLD_VEC_BYTES, n -= FOLD_VEC_BYTES)
            a0 = FOLD_OP(fold)(a0, k1, FOLD_OP(load)(p));
        lane = FOLD_OP(narrow)(a0, k);
    } else {
        lane = v128_xor(v128_load(p), v128_low(state));
        p += 16;
        n -= 16;
    }

    const v128 k16 = v128_factors(k[0]);
    for (; n >= 16; p += 16, n -= 16)
        lane = v128_fold(lane, k16, v128_load(p));
    if (n != 0) {
        const v128 to_end = v128_load(fp_slide_bytes + n);
        const v128 to_start = v128_load(fp_slide_bytes + 16 + n);
        const v128 last = v128_blend(v128_shuffle(lane, to_start), v128_load(p + n - 16), to_start);
        lane = v128_fold(v128_shuffle(lane, to_end), k16, last);
    }
    return lane;
}

#undef FOLD_FACTORS
#undef FOLD_OP
#undef FOLD_CAT
#undef FOLD_CAT_
#undef FOLD_VEC
#undef FOLD_VEC_BYTES
#undef FOLD_TARGET
