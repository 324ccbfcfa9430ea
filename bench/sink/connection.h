/* One client connection: requests are read, their bodies dropped, answers sent. */
#ifndef SINK_CONNECTION_H
#define SINK_CONNECTION_H

#include <stdint.h>

struct connection;
struct inflow;

enum progress {
    /* In the middle of a large body: the longer one waits, the more a call drops. */
    IN_BULK,
    /* A client may be waiting for us. */
    IN_DIALOGUE,
    /* In the middle of a body that has a cap: it goes on after its next ration, not when data come. */
    RATIONED,
    /* In the middle of an answer: it goes on when the client has taken some of it. */
    SENDING,
    ENDED,
};

struct connection *connection_new(int fd, struct inflow *inflow);
int connection_fd(const struct connection *c);
void connection_free(struct connection *c);

/* Goes on as far as it can without waiting. */
enum progress connection_advance(struct connection *c);

/* What it may take until the next tick, if there is a cap; see shape.h. */
void connection_ration(struct connection *c, int64_t share_bytes, int64_t now_ns);

#endif
