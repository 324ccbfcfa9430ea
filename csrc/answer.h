/* Reading the answer to a PUT of a small object: https://www.rfc-editor.org/rfc/rfc9112. What it says that matters,
 * and whether the connection can take another request. */
#ifndef FASTPUT_ANSWER_H
#define FASTPUT_ANSWER_H

#include <stddef.h>

/* S3's own heads have some ten lines and 500 bytes. */
#define FP_ANSWER_BYTES 8192
#define FP_ETAG_BYTES 128
#define FP_VERSION_ID_BYTES 1032 /* https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html */
#define FP_KEPT_BYTES 16

enum fp_answer_end {
    FP_ANSWER_GOES_ON, /* the connection can take another request */
    FP_ANSWER_CLOSES,  /* it can't, or what follows isn't worth understanding */
};

struct fp_answer {
    int status;
    size_t body_bytes; /* of what follows the head; 0 with FP_ANSWER_CLOSES */
    enum fp_answer_end end;
    char etag[FP_ETAG_BYTES]; /* as it was sent; "" if it wasn't */
    char version_id[FP_VERSION_ID_BYTES];
    char kept_crc64nvme[FP_KEPT_BYTES]; /* base64 */
};

/* Understands the head of an answer, behind those of 1xx that nobody has asked for. Returns 1 and its length with that
 * of those before it; 0: not all of it is there; -1: it isn't HTTP, or a value is longer than there is room for. */
int fp_read_head(const char *data, size_t length_bytes, struct fp_answer *answer, size_t *head_bytes);

#endif
