/* The CRC of a || b from the CRCs of a and b and the length of b. */
#ifndef FP_CRC_COMBINE_H
#define FP_CRC_COMBINE_H

#include <stdint.h>

uint64_t fp_crc64nvme_combine(uint64_t crc_a, uint64_t crc_b, uint64_t len_b_bytes);
uint32_t fp_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b_bytes);

#endif
