#define _GNU_SOURCE
#include "connection.h"

#include "inflow.h"
#include "shape.h"
#include "stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Most that one recv drops. */
    TAKE_BYTES = 64 << 20,
    /* A body with less than this to come is near its answer. */
    BULK_BYTES = 64 << 10,
};

enum expected { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, ANSWER, SLICE };

struct connection {
    int fd;
    bool counted;
    bool receiving; /* a body */
    struct inflow *inflow;
    enum expected expected;
    uint64_t left_bytes; /* of the body or chunk */
    uint64_t body_bytes; /* so far */
    uint64_t ration_bytes; /* left of this tick's, while there is a cap */
    struct purse purse;
    int buffer_bytes; /* 0: the kernel's choice */
    struct head head;    /* points into head_text */
    enum s3_kind kind;
    struct s3_slice slice; /* left of an answer */
    size_t have_bytes; /* unread, at the start of text */
    char text[HEAD_BYTES];
    char head_text[HEAD_BYTES];
};

enum step { ON, WAIT, END };

struct connection *connection_new(int fd, struct inflow *inflow)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c) {
        c->fd = fd;
        c->inflow = inflow;
    }
    return c;
}

int connection_fd(const struct connection *c)
{
    return c->fd;
}

static void begin_receiving(struct connection *c)
{
    c->receiving = true;
    atomic_fetch_add(&c->inflow->receiving, 1);
    c->ration_bytes = 0;
    if (shape_on())
        purse_open(&c->purse, shape_now_ns());
}

static void end_receiving(struct connection *c)
{
    if (c->receiving)
        atomic_fetch_sub(&c->inflow->receiving, 1);
    c->receiving = false;
}

void connection_free(struct connection *c)
{
    if (c->expected != HEAD && c->expected != SLICE)
        stats_request(c->kind, c->body_bytes, false);
    end_receiving(c);
    if (c->counted) {
        stats_connection_closed();
        atomic_fetch_sub(&c->inflow->open, 1);
    }
    close(c->fd);
    free(c);
}

static bool about_sink(const struct connection *c)
{
    return c->kind == S3_SINK_STATS || c->kind == S3_SINK_RESET || c->kind == S3_SINK_SHAPE;
}

/* How many bytes of `want_bytes` this connection may take now; 0: at the next tick. */
static size_t allowance(const struct connection *c, uint64_t want_bytes)
{
    uint64_t most_bytes = shape_on() ? c->ration_bytes : TAKE_BYTES;
    return want_bytes < most_bytes ? (size_t)want_bytes : (size_t)most_bytes;
}

void connection_ration(struct connection *c, int64_t share_bytes, int64_t now_ns)
{
    if (!shape_on())
        return;
    int buffer_bytes = shape_buffer_bytes();
    if (c->buffer_bytes != buffer_bytes) {
        c->buffer_bytes = buffer_bytes;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof buffer_bytes);
    }
    c->ration_bytes = (uint64_t)shape_ration(&c->purse, share_bytes, now_ns);
}

static enum step received(ssize_t got)
{
    return got > 0 ? ON : got < 0 && errno == EAGAIN ? WAIT : END;
}

static enum step send_text(struct connection *c, const char *text, size_t text_bytes)
{
    /* An answer fits the send buffer; a client that reads none of them is dropped. */
    ssize_t sent = send(c->fd, text, text_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == (ssize_t)text_bytes ? ON : END;
}

static void consume(struct connection *c, size_t bytes)
{
    c->have_bytes -= bytes;
    memmove(c->text, c->text + bytes, c->have_bytes);
}

static enum step fill(struct connection *c)
{
    if (c->have_bytes == sizeof c->text)
        return END;
    ssize_t got = recv(c->fd, c->text + c->have_bytes, sizeof c->text - c->have_bytes,
                       MSG_DONTWAIT);
    if (got > 0)
        c->have_bytes += (size_t)got;
    return received(got);
}

/* Reads one line, without its end, into `line`. */
static enum step read_line(struct connection *c, char *line, size_t line_bytes)
{
    char *end;
    while (!(end = memmem(c->text, c->have_bytes, "\r\n", 2))) {
        enum step step = fill(c);
        if (step != ON)
            return step;
    }
    size_t used = (size_t)(end - c->text);
    if (used >= line_bytes)
        return END;
    memcpy(line, c->text, used);
    line[used] = '\0';
    consume(c, used + 2);
    return ON;
}

static enum step read_head(struct connection *c)
{
    while (!memmem(c->text, c->have_bytes, "\r\n\r\n", 4)) {
        enum step step = fill(c);
        if (step != ON)
            return step;
    }
    memcpy(c->head_text, c->text, c->have_bytes);
    ssize_t head_bytes = head_parse(c->head_text, c->have_bytes, &c->head);
    if (head_bytes <= 0)
        return END;
    consume(c, (size_t)head_bytes);

