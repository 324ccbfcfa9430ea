/* What an S3 endpoint answers, and the little it has to remember for that. */
#ifndef SINK_S3_H
#define SINK_S3_H

#include "http.h"

/* One row a kind of request: identifier and its name in the statistics. */
#define S3_KINDS(X)                                                           \
    X(PUT_OBJECT, "put_object")                                               \
    X(UPLOAD_PART, "upload_part")                                             \
    X(CREATE_MULTIPART, "create_multipart_upload")                            \
    X(COMPLETE_MULTIPART, "complete_multipart_upload")                        \
    X(ABORT_MULTIPART, "abort_multipart_upload")                              \
    X(LIST_PARTS, "list_parts")                                               \
    X(LIST_UPLOADS, "list_multipart_uploads")                                 \
    X(HEAD_OBJECT, "head_object")                                             \
    X(GET_OBJECT, "get_object")                                               \
    X(DELETE_OBJECT, "delete_object")                                         \
    X(DELETE_OBJECTS, "delete_objects")                                       \
    X(PUT_BUCKET, "put_bucket")                                               \
    X(HEAD_BUCKET, "head_bucket")                                             \
    X(GET_LOCATION, "get_bucket_location")                                    \
    X(LIST_OBJECTS, "list_objects")                                           \
    X(LIST_BUCKETS, "list_buckets")                                           \
    X(SINK_STATS, "sink_stats")                                               \
    X(SINK_RESET, "sink_reset")                                               \
    X(SINK_SHAPE, "sink_shape")                                               \
    X(OTHER, "other")

enum s3_kind {
#define X(identifier, name) S3_##identifier,
    S3_KINDS(X)
#undef X
    S3_KIND_COUNT
};

extern const char *const s3_kind_names[S3_KIND_COUNT];

/* Room for the longest answer: a 3 KiB key, escaped five-fold, twice. */
enum { ANSWER_BYTES = 40960 };

enum s3_kind s3_classify(const struct head *head);

/* Every key that nothing was put under is this object, if size_bytes isn't 0: a file's bytes over and over. */
struct s3_held {
    int fd;
    uint64_t file_bytes;
    uint64_t size_bytes;
    const char *crc64nvme; /* base64 */
};

void s3_hold(struct s3_held held);

/* Bytes of the held object that follow an answer. */
struct s3_slice {
    uint64_t offset_bytes;
    uint64_t left_bytes;
};

/* Sends some of it over a socket that doesn't wait; as sendfile() returns. */
ssize_t s3_send(int socket, struct s3_slice *slice);

/* Carries out the request, whose body held `object_bytes` of data, and writes
 * the response to `out` (ANSWER_BYTES), all but the slice; returns its length. */
size_t s3_answer(const struct head *head, enum s3_kind kind, uint64_t object_bytes, char *out,
                 struct s3_slice *slice);

/* Response with a status such as "200 OK" and a body of `type`. */
size_t s3_respond(char *out, const char *status, const char *headers, const char *type,
                  const char *body);

/* Bytes of all objects that are there now, and their number. */
void s3_totals(uint64_t *objects, uint64_t *object_bytes);

void s3_forget_all(void);

#endif
