/* The CRC-32C (Castagnoli) kernels.  All have the running-value convention of fp_crc32_fn; a
 * caller must have called fp_crc32c_init() once and must know that the CPU runs the kernel. */
#ifndef FP_CRC32C_H
#define FP_CRC32C_H

#include "cpu.h"

#include <stddef.h>
#include <stdint.h>

void fp_crc32c_init(void);

uint32_t fp_crc32c_portable(uint32_t crc, const void *data, size_t n);
#if defined(FP_HAVE_X86)
uint32_t fp_crc32c_sse42(uint32_t crc, const void *data, size_t n);
uint32_t fp_crc32c_pclmul(uint32_t crc, const void *data, size_t n);
#endif
#if defined(FP_HAVE_X86_VPCLMUL)
uint32_t fp_crc32c_vpclmul(uint32_t crc, const void *data, size_t n);
uint32_t fp_crc32c_vpclmul512(uint32_t crc, const void *data, size_t n);
#endif
#if defined(FP_HAVE_ARMV8)
uint32_t fp_crc32c_armv8(uint32_t crc, const void *data, size_t n);
#endif

#endif
