/* Where the bytes of a range arrive: a place in a file, or memory. Each is hashed and put there in one pass.
 *
 * From a socket a stride is received, hashed while it is in the cache and written by position (pwrite: many ranges of one
 * descriptor at once). Nothing else is copied, and the memory that a range takes doesn't depend on its length.
 */
#ifndef FASTPUT_LANDING_H
#define FASTPUT_LANDING_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t (*fp_update_crc64)(uint64_t crc, const void *data, size_t length_bytes);

enum fp_land_status {
    FP_LAND_OK = 0,       /* taken; of a socket: all of the range is there */
    FP_LAND_TOO_MUCH = 1, /* more than the range has left: nothing of it was taken */
    FP_LAND_UNWRITTEN = 2, /* the file doesn't take it: error_number */
    FP_LAND_CLOSED = 3,   /* the other end closed the connection before the range ended */
    FP_LAND_LOST = 4      /* the connection failed: error_number; EAGAIN: nothing came for as long as the socket waits */
};

struct fp_landing {
    unsigned char *memory; /* length bytes; NULL: a file */
    int fd;
    int64_t offset_bytes; /* in the file */
    int64_t length_bytes;
    int64_t received_bytes; /* from the front; others may look at it at any time */
    fp_update_crc64 update_crc64nvme;
    uint64_t crc64nvme; /* of those */
    int error_number;
};

/* Takes the next bytes of the range. */
enum fp_land_status fp_land(struct fp_landing *landing, const void *piece, size_t length_bytes);

/* Takes what is left of the range from a connected, blocking socket, and not a byte more. */
enum fp_land_status fp_land_from_socket(struct fp_landing *landing, int socket);

#endif
