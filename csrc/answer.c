#include "answer.h"

#include <string.h>
#include <strings.h>

/* The length of a head with its empty line; 0 if not all of it is there. */
static size_t length_of_head(const char *data, size_t length_bytes) {
    for (const char *at = data; (at = memchr(at, '\n', length_bytes - (size_t)(at - data))) != NULL; at++) {
        const size_t done_bytes = (size_t)(at - data) + 1;
        if (done_bytes >= 4 && memcmp(at - 3, "\r\n\r\n", 4) == 0)
            return done_bytes;
    }
    return 0;
}

/* One line of a head, without its end. */
struct line {
    const char *begin;
    const char *end;
};

static int next_line(const char **at, const char *head_end, struct line *line) {
    const char *end = memchr(*at, '\n', (size_t)(head_end - *at));
    if (end == NULL || end == *at || end[-1] != '\r')
        return -1;
    *line = (struct line){*at, end - 1};
    *at = end + 1;
    return 0;
}

static int is_digit(char character) { return character >= '0' && character <= '9'; }

static int read_status(struct line line, struct fp_answer *answer) {
    if (line.end - line.begin < 12 || memcmp(line.begin, "HTTP/1.", 7) != 0 || line.begin[8] != ' ')
        return -1;
    if (line.begin[7] != '0' && line.begin[7] != '1')
        return -1;
    const char *digits = line.begin + 9;
    if (!is_digit(digits[0]) || !is_digit(digits[1]) || !is_digit(digits[2]))
        return -1;
    if (line.end - line.begin > 12 && digits[3] != ' ')
        return -1;
    answer->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    answer->end = line.begin[7] == '1' ? FP_ANSWER_GOES_ON : FP_ANSWER_CLOSES;
    return 0;
}

static int is_name(struct line name, const char *wanted) {
    const size_t length = strlen(wanted);
    return (size_t)(name.end - name.begin) == length && strncasecmp(name.begin, wanted, length) == 0;
}

static int keep(struct line value, char *to, size_t room) {
    const size_t length = (size_t)(value.end - value.begin);
    if (length >= room || memchr(value.begin, '\0', length) != NULL)
        return -1;
    memcpy(to, value.begin, length);
    to[length] = '\0';
    return 0;
}

/* Errors and the like have a few hundred bytes: what is longer isn't waited for. */
static int read_length(struct line value, struct fp_answer *answer) {
    size_t length = 0;
    if (value.begin == value.end)
        return -1;
    for (const char *at = value.begin; at < value.end; at++) {
        if (!is_digit(*at))
            return -1;
        length = 10 * length + (size_t)(*at - '0');
        if (length > FP_ANSWER_BYTES) {
            answer->end = FP_ANSWER_CLOSES;
            return 0;
        }
    }
    answer->body_bytes = length;
    return 0;
}

static struct line trimmed(struct line value) {
    while (value.begin < value.end && (*value.begin == ' ' || *value.begin == '\t'))
        value.begin++;
    while (value.begin < value.end && (value.end[-1] == ' ' || value.end[-1] == '\t'))
        value.end--;
    return value;
}

static int read_one(const char *head, size_t head_bytes, struct fp_answer *answer) {
    const char *at = head, *const end = head + head_bytes;
    struct line line;
    int has_length = 0;
    *answer = (struct fp_answer){0};
    if (next_line(&at, end, &line) != 0 || read_status(line, answer) != 0)
        return -1;
    for (;;) {
        if (next_line(&at, end, &line) != 0)
            return -1;
        if (line.begin == line.end)
            break;
        const char *colon = memchr(line.begin, ':', (size_t)(line.end - line.begin));
        if (colon == NULL || colon == line.begin || line.begin[0] == ' ' || colon[-1] == ' ')
            return -1;
        const struct line name = {line.begin, colon};
        const struct line value = trimmed((struct line){colon + 1, line.end});
        int failed = 0;
        if (is_name(name, "etag"))
            failed = keep(value, answer->etag, sizeof answer->etag);
        else if (is_name(name, "x-amz-version-id"))
            failed = keep(value, answer->version_id, sizeof answer->version_id);
        else if (is_name(name, "x-amz-checksum-crc64nvme"))
            failed = keep(value, answer->kept_crc64nvme, sizeof answer->kept_crc64nvme);
        else if (is_name(name, "content-length"))
            failed = has_length ? -1 : read_length(value, answer), has_length = 1;
        else if (is_name(name, "transfer-encoding"))
            answer->end = FP_ANSWER_CLOSES;
        else if (is_name(name, "connection") && !is_name(value, "keep-alive"))
            answer->end = FP_ANSWER_CLOSES;
        if (failed)
            return -1;
    }
    if (!has_length && answer->status != 204)
        answer->end = FP_ANSWER_CLOSES; /* it goes on to the end of the connection */
    if (answer->end == FP_ANSWER_CLOSES)
        answer->body_bytes = 0;
    return 0;
}

int fp_read_head(const char *data, size_t length_bytes, struct fp_answer *answer, size_t *head_bytes) {
    for (*head_bytes = 0;;) {
        const size_t one_bytes = length_of_head(data + *head_bytes, length_bytes - *head_bytes);
        if (!one_bytes)
            return 0;
        if (read_one(data + *head_bytes, one_bytes, answer) != 0 || answer->status == 101)
            return -1;
        *head_bytes += one_bytes;
        if (answer->status >= 200)
            return 1;
    }
}
