#include "landing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* As the slicer's: half of a common L2, so that the stride is still there when it is hashed and when it is written. */
#define STRIDE_BYTES ((size_t)256 * 1024)
#define CACHE_LINE_BYTES 64

static enum fp_land_status write_all(struct fp_landing *landing, const unsigned char *from, size_t length_bytes) {
    const int64_t begin_bytes = landing->offset_bytes + landing->received_bytes;
    for (size_t done_bytes = 0; done_bytes < length_bytes;) {
        const ssize_t now_bytes = pwrite(landing->fd, from + done_bytes, length_bytes - done_bytes,
                                         (off_t)(begin_bytes + (int64_t)done_bytes));
        if (now_bytes >= 0) {
            done_bytes += (size_t)now_bytes;
        } else if (errno != EINTR) {
            landing->error_number = errno;
            return FP_LAND_UNWRITTEN;
        }
    }
    return FP_LAND_OK;
}

/* What is at its place, or was written there. */
static void took(struct fp_landing *landing, const void *piece, size_t length_bytes) {
    landing->crc64nvme = landing->update_crc64nvme(landing->crc64nvme, piece, length_bytes);
    landing->received_bytes += (int64_t)length_bytes;
}

enum fp_land_status fp_land(struct fp_landing *landing, const void *piece, size_t length_bytes) {
    if (length_bytes > (size_t)(landing->length_bytes - landing->received_bytes))
        return FP_LAND_TOO_MUCH;
    if (landing->memory) {
        if (length_bytes > 0)
            memcpy(landing->memory + landing->received_bytes, piece, length_bytes);
    } else if (write_all(landing, piece, length_bytes) != FP_LAND_OK) {
        return FP_LAND_UNWRITTEN;
    }
    took(landing, piece, length_bytes);
    return FP_LAND_OK;
}

static size_t stride_of(const struct fp_landing *landing) {
    const size_t left_bytes = (size_t)(landing->length_bytes - landing->received_bytes);
    return left_bytes < STRIDE_BYTES ? left_bytes : STRIDE_BYTES;
}

/* A stride, or as much of it as came before the connection ended. */
static size_t receive(struct fp_landing *landing, int socket, unsigned char *to, size_t stride_bytes,
                      enum fp_land_status *status) {
    size_t got_bytes = 0;
    *status = FP_LAND_OK;
    while (got_bytes < stride_bytes && *status == FP_LAND_OK) {
        /* MSG_WAITALL: the thread is woken once a stride, and not for each packet. */
        const ssize_t now_bytes = recv(socket, to + got_bytes, stride_bytes - got_bytes, MSG_WAITALL);
        if (now_bytes > 0) {
            got_bytes += (size_t)now_bytes;
        } else if (now_bytes == 0) {
            *status = FP_LAND_CLOSED;
        } else if (errno != EINTR) {
            landing->error_number = errno;
            *status = FP_LAND_LOST;
        }
    }
    return got_bytes;
}

static enum fp_land_status fill_memory(struct fp_landing *landing, int socket) {
    enum fp_land_status status = FP_LAND_OK;
    while (landing->received_bytes < landing->length_bytes && status == FP_LAND_OK) {
        unsigned char *const to = landing->memory + landing->received_bytes;
        took(landing, to, receive(landing, socket, to, stride_of(landing), &status));
    }
    return status;
}

static enum fp_land_status fill_file(struct fp_landing *landing, int socket, unsigned char *stride) {
    enum fp_land_status status = FP_LAND_OK;
    while (landing->received_bytes < landing->length_bytes && status == FP_LAND_OK) {
        /* At the place in a cache line that it has in the file, or the kernel copies it three times as slowly (slicer.pyx). */
        const int64_t at_bytes = landing->offset_bytes + landing->received_bytes;
        unsigned char *const to = stride + at_bytes % CACHE_LINE_BYTES;
        const size_t got_bytes = receive(landing, socket, to, stride_of(landing), &status);
        if (fp_land(landing, to, got_bytes) != FP_LAND_OK)
            return FP_LAND_UNWRITTEN;
    }
    return status;
}

enum fp_land_status fp_land_from_socket(struct fp_landing *landing, int socket) {
    if (landing->memory)
        return fill_memory(landing, socket);
    unsigned char *const stride = aligned_alloc(CACHE_LINE_BYTES, STRIDE_BYTES + CACHE_LINE_BYTES);
    if (!stride) {
        landing->error_number = ENOMEM;
        return FP_LAND_UNWRITTEN;
    }
    const enum fp_land_status status = fill_file(landing, socket, stride);
    free(stride);
    return status;
}
