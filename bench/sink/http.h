/* Request heads of HTTP/1.1, parsed in place. */
#ifndef SINK_HTTP_H
#define SINK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A head larger than this is refused; S3 allows 8 KiB of headers. */
enum { HEAD_BYTES = 16384 };

struct head {
    const char *method;
    const char *path;             /* still percent-encoded */
    const char *query;            /* "" without one */
    int64_t content_length_bytes; /* -1: not given */
    int64_t decoded_bytes;        /* x-amz-decoded-content-length, -1: not given */
    const char *checksum_name;    /* x-amz-checksum-<algorithm>, NULL: not given */
    const char *checksum_value;
    const char *range;            /* Range and If-Match as they were sent, NULL: not given */
    const char *if_match;
    bool chunked;                 /* Transfer-Encoding: chunked */
    bool expect_continue;
    bool close;
};

/* Length of the head including its blank line, 0 while it is incomplete,
 * -1 if it is not HTTP. `text` is cut into strings only once it is complete. */
ssize_t head_parse(char *text, size_t text_bytes, struct head *out);

/* Value of a query parameter in `value` (cut to `value_bytes`); false if it is absent. */
bool query_get(const char *query, const char *name, char *value, size_t value_bytes);

#endif
