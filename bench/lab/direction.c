#define _GNU_SOURCE
#include "direction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Enough for a round; what comes meanwhile has its turn after the deliveries. */
    FRAMES_A_ROUND = 256,
};

/* A frame that takes longer on the wire than this is cut, so that its segments don't arrive all at the end. */
static const double SLICE_S = 0.001;

static void line_add(struct line *line, struct travelling *t)
{
    t->next = NULL;
    *line->end = t;
    line->end = &t->next;
}

static struct travelling *line_take(struct line *line)
{
    struct travelling *t = line->first;
    line->first = t->next;
    if (!line->first)
        line->end = &line->first;
    return t;
}

/* 0 < x <= 1: splitmix64. */
static double draw(struct direction *d)
{
    uint64_t x = d->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (double)((x >> 11) + 1) / 9007199254740992.0;
}

/* The distance to the next loss is drawn, not each segment's fate. */
static void draw_loss(struct direction *d)
{
    d->until_lost = d->settings.loss > 0 ? floor(log(draw(d)) / log1p(-d->settings.loss)) : INFINITY;
}

void direction_init(struct direction *d, int in, int out, uint64_t seed)
{
    *d = (struct direction){.in = in, .out = out, .random = seed};
    d->waiting.end = &d->waiting.first;
    d->flying.end = &d->flying.first;
}

static int64_t start_ns(const struct direction *d, const struct travelling *t)
{
    return t->arrived_ns > d->free_ns ? t->arrived_ns : d->free_ns;
}

static int64_t sent_ns(const struct direction *d, const struct travelling *t)
{
    return start_ns(d, t) + (int64_t)((double)t->wire_bytes * 1e9 / d->settings.rate_bytes_per_s);
}

/* Brings up to date what has been sent. Nobody has to wait for that: the times come out the same. */
static void send_until(struct direction *d, int64_t now_ns)
{
    while (d->waiting.first && sent_ns(d, d->waiting.first) <= now_ns) {
        struct travelling *t = d->waiting.first;
        d->free_ns = sent_ns(d, t);
        t->deliver_ns = d->free_ns + d->settings.delay_ns;
        if (t->deliver_ns < d->last_there_ns)
            t->deliver_ns = d->last_there_ns;
        d->last_there_ns = t->deliver_ns;
        d->waiting_bytes -= (double)t->wire_bytes;
        line_add(&d->flying, line_take(&d->waiting));
    }
}

void direction_change(struct direction *d, struct settings settings, int64_t now_ns)
{
    double loss_before = d->settings.loss;
    send_until(d, now_ns);
    d->settings = settings;
    if (settings.loss != loss_before || !d->counters.segments)
        draw_loss(d);
}

/* Without what has left of the frame that is being sent. */
static double queued_bytes(const struct direction *d, int64_t now_ns)
{
    if (!d->waiting.first)
        return 0;
    double gone_s = (double)(now_ns - start_ns(d, d->waiting.first)) / 1e9;
    return d->waiting_bytes - (gone_s > 0 ? gone_s * d->settings.rate_bytes_per_s : 0);
}

static void enqueue(struct direction *d, const struct packet *packet, size_t first, size_t count,
                    int64_t now_ns)
{
    struct travelling *t = malloc(sizeof *t + packet->frame_bytes);
    if (!t)
        abort();
    t->arrived_ns = now_ns;
    t->wire_bytes = packet_wire_bytes(packet, first, count);
    t->frame_bytes = packet_slice(packet, first, count, t->frame);
    d->waiting_bytes += (double)t->wire_bytes;
    line_add(&d->waiting, t);
}

static size_t least(size_t count, double limit)
{
    return limit < (double)count ? limit < 0 ? 0 : (size_t)limit : count;
}

/* Queues a packet, without the segments that are lost or find the queue full. */
static void admit(struct direction *d, const struct packet *packet, int64_t now_ns)
{
    double segment_bytes = (double)packet_wire_bytes(packet, 0, 1);
    double slice = fmax(1, SLICE_S * d->settings.rate_bytes_per_s / segment_bytes);
    double room = (d->settings.queue_bytes - queued_bytes(d, now_ns)) / segment_bytes;
    /* An idle link sends, whatever the size of its queue. */
    if (!d->waiting.first)
        room = fmax(1, room);
    d->counters.segments += packet->segments;
    for (size_t first = 0; first < packet->segments;) {
        if (d->until_lost < 1) {
            d->counters.lost++;
            draw_loss(d);
            first++;
            continue;
        }
        size_t left = packet->segments - first;
        size_t count = least(least(least(left, d->until_lost), slice), room);
        if (count) {
            enqueue(d, packet, first, count, now_ns);
        } else {
            count = 1;
            d->counters.overflowed++;
        }
        room -= (double)count;
        d->until_lost -= (double)count;
        first += count;
    }
}

int direction_take(struct direction *d, int64_t now_ns)
{
    static unsigned char frame[FRAME_BYTES_MAX];
    struct packet packet;
    int taken = 0;
    send_until(d, now_ns);
    while (taken < FRAMES_A_ROUND) {
        ssize_t got = read(d->in, frame, sizeof frame);
        if (got <= 0)
            break;
        taken++;
        if (packet_parse(frame, (size_t)got, &packet))
            admit(d, &packet, now_ns);
    }
    return taken;
}

int64_t direction_deliver(struct direction *d, int64_t now_ns)
{
    send_until(d, now_ns);
    while (d->flying.first && d->flying.first->deliver_ns <= now_ns) {
        struct travelling *t = line_take(&d->flying);
        /* A device that takes none is a link that loses. */
        if (write(d->out, t->frame, t->frame_bytes) > 0)
            d->counters.delivered_bytes += t->wire_bytes;
        free(t);
    }
    if (d->flying.first)
        return d->flying.first->deliver_ns;
    return d->waiting.first ? sent_ns(d, d->waiting.first) + d->settings.delay_ns : INT64_MAX;
}
