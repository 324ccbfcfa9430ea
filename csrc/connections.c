#include "connections.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#ifdef __linux__

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* One connection, as it was when it was last seen. */
struct seen {
    unsigned long inode;
    int descriptor;
    uint64_t pace_bytes_per_s;
    int64_t acknowledged_bytes;
    struct tcp_info info;
};

struct fp_connections {
    int *epolls;
    size_t epoll_count;
    uint16_t port;
    uint64_t pace_bytes_per_s;
    struct seen *before, *now; /* sorted by inode */
    size_t before_count, now_count, before_room, now_room;
    struct fp_connection_totals totals;
};

struct fp_connections *fp_connections_new(const int *epolls, size_t count, uint16_t port)
{
    struct fp_connections *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->epolls = malloc((count ? count : 1) * sizeof *epolls);
    if (!c->epolls) {
        free(c);
        return NULL;
    }
    if (count)
        memcpy(c->epolls, epolls, count * sizeof *epolls);
    c->epoll_count = count;
    c->port = port;
    c->pace_bytes_per_s = UINT64_MAX;
    return c;
}

void fp_connections_free(struct fp_connections *c)
{
    if (!c)
        return;
    free(c->epolls);
    free(c->before);
    free(c->now);
    free(c);
}

static uint16_t peer_port(int descriptor)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    if (getpeername(descriptor, (struct sockaddr *)&peer, &size) != 0)
        return 0;
    if (peer.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&peer)->sin_port);
    if (peer.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&peer)->sin6_port);
    return 0;
}

/* Adds a descriptor if it is a connection of ours. Kernels before 4.19 leave the newest fields at 0. */
static int add(struct fp_connections *c, int descriptor, unsigned long inode)
{
    if (peer_port(descriptor) != c->port)
        return 0;
    if (c->now_count == c->now_room) {
        size_t room = c->now_room ? 2 * c->now_room : 64;
        struct seen *grown = realloc(c->now, room * sizeof *grown);
        if (!grown)
            return ENOMEM;
        c->now = grown;
        c->now_room = room;
    }
    struct seen *one = &c->now[c->now_count];
    memset(one, 0, sizeof *one);
    socklen_t size = sizeof one->info;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &one->info, &size) != 0)
        return 0; /* closed meanwhile, or not TCP */
    one->inode = inode;
    one->descriptor = descriptor;
    one->pace_bytes_per_s = UINT64_MAX;
    one->acknowledged_bytes =
        (int64_t)one->info.tcpi_bytes_acked + (int64_t)one->info.tcpi_sacked * one->info.tcpi_snd_mss;
    c->now_count++;
    return 0;
}

/* Reads the list of what an event loop watches: lines of "tfd: 12 events: ... ino:7f3 sdev:8". */
static int add_watched(struct fp_connections *c, int epoll)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll);
    FILE *list = fopen(path, "re");
    if (!list)
        return errno == ENOENT ? 0 : errno; /* the event loop has ended */
    int error = 0;
    while (!error && fgets(line, sizeof line, list)) {
        int descriptor;
        unsigned long inode = 0;
        const char *word = strstr(line, " ino:");
        if (sscanf(line, "tfd: %d", &descriptor) == 1 && word && sscanf(word, " ino:%lx", &inode) == 1)
            error = add(c, descriptor, inode);
    }
    fclose(list);
    return error;
}

static int by_inode(const void *a, const void *b)
{
    unsigned long left = ((const struct seen *)a)->inode, right = ((const struct seen *)b)->inode;
    return (left > right) - (left < right);
}

static void pace(struct seen *one, uint64_t bytes_per_s)
{
    if (one->pace_bytes_per_s == bytes_per_s)
        return;
    if (setsockopt(one->descriptor, SOL_SOCKET, SO_MAX_PACING_RATE, &bytes_per_s, sizeof bytes_per_s) == 0)
        one->pace_bytes_per_s = bytes_per_s;
}

/* Idle ones too: that is what they begin with. */
static void pace_all(struct fp_connections *c, uint64_t sending)
{
    uint64_t each = c->pace_bytes_per_s;
    if (each != UINT64_MAX)
        each = each / (sending ? sending : 1) + 1;
    for (size_t i = 0; i < c->now_count; i++)
        pace(&c->now[i], each);
}

