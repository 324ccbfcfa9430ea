/* Small files over one connection, one after another: everything from open() to the answer in one call.
 *
 * What a small object costs is the way to it: threads that wake one another, calls that take turns with others for the
 * interpreter (docs/decisions/0013-small-objects.md). Here a thread does some tens of files at a time by itself.
 */
#ifndef FASTPUT_PUT_H
#define FASTPUT_PUT_H

#include <stddef.h>
#include <stdint.h>

#include "answer.h"
#include "slicer.h"

/* In front of a file's bytes in the buffer, for the request's head; a multiple of a cache line. */
#define FP_PUT_HEAD_BYTES ((size_t)8192)
/* Behind them: CRLF, 0 CRLF, the trailer, CRLF CRLF. */
#define FP_PUT_TAIL_BYTES ((size_t)128)
/* Between head and bytes, for their length in hexadecimal, CRLF; a cache line. */
#define FP_PUT_CHUNK_BYTES ((size_t)64)

enum fp_put_outcome {
    FP_PUT_NOT_TRIED,
    FP_PUT_DONE,       /* 2xx, with an ETag */
    FP_PUT_CHANGED,    /* it isn't, or isn't any more, what was known of it */
    FP_PUT_UNREADABLE, /* error_number says why */
    FP_PUT_REFUSED,    /* another status */
    FP_PUT_STRANGE,    /* an answer that isn't understood */
    FP_PUT_LOST,       /* the connection failed; error_number says why, 0: the other end closed it */
};

/* One file. From path to mtime_ns it is given, the rest is found. */
struct fp_put {
    const char *path;
    const char *head; /* of the request, with its empty line */
    size_t head_bytes;
    int64_t size_bytes;
    int64_t mtime_ns;
    enum fp_put_outcome outcome;
    int error_number;
    uint64_t crc64nvme;
    uint64_t device;
    uint64_t inode;
    int64_t ctime_ns;
    struct fp_answer answer;
};

struct fp_put_times {
    int64_t read_ns;
    int64_t read_cpu_ns;
};

/* The bytes of a request's body with so many bytes of a file: aws-chunked with one chunk and a trailer,
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html */
size_t fp_put_body_bytes(int64_t size_bytes);

/* Opens, reads, hashes and frames one file into a buffer of FP_PUT_HEAD_BYTES + FP_PUT_CHUNK_BYTES + its size +
 * FP_PUT_TAIL_BYTES. Returns the request's length and where it begins, or 0 with an outcome. */
size_t fp_put_prepare(struct fp_put *put, unsigned char *buffer, fp_update_crc64 update_crc64nvme,
                      struct fp_put_times *times, unsigned char **begin);

/* Understands what was received since the request was sent, and sets the outcome: DONE only if the file is still there
 * as it was. Returns 0 as long as the answer's head isn't all there; *left_bytes of the answer are to be received yet. */
int fp_put_answered(struct fp_put *put, const char *text, size_t got_bytes, size_t *left_bytes);

/* Sends files over a connected blocking socket until one is REFUSED, STRANGE or LOST or the connection can't take
 * another. Returns how many were tried. */
size_t fp_put_files(int socket, struct fp_put *puts, size_t count, unsigned char *buffer,
                    fp_update_crc64 update_crc64nvme, struct fp_put_times *times);

#endif
