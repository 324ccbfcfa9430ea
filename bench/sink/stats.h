/* What the sink saw, for the programs that measure with it. */
#ifndef SINK_STATS_H
#define SINK_STATS_H

#include "s3.h"

enum { STATS_BYTES = 4096 };

void stats_connection_opened(void);
void stats_connection_closed(void);

/* The first body byte since the last reset came now; later calls cost one load. */
void stats_first_body(void);

/* A request ended; a bad one was cut short or was not what it said it was. */
void stats_request(enum s3_kind kind, uint64_t body_bytes, bool good);

/* Also forgets all objects and uploads. */
void stats_reset(void);

/* `out` has room for STATS_BYTES. */
void stats_json(char *out);

#endif