    const struct head *head = &c->head;
    c->kind = s3_classify(head);
    c->body_bytes = 0;
    c->left_bytes = head->content_length_bytes > 0 ? (uint64_t)head->content_length_bytes : 0;
    c->expected = head->chunked ? CHUNK_SIZE : BODY;
    /* Counted from its first S3 request on: questions about the sink don't show. */
    if (!c->counted && !about_sink(c)) {
        c->counted = true;
        stats_connection_opened();
        atomic_fetch_add(&c->inflow->open, 1);
    }
    if (c->left_bytes || head->chunked)
        begin_receiving(c);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    return head->expect_continue && !c->have_bytes ? send_text(c, go_on, sizeof go_on - 1) : ON;
}

static void dropped(struct connection *c, size_t bytes)
{
    if (bytes)
        stats_first_body();
    c->body_bytes += bytes;
    c->left_bytes -= bytes;
    atomic_fetch_add_explicit(&c->inflow->body_bytes, bytes, memory_order_relaxed);
    if (shape_on()) {
        c->ration_bytes -= bytes < c->ration_bytes ? bytes : c->ration_bytes;
        shape_took(&c->purse, bytes);
    }
}

/* Drops what there is of a body or chunk: MSG_TRUNC frees it in the kernel, without a copy. */
static enum step drop(struct connection *c)
{
    size_t here = c->left_bytes < c->have_bytes ? (size_t)c->left_bytes : c->have_bytes;
    consume(c, here);
    dropped(c, here);
    if (!c->left_bytes)
        return ON;
    size_t allowed = allowance(c, c->left_bytes);
    if (!allowed)
        return WAIT;
    ssize_t got = recv(c->fd, NULL, allowed, MSG_TRUNC | MSG_DONTWAIT);
    if (got <= 0)
        return received(got);
    dropped(c, (size_t)got);
    /* What is left has not come yet: epoll says when, a second recv would only fail. */
    return c->left_bytes ? WAIT : ON;
}

static enum step read_chunk_size(struct connection *c)
{
    char line[256], *end;
    enum step step = read_line(c, line, sizeof line);
    if (step != ON)
        return step;
    c->left_bytes = strtoull(line, &end, 16);
    c->expected = c->left_bytes ? CHUNK_DATA : TRAILER;
    return end == line ? END : ON;
}

static enum step read_trailer(struct connection *c)
{
    char line[4096];
    enum step step = read_line(c, line, sizeof line);
    if (step == ON && !line[0])
        c->expected = ANSWER;
    return step;
}

/* What isn't named has no cap from now on. */
static bool change_shape(const char *query)
{
    char rate[32] = "0", connection_rate[32] = "0", knee[32] = "0";
    query_get(query, "rate", rate, sizeof rate);
    query_get(query, "connection_rate", connection_rate, sizeof connection_rate);
    query_get(query, "knee", knee, sizeof knee);
    return shape_set((struct shape){strtod(rate, NULL), strtod(connection_rate, NULL),
                                    (unsigned)strtoul(knee, NULL, 10)});
}

static enum step answer(struct connection *c)
{
    char out[ANSWER_BYTES], stats[STATS_BYTES];
    const struct head *head = &c->head;
    size_t out_bytes;
    uint64_t object_bytes = head->decoded_bytes >= 0 ? (uint64_t)head->decoded_bytes
                                                     : c->body_bytes;
    if (object_bytes > c->body_bytes)
        return END;
    end_receiving(c);
    if (c->kind == S3_SINK_STATS) {
        stats_json(stats);
        out_bytes = s3_respond(out, "200 OK", "", "application/json", stats);
    } else if (c->kind == S3_SINK_RESET) {
        stats_reset();
        out_bytes = s3_respond(out, "200 OK", "", NULL, "");
    } else if (c->kind == S3_SINK_SHAPE) {
        const char *status = change_shape(head->query) ? "200 OK" : "400 Bad Request";
        out_bytes = s3_respond(out, status, "", NULL, "");
    } else {
        out_bytes = s3_answer(head, c->kind, object_bytes, out, &c->slice);
        stats_request(c->kind, c->body_bytes, true);
    }
    c->expected = c->slice.left_bytes ? SLICE : HEAD;
    enum step step = send_text(c, out, out_bytes);
    return head->close && !c->slice.left_bytes ? END : step;
}

static enum step send_slice(struct connection *c)
{
    enum step step = received(s3_send(c->fd, &c->slice));
    /* The socket is full, or soon will be: others are served meanwhile. */
    if (step == ON && c->slice.left_bytes)
        return WAIT;
    return step == ON && c->head.close ? END : step;
}

/* A step that is done, and what is expected after it. */
static enum step then(struct connection *c, enum step step, enum expected next)
{
    if (step == ON)
        c->expected = next;
    return step;
}

static enum step one_step(struct connection *c)
{
    char empty[1];
    switch (c->expected) {
    case HEAD: return read_head(c);
    case BODY: return then(c, drop(c), ANSWER);
    case CHUNK_SIZE: return read_chunk_size(c);
    case CHUNK_DATA: return then(c, drop(c), CHUNK_END);
    case CHUNK_END: return then(c, read_line(c, empty, sizeof empty), CHUNK_SIZE);
    case TRAILER: return read_trailer(c);
    case ANSWER: return answer(c);
    case SLICE: return then(c, send_slice(c), HEAD);
    }
    return END;
}

enum progress connection_advance(struct connection *c)
{
    bool answered = false;
    enum step step = ON;
    while (step == ON) {
        answered |= c->expected == ANSWER;
        step = one_step(c);
    }
    if (step == END)
        return ENDED;
    if (c->receiving && shape_on())
        return RATIONED;
    if (c->expected == SLICE)
        return SENDING;
    return !answered && c->left_bytes >= BULK_BYTES ? IN_BULK : IN_DIALOGUE;
}
