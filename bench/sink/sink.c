/* A discarding S3-shaped HTTP/1.1 server for Linux.
 *
 * It measures clients, so it must cost next to nothing itself: one blocking
 * thread a connection (no readiness calls at all), and bodies dropped inside the
 * kernel by recv(MSG_TRUNC), which for TCP frees the data without a copy.
 */
#define _GNU_SOURCE
#include "http.h"
#include "s3.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Most that one recv drops. */
    TAKE_BYTES = 64 << 20,
    /* A thread is woken when this much has come, not for each segment. Well below what a receive
     * window always holds: at 256 KiB a full window was seen to wait for ever for the rest. */
    WAKE_BYTES = 64 << 10,
    THREAD_STACK_BYTES = 256 << 10,
};

struct connection {
    int fd;
    bool counted;
    size_t have_bytes; /* unread bytes at the start of `text` */
    uint64_t body_bytes;
    char text[HEAD_BYTES];
};

/* ---- statistics ---- */

struct stats {
    uint64_t requests[S3_KIND_COUNT];
    uint64_t body_bytes; /* as sent: with the framing of aws-chunked, without that of HTTP */
    uint64_t bad_requests;
    unsigned open_connections, most_connections, connections;
    double last_body_s;
    double cpu_s;
};

static pthread_mutex_t stats_lock = PTHREAD_MUTEX_INITIALIZER;
static struct stats stats;
static atomic_llong first_body_ns; /* CLOCK_REALTIME, 0: none yet */
static const char *stats_path;

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static double cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void stamp_first_body(void)
{
    long long none = 0;
    atomic_compare_exchange_strong(&first_body_ns, &none, now_ns());
}

static void count_request(struct connection *c, enum s3_kind kind, bool good)
{
    bool data = kind == S3_PUT_OBJECT || kind == S3_UPLOAD_PART;
    double last_s = data ? (double)now_ns() / 1e9 : 0;
    pthread_mutex_lock(&stats_lock);
    stats.requests[kind]++;
    stats.bad_requests += !good;
    if (data) {
        stats.body_bytes += c->body_bytes;
        stats.last_body_s = last_s;
    }
    pthread_mutex_unlock(&stats_lock);
}

/* Counted from its first S3 request on, so that questions about the statistics don't show. */
static void count_connection(struct connection *c)
{
    c->counted = true;
    pthread_mutex_lock(&stats_lock);
    stats.connections++;
    if (++stats.open_connections > stats.most_connections)
        stats.most_connections = stats.open_connections;
    pthread_mutex_unlock(&stats_lock);
}

static void reset_stats(void)
{
    s3_forget_all();
    pthread_mutex_lock(&stats_lock);
    unsigned open = stats.open_connections;
    stats = (struct stats){.open_connections = open, .most_connections = open, .cpu_s = cpu_s()};
    atomic_store(&first_body_ns, 0);
    pthread_mutex_unlock(&stats_lock);
}

static void stats_json(char *out, size_t out_bytes)
{
    uint64_t objects, object_bytes;
    s3_totals(&objects, &object_bytes);
    pthread_mutex_lock(&stats_lock);
    struct stats seen = stats;
    pthread_mutex_unlock(&stats_lock);

    size_t used = (size_t)snprintf(
        out, out_bytes,
        "{\"body_bytes\": %llu, \"objects\": %llu, \"object_bytes\": %llu, "
        "\"connections\": %u, \"most_connections\": %u, \"bad_requests\": %llu, "
        "\"first_body_s\": %.6f, \"last_body_s\": %.6f, \"cpu_s\": %.6f, \"requests\": {",
        (unsigned long long)seen.body_bytes, (unsigned long long)objects,
        (unsigned long long)object_bytes, seen.connections, seen.most_connections,
        (unsigned long long)seen.bad_requests, (double)atomic_load(&first_body_ns) / 1e9,
        seen.last_body_s, cpu_s() - seen.cpu_s);
    const char *comma = "";
    for (int kind = 0; kind < S3_KIND_COUNT; kind++)
        if (seen.requests[kind]) {
            used += (size_t)snprintf(out + used, out_bytes - used, "%s\"%s\": %llu", comma,
                                     s3_kind_names[kind], (unsigned long long)seen.requests[kind]);
            comma = ", ";
        }
    snprintf(out + used, out_bytes - used, "}}\n");
}

/* ---- one connection ---- */

/* How many of `want_bytes` this connection may take now. The place for a cap
 * for all, a cap for each connection and a knee: sleep here, return less. */
static size_t allowance(const struct connection *c, uint64_t want_bytes)
{
    (void)c;
    return want_bytes < TAKE_BYTES ? (size_t)want_bytes : TAKE_BYTES;
}

