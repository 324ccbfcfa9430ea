/* CPU feature detection: CPUID and XGETBV on x86-64, the kernel's word on AArch64.
 *
 * On x86 the feature bits alone aren't enough for AVX and AVX-512: the operating system must
 * also have enabled the saving of the wide registers, which OSXSAVE and XCR0 tell.  A virtual
 * machine or an old kernel can have the instructions but not the state.
 *
 * Under a hypervisor CPUID leaves the guest and takes tens of microseconds; the answer is
 * kept.  Two threads that ask first at the same time both find the same.
 */
#include "cpu.h"

#include <stdatomic.h>

#if defined(FP_HAVE_X86)

#include <cpuid.h>
#include <stdint.h>

/* CPUID leaf 1, ECX */
#define LEAF1_ECX_PCLMULQDQ (1u << 1)
#define LEAF1_ECX_SSE42 (1u << 20)
#define LEAF1_ECX_OSXSAVE (1u << 27)
/* CPUID leaf 7, subleaf 0 */
#define LEAF7_EBX_AVX2 (1u << 5)
#define LEAF7_EBX_AVX512F (1u << 16)
#define LEAF7_EBX_AVX512BW (1u << 30)
#define LEAF7_EBX_AVX512VL (1u << 31)
#define LEAF7_ECX_VPCLMULQDQ (1u << 10)
/* XCR0: the SSE and AVX halves of the ymm registers; then also opmask and both zmm parts */
#define XCR0_YMM 0x06u
#define XCR0_ZMM 0xe6u

static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    /* Inline assembly as the intrinsic would need -mxsave for the file. */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

static unsigned detect(void)
{
    unsigned eax, ebx, ecx, edx;
    unsigned features = 0;

    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return 0;
    if (ecx & LEAF1_ECX_SSE42)
        features |= FP_CPU_SSE42;
    if (ecx & LEAF1_ECX_PCLMULQDQ)
        features |= FP_CPU_PCLMUL;
    const uint32_t xcr0 = (ecx & LEAF1_ECX_OSXSAVE) ? read_xcr0() : 0;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return features;
    if ((xcr0 & XCR0_YMM) == XCR0_YMM) {
        if (ebx & LEAF7_EBX_AVX2)
            features |= FP_CPU_AVX2;
        if (ecx & LEAF7_ECX_VPCLMULQDQ)
            features |= FP_CPU_VPCLMULQDQ;
    }
    const unsigned avx512 = LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL;
    if ((xcr0 & XCR0_ZMM) == XCR0_ZMM && (ebx & avx512) == avx512)
        features |= FP_CPU_AVX512;
    return features;
}

#elif defined(__aarch64__) && defined(__linux__)

#include <sys/auxv.h>

/* From the kernel's ABI; not every libc has <asm/hwcap.h>. */
#define ARM64_HWCAP_PMULL (1ul << 4)
#define ARM64_HWCAP_CRC32 (1ul << 7)

static unsigned detect(void)
{
    const unsigned long hwcap = getauxval(AT_HWCAP);
    unsigned features = 0;

    if (hwcap & ARM64_HWCAP_CRC32)
        features |= FP_CPU_ARM_CRC32;
    if (hwcap & ARM64_HWCAP_PMULL)
        features |= FP_CPU_ARM_PMULL;
    return features;
}

#elif defined(__aarch64__) && defined(__APPLE__)

#include <stddef.h>
#include <sys/sysctl.h>

static int sysctl_flag(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

static unsigned detect(void)
{
    unsigned features = 0;

    if (sysctl_flag("hw.optional.armv8_crc32"))
        features |= FP_CPU_ARM_CRC32;
    /* Every Apple core that runs 64-bit code has PMULL; the name is newer than some systems. */
    features |= FP_CPU_ARM_PMULL;
    return features;
}

#else

static unsigned detect(void)
{
    return 0;
}

#endif

unsigned fp_cpu_features(void)
{
    enum { DETECTED = 1u << 30 };
    static atomic_uint known;
    unsigned features = atomic_load_explicit(&known, memory_order_relaxed);

    if (features == 0) {
        features = detect() | DETECTED;
        atomic_store_explicit(&known, features, memory_order_relaxed);
    }
    return features;
}
