/* What comes in at each door (a port of the sink) at this moment, and how it went on over time.
 *
 * Clients that run at the same time get a door each, so that they can be told apart.
 */
#ifndef SINK_INFLOW_H
#define SINK_INFLOW_H

#include <stdatomic.h>

enum { DOORS_MAX = 8 };

struct inflow {
    atomic_ullong body_bytes;
    atomic_uint open;      /* connections that have sent an S3 request */
    atomic_uint receiving; /* those of them that are in the middle of a body */
};

extern struct inflow inflows[DOORS_MAX];

/* Connections that are receiving a body, at all doors. */
unsigned inflow_receiving(void);

/* Appends a line to the file every 0.1 s until the process ends: seconds since the epoch, then
 * body_bytes, open and receiving of each door. */
void inflow_record(const char *path, unsigned doors);

#endif
