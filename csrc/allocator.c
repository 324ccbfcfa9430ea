#include "allocator.h"

#include <stdlib.h> /* defines __GLIBC__ where it is one */

#ifdef __GLIBC__
#include <malloc.h>

/* Blocks up to this size stay in the heap; larger ones (parts of files above 10 TB) are too rare to matter. */
#define HEAP_BLOCK_BYTES (1 << 30)

int fp_keep_buffers(void) {
    /* Older versions take no threshold above half of a thread's heap, 32 MiB. */
    return (mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES) || mallopt(M_MMAP_THRESHOLD, 32 << 20)) &&
           mallopt(M_TRIM_THRESHOLD, HEAP_BLOCK_BYTES) && mallopt(M_ARENA_MAX, 1);
}
#else
int fp_keep_buffers(void) {
    return 0;
}
#endif
