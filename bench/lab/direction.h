/* One direction of a link: it paces, queues, loses and delays. */
#ifndef LAB_DIRECTION_H
#define LAB_DIRECTION_H

#include "packet.h"

#include <stdint.h>

struct settings {
    double rate_bytes_per_s; /* of IP packets, with their headers */
    int64_t delay_ns;
    double loss; /* probability of each segment */
    double queue_bytes;
};

struct counters {
    uint64_t segments; /* that came */
    uint64_t lost;     /* at random */
    uint64_t overflowed;
    uint64_t delivered_bytes;
};

/* A frame on its way. */
struct travelling {
    struct travelling *next;
    int64_t arrived_ns, deliver_ns;
    size_t wire_bytes, frame_bytes;
    unsigned char frame[];
};

struct line {
    struct travelling *first, **end;
};

struct direction {
    int in, out; /* TUN devices */
    struct settings settings;
    struct counters counters;
    struct line waiting; /* to be sent, or just being sent */
    struct line flying;  /* sent, not yet there */
    double waiting_bytes;
    int64_t free_ns;       /* when the last that was sent had left */
    int64_t last_there_ns; /* nothing overtakes */
    uint64_t random;
    double until_lost; /* segments before the next one that is lost */
};

void direction_init(struct direction *d, int in, int out, uint64_t seed);

/* What waits goes on at the new rate, what flies is not touched. */
void direction_change(struct direction *d, struct settings settings, int64_t now_ns);

/* Takes all frames that the device has; returns how many. */
int direction_take(struct direction *d, int64_t now_ns);

/* Delivers what is there by now; returns when the next is, INT64_MAX without one. */
int64_t direction_deliver(struct direction *d, int64_t now_ns);

#endif
