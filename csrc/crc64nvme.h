/* The CRC-64/NVME kernels.  All have the running-value convention of fp_crc64_fn; a caller
 * must have called fp_crc64nvme_init() once and must know that the CPU runs the kernel. */
#ifndef FP_CRC64NVME_H
#define FP_CRC64NVME_H

#include "cpu.h"

#include <stddef.h>
#include <stdint.h>

void fp_crc64nvme_init(void);

uint64_t fp_crc64nvme_portable(uint64_t crc, const void *data, size_t n);
#if defined(FP_HAVE_X86)
uint64_t fp_crc64nvme_pclmul(uint64_t crc, const void *data, size_t n);
#endif
#if defined(FP_HAVE_X86_VPCLMUL)
uint64_t fp_crc64nvme_vpclmul(uint64_t crc, const void *data, size_t n);
uint64_t fp_crc64nvme_vpclmul512(uint64_t crc, const void *data, size_t n);
#endif
#if defined(FP_HAVE_ARMV8)
uint64_t fp_crc64nvme_armv8(uint64_t crc, const void *data, size_t n);
#endif

#endif
