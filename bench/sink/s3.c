#define _GNU_SOURCE
#include "s3.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define NAMESPACE " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""
/* Not 32 hexadecimal digits: clients that take an ETag for an MD5 leave this one alone. */
#define ETAG "\"00000000000000000000000000000000-1\""

const char *const s3_kind_names[S3_KIND_COUNT] = {
#define X(identifier, name) name,
    S3_KINDS(X)
#undef X
};

/* ---- memory: objects by path, uploads by id ---- */

enum { PART_NUMBER_MAX = 10000, BUCKETS = 1 << 16 };

struct object {
    struct object *next;
    uint64_t size_bytes;
    char path[];
};

struct upload {
    struct upload *next;
    uint64_t id;
    unsigned parts;
    uint64_t *part_bytes; /* by part number - 1; a part sent again replaces its size */
};

static pthread_mutex_t store_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *objects[BUCKETS];
static struct upload *uploads;
static uint64_t next_upload_id = 1; /* never reused, not even after a reset */
static uint64_t stored_objects, stored_bytes;

static struct object **object_slot(const char *path)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = path; *at; at++)
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    struct object **slot = &objects[hash % BUCKETS];
    while (*slot && strcmp((*slot)->path, path))
        slot = &(*slot)->next;
    return slot;
}

static void object_remove(const char *path)
{
    struct object **slot = object_slot(path), *found = *slot;
    if (!found)
        return;
    *slot = found->next;
    stored_objects--;
    stored_bytes -= found->size_bytes;
    free(found);
}

static void object_put(const char *path, uint64_t size_bytes)
{
    object_remove(path);
    struct object *object = malloc(sizeof *object + strlen(path) + 1);
    if (!object)
        abort();
    object->size_bytes = size_bytes;
    strcpy(object->path, path);
    struct object **slot = object_slot(path);
    object->next = *slot;
    *slot = object;
    stored_objects++;
    stored_bytes += size_bytes;
}

static struct upload **upload_slot(const struct head *head)
{
    char text[32];
    uint64_t id = 0;
    if (query_get(head->query, "uploadId", text, sizeof text))
        id = strtoull(text + strspn(text, "u"), NULL, 10);
    struct upload **slot = &uploads;
    while (*slot && (*slot)->id != id)
        slot = &(*slot)->next;
    return slot;
}

static uint64_t upload_create(void)
{
    struct upload *upload = calloc(1, sizeof *upload);
    if (!upload)
        abort();
    upload->id = next_upload_id++;
    upload->next = uploads;
    uploads = upload;
    return upload->id;
}

static bool upload_part(const struct head *head, uint64_t part_bytes)
{
    char text[16] = "";
    query_get(head->query, "partNumber", text, sizeof text);
    unsigned long number = strtoul(text, NULL, 10);
    struct upload *upload = *upload_slot(head);
    if (!upload || number < 1 || number > PART_NUMBER_MAX)
        return false;
    if (number > upload->parts) {
        upload->part_bytes = realloc(upload->part_bytes, number * sizeof *upload->part_bytes);
        if (!upload->part_bytes)
            abort();
        memset(upload->part_bytes + upload->parts, 0,
               (number - upload->parts) * sizeof *upload->part_bytes);
        upload->parts = (unsigned)number;
    }
    upload->part_bytes[number - 1] = part_bytes;
    return true;
}

/* Ends an upload and returns the bytes of its parts; false if it is not there. */
static bool upload_end(const struct head *head, uint64_t *size_bytes)
{
    struct upload **slot = upload_slot(head), *upload = *slot;
    if (!upload)
        return false;
    *size_bytes = 0;
    for (unsigned i = 0; i < upload->parts; i++)
        *size_bytes += upload->part_bytes[i];
    *slot = upload->next;
    free(upload->part_bytes);
    free(upload);
    return true;
}

void s3_totals(uint64_t *count, uint64_t *object_bytes)
{
    pthread_mutex_lock(&store_lock);
    *count = stored_objects;
    *object_bytes = stored_bytes;
    pthread_mutex_unlock(&store_lock);
}

