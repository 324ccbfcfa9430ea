/* How fast bodies may come in: a cap for all connections, one for each, and a knee.
 *
 * Connections that are receiving a body take their rations at ticks, a few milliseconds apart,
 * instead of when data come. A tick's share is that of all, divided evenly; what one leaves the
 * others have at the next tick. A late tick has more to hand out, so rates hold over time.
 */
#ifndef SINK_SHAPE_H
#define SINK_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

enum { TICK_NS = 4000000 };

struct shape {
    double rate_bytes_per_s;            /* of all connections together; 0: no cap */
    double connection_rate_bytes_per_s; /* of each; 0: no cap */
    unsigned knee;                      /* with n > knee receiving, all get rate * (knee / n)^2; 0: none */
};

/* What one connection has saved up. */
struct purse {
    double bytes;
    int64_t filled_ns;
};

/* False, and nothing changed, if the numbers make no sense. Connections follow at their next tick. */
bool shape_set(struct shape shape);

/* Whether there is any cap. */
bool shape_on(void);

/* CLOCK_MONOTONIC. */
int64_t shape_now_ns(void);

/* What each of the connections that are receiving may take at this tick, as far as all are concerned. */
int64_t shape_share(int64_t now_ns);

/* What one connection may take of its share now. A purse that was not in use starts at `purse_open`. */
int64_t shape_ration(struct purse *purse, int64_t share_bytes, int64_t now_ns);
void purse_open(struct purse *purse, int64_t now_ns);

/* Bytes were taken by a connection. */
void shape_took(struct purse *purse, uint64_t bytes);

/* A receive buffer that is full soon after a connection is too fast for its ration. */
int shape_buffer_bytes(void);

#endif
