/* What this compiler can build and what this CPU, under this operating system, can run.
 *
 * The two questions are apart on purpose: FP_HAVE_* macros say which kernels are compiled at
 * all (so that an old compiler still builds the portable ones), fp_cpu_features() says which
 * of them may be called.  FP_PORTABLE_ONLY leaves all but the portable ones out.
 */
#ifndef FP_CPU_H
#define FP_CPU_H

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) &&                     \
    !defined(FP_PORTABLE_ONLY)
#define FP_HAVE_X86 1
#endif

/* Compilers that know the vectors of VPCLMULQDQ (clang calls itself GNUC 4). */
#if defined(FP_HAVE_X86) &&                                                                 \
    ((defined(__clang__) && __clang_major__ >= 10) || (!defined(__clang__) && __GNUC__ >= 8))
#define FP_HAVE_X86_VPCLMUL 1
#endif

/* Before version 16 clang hides these intrinsics unless the whole file is built for them. */
#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ &&                    \
    !defined(FP_PORTABLE_ONLY) &&                                                           \
    ((defined(__ARM_FEATURE_CRC32) && defined(__ARM_FEATURE_CRYPTO)) ||                     \
     (defined(__clang__) && __clang_major__ >= 16) ||                                       \
     (defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8))
#define FP_HAVE_ARMV8 1
#endif

/* Bits of fp_cpu_features().  Each of them includes that the operating system saves the
 * registers which the instructions use. */
enum {
    FP_CPU_SSE42 = 1u << 0,
    FP_CPU_PCLMUL = 1u << 1,
    FP_CPU_AVX2 = 1u << 2,
    FP_CPU_VPCLMULQDQ = 1u << 3,
    FP_CPU_AVX512 = 1u << 4, /* F, VL and BW */
    FP_CPU_ARM_CRC32 = 1u << 5,
    FP_CPU_ARM_PMULL = 1u << 6
};

unsigned fp_cpu_features(void);

#endif