static bool send_all(int fd, const char *text, size_t text_bytes)
{
    while (text_bytes) {
        ssize_t sent = send(fd, text, text_bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        text += sent;
        text_bytes -= (size_t)sent;
    }
    return true;
}

static void consume(struct connection *c, size_t bytes)
{
    c->have_bytes -= bytes;
    memmove(c->text, c->text + bytes, c->have_bytes);
}

/* Receives more text behind what is there; false at the end, or when it is full. */
static bool fill(struct connection *c)
{
    if (c->have_bytes == sizeof c->text)
        return false;
    ssize_t got;
    do
        got = recv(c->fd, c->text + c->have_bytes, sizeof c->text - c->have_bytes, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return false;
    c->have_bytes += (size_t)got;
    return true;
}

/* Drops `bytes` of a body. */
static bool drop(struct connection *c, uint64_t bytes)
{
    if (!bytes)
        return true;
    size_t here = bytes < c->have_bytes ? (size_t)bytes : c->have_bytes;
    if (here && !atomic_load(&first_body_ns))
        stamp_first_body();
    consume(c, here);
    c->body_bytes += here;
    bytes -= here;

    while (bytes) {
        /* The very first byte is waited for alone, so that its time is right. */
        bool first = !atomic_load(&first_body_ns);
        ssize_t got = recv(c->fd, NULL, first ? 1 : allowance(c, bytes),
                           MSG_TRUNC | MSG_WAITALL);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        if (first)
            stamp_first_body();
        c->body_bytes += (uint64_t)got;
        bytes -= (uint64_t)got;
    }
    return true;
}

/* Reads one line, without its end, into `line`. */
static bool read_line(struct connection *c, char *line, size_t line_bytes)
{
    char *end;
    while (!(end = memmem(c->text, c->have_bytes, "\r\n", 2)))
        if (!fill(c))
            return false;
    size_t used = (size_t)(end - c->text);
    if (used >= line_bytes)
        return false;
    memcpy(line, c->text, used);
    line[used] = '\0';
    consume(c, used + 2);
    return true;
}

static bool drop_chunked(struct connection *c)
{
    char line[4096];
    for (;;) {
        char *end;
        if (!read_line(c, line, sizeof line))
            return false;
        unsigned long long chunk_bytes = strtoull(line, &end, 16);
        if (end == line)
            return false;
        if (!chunk_bytes)
            break;
        if (!drop(c, chunk_bytes) || !read_line(c, line, sizeof line) || line[0])
            return false;
    }
    do /* trailers, then an empty line */
        if (!read_line(c, line, sizeof line))
            return false;
    while (line[0]);
    return true;
}

static size_t answer(const struct head *head, enum s3_kind kind, uint64_t object_bytes, char *out)
{
    char body[4096];
    if (kind == S3_SINK_RESET) {
        reset_stats();
        return s3_respond(out, "200 OK", "", NULL, "");
    }
    if (kind != S3_SINK_STATS)
        return s3_answer(head, kind, object_bytes, out);
    stats_json(body, sizeof body);
    return s3_respond(out, "200 OK", "", "application/json", body);
}

/* Serves one request; false ends the connection. */
static bool serve(struct connection *c)
{
    /* The head is copied out: reading a body may move the connection's text. */
    char text[HEAD_BYTES], out[ANSWER_BYTES];
    struct head head;
    ssize_t head_bytes;
    while (!memmem(c->text, c->have_bytes, "\r\n\r\n", 4))
        if (!fill(c))
            return false;
    memcpy(text, c->text, c->have_bytes);
    head_bytes = head_parse(text, c->have_bytes, &head);
    if (head_bytes <= 0)
        return false;
    consume(c, (size_t)head_bytes);

    enum s3_kind kind = s3_classify(&head);
    bool about_sink = kind == S3_SINK_STATS || kind == S3_SINK_RESET;
    if (!c->counted && !about_sink)
        count_connection(c);
    if (head.expect_continue && !c->have_bytes) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (!send_all(c->fd, go_on, sizeof go_on - 1))
            return false;
    }
    c->body_bytes = 0;
    bool whole = head.chunked ? drop_chunked(c)
               : head.content_length_bytes > 0 ? drop(c, (uint64_t)head.content_length_bytes)
                                               : true;
    uint64_t object_bytes = head.decoded_bytes >= 0 ? (uint64_t)head.decoded_bytes : c->body_bytes;
    bool good = whole && object_bytes <= c->body_bytes;
    if (!about_sink)
        count_request(c, kind, good);
    if (!good)
        return false;
    size_t out_bytes = answer(&head, kind, object_bytes, out);
    return send_all(c->fd, out, out_bytes) && !head.close;
}

static void *connection_main(void *argument)
{
    struct connection *c = argument;
    while (serve(c))
        ;
    close(c->fd);
    if (c->counted) {
        pthread_mutex_lock(&stats_lock);
        stats.open_connections--;
        pthread_mutex_unlock(&stats_lock);
    }
    free(c);
    return NULL;
}

/* ---- the process ---- */

static void *signals_main(void *argument)
{
    int number;
    char text[4096];
    sigwait(argument, &number);
    if (stats_path) {
        FILE *file = fopen(stats_path, "w");
        if (file) {
            stats_json(text, sizeof text);
            fputs(text, file);
            fclose(file);
        }
    }
    _exit(0);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_at(const char *address, unsigned short port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t at_bytes = sizeof at;
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
        die("--bind");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Inherited by accepted sockets: one call for all of them. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096))
        die("listen");
    getsockname(fd, (struct sockaddr *)&at, &at_bytes);
    printf("listening %u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},
        {"stats", required_argument, NULL, 's'},
        {"die-with-parent", no_argument, NULL, 'd'},
        {0},
    };
    const char *address = "127.0.0.1";
    unsigned short port = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': port = (unsigned short)atoi(optarg); break;
        case 'b': address = optarg; break;
        case 's': stats_path = optarg; break;
        case 'd':
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        default:
            fprintf(stderr, "usage: sink [--port N] [--bind ADDRESS] [--stats FILE] "
                            "[--die-with-parent]\n");
            return 2;
        }
    }

    static sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    pthread_t thread;
    if (pthread_create(&thread, NULL, signals_main, &ends))
        die("pthread_create");

    int listener = listen_at(address, port);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, THREAD_STACK_BYTES);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        struct connection *c = calloc(1, sizeof *c);
        if (c)
            c->fd = fd;
        if (!c || pthread_create(&thread, &detached, connection_main, c)) {
            close(fd);
            free(c);
        }
    }
}