void s3_forget_all(void)
{
    pthread_mutex_lock(&store_lock);
    for (size_t i = 0; i < BUCKETS; i++)
        while (objects[i]) {
            struct object *first = objects[i];
            objects[i] = first->next;
            free(first);
        }
    while (uploads) {
        struct upload *first = uploads;
        uploads = first->next;
        free(first->part_bytes);
        free(first);
    }
    stored_objects = stored_bytes = 0;
    pthread_mutex_unlock(&store_lock);
}

/* ---- answers ---- */

static bool is(const char *text, const char *other)
{
    return !strcmp(text, other);
}

enum s3_kind s3_classify(const struct head *head)
{
    const char *method = head->method, *query = head->query;
    char value[8];
#define HAS(name) query_get(query, name, value, sizeof value)
    if (is(head->path, "/_stats"))
        return S3_SINK_STATS;
    if (is(head->path, "/_reset") && is(method, "POST"))
        return S3_SINK_RESET;
    if (is(head->path, "/_shape") && is(method, "POST"))
        return S3_SINK_SHAPE;
    if (is(head->path, "/"))
        return is(method, "GET") ? S3_LIST_BUCKETS : S3_OTHER;

    const char *slash = strchr(head->path + 1, '/');
    bool object = slash && slash[1];
    if (!object) {
        if (is(method, "PUT"))
            return S3_PUT_BUCKET;
        if (is(method, "HEAD"))
            return S3_HEAD_BUCKET;
        if (is(method, "POST"))
            return HAS("delete") ? S3_DELETE_OBJECTS : S3_OTHER;
        if (is(method, "GET"))
            return HAS("location") ? S3_GET_LOCATION
                 : HAS("uploads")  ? S3_LIST_UPLOADS
                                   : S3_LIST_OBJECTS;
        return S3_OTHER;
    }
    bool upload = HAS("uploadId");
    if (is(method, "PUT"))
        return upload ? S3_UPLOAD_PART : S3_PUT_OBJECT;
    if (is(method, "POST"))
        return upload ? S3_COMPLETE_MULTIPART : HAS("uploads") ? S3_CREATE_MULTIPART : S3_OTHER;
    if (is(method, "DELETE"))
        return upload ? S3_ABORT_MULTIPART : S3_DELETE_OBJECT;
    if (is(method, "HEAD"))
        return S3_HEAD_OBJECT;
    if (is(method, "GET"))
        return upload ? S3_LIST_PARTS : S3_GET_OBJECT;
    return S3_OTHER;
#undef HAS
}

/* What every answer begins with. */
static size_t begin(char *out, const char *status)
{
    static atomic_ulong request_id;
    return (size_t)snprintf(out, ANSWER_BYTES,
                            "HTTP/1.1 %s\r\nServer: sink\r\nx-amz-request-id: %016lX\r\n", status,
                            atomic_fetch_add(&request_id, 1) + 1);
}

size_t s3_respond(char *out, const char *status, const char *headers, const char *type,
                  const char *body)
{
    char length[64] = "";
    if (type)
        snprintf(length, sizeof length, "Content-Type: %s\r\n", type);
    size_t used = begin(out, status);
    used += (size_t)snprintf(out + used, ANSWER_BYTES - used, "%s%sContent-Length: %zu\r\n\r\n%s",
                             headers, length, strlen(body), body);
    return used < ANSWER_BYTES ? used : ANSWER_BYTES - 1;
}

static size_t no_content(char *out)
{
    size_t used = begin(out, "204 No Content");
    return used + (size_t)sprintf(out + used, "\r\n");
}

static size_t xml(char *out, const char *status, const char *body)
{
    return s3_respond(out, status, "", "application/xml", body);
}

static size_t error(char *out, const char *status, const char *code)
{
    char body[256];
    snprintf(body, sizeof body, XML "<Error><Code>%s</Code><Message>%s</Message></Error>", code,
             code);
    return xml(out, status, body);
}

