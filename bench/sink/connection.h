/* One client connection: requests are read, their bodies dropped, answers sent. */
#ifndef SINK_CONNECTION_H
#define SINK_CONNECTION_H

struct connection;

enum progress {
    /* In the middle of a large body: the longer one waits, the more a call drops. */
    IN_BULK,
    /* A client may be waiting for us. */
    IN_DIALOGUE,
    ENDED,
};

struct connection *connection_new(int fd);
void connection_free(struct connection *c);

/* Goes on as far as it can without waiting. */
enum progress connection_advance(struct connection *c);

#endif