static bool is_sending(const struct seen *one)
{
    return one->info.tcpi_unacked > 0 || one->info.tcpi_notsent_bytes > 0;
}

/* What one connection adds to the totals; before: as it was, zeros if it is new. Returns what was acknowledged. */
static int64_t count(struct fp_connection_totals *totals, const struct seen *before, const struct seen *now)
{
    int64_t acknowledged_bytes = now->acknowledged_bytes - before->acknowledged_bytes;
    const struct tcp_info *was = &before->info, *is = &now->info;
    totals->acknowledged_bytes += acknowledged_bytes;
    totals->sent_bytes += (int64_t)(is->tcpi_bytes_sent - was->tcpi_bytes_sent);
    totals->retransmitted_bytes += (int64_t)(is->tcpi_bytes_retrans - was->tcpi_bytes_retrans);
    totals->busy_us += (int64_t)(is->tcpi_busy_time - was->tcpi_busy_time);
    totals->receiver_limited_us += (int64_t)(is->tcpi_rwnd_limited - was->tcpi_rwnd_limited);
    totals->buffer_limited_us += (int64_t)(is->tcpi_sndbuf_limited - was->tcpi_sndbuf_limited);
    totals->open++;
    totals->active += acknowledged_bytes > 0;
    return acknowledged_bytes > 0 ? acknowledged_bytes : 0;
}

int fp_connections_look(struct fp_connections *c, struct fp_connection_totals *totals)
{
    static const struct seen nothing;
    c->now_count = 0;
    for (size_t i = 0; i < c->epoll_count; i++) {
        int error = add_watched(c, c->epolls[i]);
        if (error)
            return error;
    }
    if (c->now_count)
        qsort(c->now, c->now_count, sizeof *c->now, by_inode);
    struct fp_connection_totals *sum = &c->totals;
    sum->open = sum->active = sum->min_rtt_us = 0;
    double weighted_rtt_us = 0;
    int64_t weight_bytes = 0, least_us = 0, least_count = 0;
    uint64_t sending = 0;
    size_t old = 0;
    for (size_t i = 0; i < c->now_count; i++) {
        struct seen *one = &c->now[i];
        while (old < c->before_count && c->before[old].inode < one->inode)
            old++;
        const struct seen *was = old < c->before_count && c->before[old].inode == one->inode ? &c->before[old] : NULL;
        if (was)
            one->pace_bytes_per_s = was->pace_bytes_per_s;
        int64_t acknowledged_bytes = count(sum, was ? was : &nothing, one);
        weighted_rtt_us += (double)acknowledged_bytes * one->info.tcpi_rtt;
        weight_bytes += acknowledged_bytes;
        sending += is_sending(one);
        if (one->info.tcpi_min_rtt != UINT32_MAX && one->info.tcpi_min_rtt > 0)
            least_us += one->info.tcpi_min_rtt, least_count++;
    }
    pace_all(c, sending);
    /* Not the least of all: where packets are lost Linux takes some round trips for a third shorter than light allows. */
    sum->min_rtt_us = least_count ? least_us / least_count : 0;
    sum->rtt_us = weight_bytes ? (int64_t)(weighted_rtt_us / (double)weight_bytes) : 0;
    struct seen *swap = c->before;
    size_t room = c->before_room;
    c->before = c->now, c->before_count = c->now_count, c->before_room = c->now_room;
    c->now = swap, c->now_room = room;
    *totals = *sum;
    return 0;
}

void fp_connections_pace(struct fp_connections *c, uint64_t bytes_per_s)
{
    c->pace_bytes_per_s = bytes_per_s;
}

#else

struct fp_connections *fp_connections_new(const int *epolls, size_t count, uint16_t port)
{
    (void)epolls, (void)count, (void)port;
    return calloc(1, 1);
}

void fp_connections_free(struct fp_connections *c)
{
    free(c);
}

int fp_connections_look(struct fp_connections *c, struct fp_connection_totals *totals)
{
    (void)c, (void)totals;
    return ENOTSUP;
}

void fp_connections_pace(struct fp_connections *c, uint64_t bytes_per_s)
{
    (void)c, (void)bytes_per_s;
}

#endif