/* `size` bytes of room in `to`; text that would not fit is left out. */
static void xml_escape(const char *from, size_t from_bytes, char *to, size_t to_bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < from_bytes && used + 6 < to_bytes; i++) {
        const char *entity = from[i] == '&' ? "&amp;" : from[i] == '<' ? "&lt;"
                           : from[i] == '>' ? "&gt;" : NULL;
        if (entity)
            used += (size_t)sprintf(to + used, "%s", entity);
        else
            to[used++] = from[i];
    }
    to[used] = '\0';
}

static size_t upload_answer(const struct head *head, enum s3_kind kind, uint64_t id, char *out)
{
    const char *path = head->path + 1;
    size_t bucket_bytes = strcspn(path, "/");
    char bucket[512], key[16384], body[18432];
    xml_escape(path, bucket_bytes, bucket, sizeof bucket);
    xml_escape(path + bucket_bytes + 1, strlen(path + bucket_bytes + 1), key, sizeof key);
    if (kind == S3_CREATE_MULTIPART)
        snprintf(body, sizeof body,
                 XML "<InitiateMultipartUploadResult" NAMESPACE "><Bucket>%s</Bucket><Key>%s</Key>"
                 "<UploadId>u%016llu</UploadId></InitiateMultipartUploadResult>",
                 bucket, key, (unsigned long long)id);
    else
        snprintf(body, sizeof body,
                 XML "<CompleteMultipartUploadResult" NAMESPACE "><Bucket>%s</Bucket>"
                 "<Key>%s</Key><ETag>" ETAG "</ETag></CompleteMultipartUploadResult>",
                 bucket, key);
    return xml(out, "200 OK", body);
}

static size_t stored_answer(const struct head *head, char *out)
{
    char headers[512];
    if (head->checksum_name)
        snprintf(headers, sizeof headers, "ETag: " ETAG "\r\n%.64s: %.256s\r\n",
                 head->checksum_name, head->checksum_value);
    else
        strcpy(headers, "ETag: " ETAG "\r\n");
    return s3_respond(out, "200 OK", headers, NULL, "");
}

/* HEAD: Content-Length is that of the object, and no body follows. */
static size_t head_answer(const struct object *object, char *out)
{
    if (!object)
        return s3_respond(out, "404 Not Found", "", NULL, "");
    size_t used = begin(out, "200 OK");
    return used + (size_t)snprintf(out + used, ANSWER_BYTES - used,
                                   "ETag: " ETAG "\r\nContent-Type: application/octet-stream\r\n"
                                   "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                                   "Content-Length: %llu\r\n\r\n",
                                   (unsigned long long)object->size_bytes);
}

/* ---- the held object ---- */

static struct s3_held held;

void s3_hold(struct s3_held wanted)
{
    held = wanted;
}

ssize_t s3_send(int socket, struct s3_slice *slice)
{
    off_t at = (off_t)(slice->offset_bytes % held.file_bytes);
    uint64_t here_bytes = held.file_bytes - (uint64_t)at;
    size_t want_bytes = slice->left_bytes < here_bytes ? slice->left_bytes : here_bytes;
    ssize_t sent = sendfile(socket, held.fd, &at, want_bytes);
    if (sent > 0) {
        slice->offset_bytes += (uint64_t)sent;
        slice->left_bytes -= (uint64_t)sent;
    }
    return sent;
}

/* "bytes=A-B", "bytes=A-" and "bytes=-N". False: there are no such bytes. */
static bool find_slice(const char *range, struct s3_slice *slice)
{
    uint64_t first = 0, last = held.size_bytes - 1;
    if (sscanf(range, "bytes=-%" SCNu64, &last) == 1) {
        first = last < held.size_bytes ? held.size_bytes - last : 0;
        last = held.size_bytes - 1;
    } else if (sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &first, &last) < 1)
        return false;
    if (last >= held.size_bytes)
        last = held.size_bytes - 1;
    *slice = (struct s3_slice){first, last + 1 - first};
    return first <= last;
}

