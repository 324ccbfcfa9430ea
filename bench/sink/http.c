#define _GNU_SOURCE
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int64_t decimal(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    return end == text || value < 0 ? -1 : (int64_t)value;
}

static void header(struct head *out, const char *name, const char *value)
{
    if (!strcasecmp(name, "content-length"))
        out->content_length_bytes = decimal(value);
    else if (!strcasecmp(name, "x-amz-decoded-content-length"))
        out->decoded_bytes = decimal(value);
    else if (!strcasecmp(name, "transfer-encoding"))
        out->chunked = strcasestr(value, "chunked") != NULL;
    else if (!strcasecmp(name, "expect"))
        out->expect_continue = strcasestr(value, "100-continue") != NULL;
    else if (!strcasecmp(name, "range"))
        out->range = value;
    else if (!strcasecmp(name, "if-match"))
        out->if_match = value;
    else if (!strcasecmp(name, "connection"))
        out->close = strcasestr(value, "close") != NULL;
    else if (!strncasecmp(name, "x-amz-checksum-", 15) && strcasecmp(name + 15, "algorithm")
             && strcasecmp(name + 15, "type") && strcasecmp(name + 15, "mode")) {
        out->checksum_name = name;
        out->checksum_value = value;
    }
}

/* Cuts `line` at `separator` and returns what follows it, or NULL. */
static char *cut(char *line, char separator)
{
    char *at = strchr(line, separator);
    if (at)
        *at++ = '\0';
    return at;
}

ssize_t head_parse(char *text, size_t text_bytes, struct head *out)
{
    char *end = memmem(text, text_bytes, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memchr(text, '\0', (size_t)(end - text)))
        return -1;
    *end = '\0';

    *out = (struct head){.content_length_bytes = -1, .decoded_bytes = -1};
    char *next = strstr(text, "\r\n");
    if (next) {
        *next = '\0';
        next += 2;
    }
    char *path = cut(text, ' ');
    char *version = path ? cut(path, ' ') : NULL;
    if (!version || strncmp(version, "HTTP/1.", 7) || path[0] != '/')
        return -1;
    char *query = cut(path, '?');
    out->method = text;
    out->path = path;
    out->query = query ? query : "";
    out->close = version[7] == '0';

    while (next) {
        char *line = next;
        next = strstr(line, "\r\n");
        if (next) {
            *next = '\0';
            next += 2;
        }
        char *value = cut(line, ':');
        if (value)
            header(out, line, value + strspn(value, " \t"));
    }
    return end + 4 - text;
}

bool query_get(const char *query, const char *name, char *value, size_t value_bytes)
{
    size_t name_bytes = strlen(name);
    while (*query) {
        size_t item_bytes = strcspn(query, "&");
        if (item_bytes >= name_bytes && !strncmp(query, name, name_bytes)
            && (item_bytes == name_bytes || query[name_bytes] == '=')) {
            size_t start = name_bytes + (item_bytes > name_bytes);
            size_t keep = item_bytes - start;
            if (keep >= value_bytes)
                keep = value_bytes - 1;
            memcpy(value, query + start, keep);
            value[keep] = '\0';
            return true;
        }
        query += item_bytes + (query[item_bytes] == '&');
    }
    return false;
}
