/* What tests of readers have in common: included by each of them once. */
#ifndef FASTPUT_CHECKS_H
#define FASTPUT_CHECKS_H

#include <stdint.h>
#include <stdio.h>

/* Not a CRC: a sum is enough to see that every byte was hashed once, in order. */
static uint64_t sum64(uint64_t sum, const void *data, size_t length_bytes) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length_bytes; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static int failures;

static void check(int is_right, const char *what) {
    if (!is_right) {
        failures++;
        printf("wrong: %s\n", what);
    }
}

#endif