/* A HEAD has the same head and no slice. */
static size_t held_answer(const struct head *head, char *out, struct s3_slice *slice)
{
    char content_range[128] = "";
    if (head->if_match && strcmp(head->if_match, ETAG))
        return error(out, "412 Precondition Failed", "PreconditionFailed");
    *slice = (struct s3_slice){0, held.size_bytes};
    if (head->range) {
        if (!find_slice(head->range, slice)) {
            slice->left_bytes = 0;
            return error(out, "416 Requested Range Not Satisfiable", "InvalidRange");
        }
        snprintf(content_range, sizeof content_range,
                 "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", slice->offset_bytes,
                 slice->offset_bytes + slice->left_bytes - 1, held.size_bytes);
    }
    size_t used = begin(out, head->range ? "206 Partial Content" : "200 OK");
    used += (size_t)snprintf(out + used, ANSWER_BYTES - used,
                             "ETag: " ETAG "\r\nContent-Type: application/octet-stream\r\n"
                             "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
                             "x-amz-checksum-crc64nvme: %s\r\nx-amz-checksum-type: FULL_OBJECT\r\n"
                             "%sContent-Length: %" PRIu64 "\r\n\r\n",
                             held.crc64nvme, content_range, slice->left_bytes);
    if (strcmp(head->method, "GET"))
        slice->left_bytes = 0;
    return used;
}

static size_t answer_locked(const struct head *head, enum s3_kind kind, uint64_t object_bytes,
                            char *out, struct s3_slice *slice)
{
    uint64_t size_bytes;
    switch (kind) {
    case S3_PUT_OBJECT:
        object_put(head->path, object_bytes);
        return stored_answer(head, out);
    case S3_UPLOAD_PART:
        return upload_part(head, object_bytes) ? stored_answer(head, out)
                                               : error(out, "404 Not Found", "NoSuchUpload");
    case S3_CREATE_MULTIPART:
        return upload_answer(head, kind, upload_create(), out);
    case S3_COMPLETE_MULTIPART:
        if (!upload_end(head, &size_bytes))
            return error(out, "404 Not Found", "NoSuchUpload");
        object_put(head->path, size_bytes);
        return upload_answer(head, kind, 0, out);
    case S3_ABORT_MULTIPART:
        upload_end(head, &size_bytes);
        return no_content(out);
    case S3_DELETE_OBJECT:
        object_remove(head->path);
        return no_content(out);
    case S3_HEAD_OBJECT:
        if (held.size_bytes && !*object_slot(head->path))
            return held_answer(head, out, slice);
        return head_answer(*object_slot(head->path), out);
    case S3_GET_OBJECT:
        if (held.size_bytes && !*object_slot(head->path))
            return held_answer(head, out, slice);
        return error(out, "404 Not Found", "NoSuchKey");
    case S3_PUT_BUCKET:
    case S3_HEAD_BUCKET:
        return s3_respond(out, "200 OK", "", NULL, "");
    case S3_DELETE_OBJECTS:
        return xml(out, "200 OK", XML "<DeleteResult" NAMESPACE "></DeleteResult>");
    case S3_GET_LOCATION:
        return xml(out, "200 OK", XML "<LocationConstraint" NAMESPACE "></LocationConstraint>");
    case S3_LIST_OBJECTS:
        return xml(out, "200 OK",
                   XML "<ListBucketResult" NAMESPACE "><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys>"
                       "<IsTruncated>false</IsTruncated></ListBucketResult>");
    case S3_LIST_BUCKETS:
        return xml(out, "200 OK",
                   XML "<ListAllMyBucketsResult" NAMESPACE
                       "><Buckets></Buckets></ListAllMyBucketsResult>");
    case S3_LIST_PARTS:
        return xml(out, "200 OK",
                   XML "<ListPartsResult" NAMESPACE
                       "><IsTruncated>false</IsTruncated></ListPartsResult>");
    case S3_LIST_UPLOADS:
        return xml(out, "200 OK",
                   XML "<ListMultipartUploadsResult" NAMESPACE
                       "><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>");
    default:
        return error(out, "501 Not Implemented", "NotImplemented");
    }
}

size_t s3_answer(const struct head *head, enum s3_kind kind, uint64_t object_bytes, char *out,
                 struct s3_slice *slice)
{
    *slice = (struct s3_slice){0};
    pthread_mutex_lock(&store_lock);
    size_t out_bytes = answer_locked(head, kind, object_bytes, out, slice);
    pthread_mutex_unlock(&store_lock);
    return out_bytes;
}
