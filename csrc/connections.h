/* What the kernel knows of the connections that event loops watch: struct tcp_info, summed.
 *
 * A runtime keeps its sockets to itself, but they are descriptors of this process, and /proc/self/fdinfo of an epoll
 * descriptor lists what it watches, with inodes. So exactly the connections of given event loops are counted: not
 * those that other parts of the process have to the same port. 250 connections take about 0.2 ms a look.
 */
#ifndef FASTPUT_CONNECTIONS_H
#define FASTPUT_CONNECTIONS_H

#include <stddef.h>
#include <stdint.h>

/* Sums since fp_connections_new over all connections there have been, closed ones with what was last seen of them;
 * the last four are of the newest look. */
struct fp_connection_totals {
    int64_t acknowledged_bytes; /* cumulatively or selectively: what has arrived, lossy links too */
    int64_t sent_bytes;         /* repetitions included */
    int64_t retransmitted_bytes;
    int64_t busy_us;             /* there was something to send or to be acknowledged */
    int64_t receiver_limited_us; /* of that: the receiver's window was full */
    int64_t buffer_limited_us;   /* of that: the send buffer was too small */
    int64_t open;                /* connections */
    int64_t active;              /* of those: something was acknowledged since the look before */
    int64_t rtt_us;              /* mean over the active ones, weighted by what was acknowledged; 0: none */
    int64_t min_rtt_us;          /* each one's least, mean over the open; 0: unknown */
};

struct fp_connections;

/* epolls: descriptors; port: of the other ends. NULL: no memory. */
struct fp_connections *fp_connections_new(const int *epolls, size_t count, uint16_t port);
void fp_connections_free(struct fp_connections *c);

/* Brings the totals up to date. 0, or an errno: ENOTSUP where the system doesn't say. */
int fp_connections_look(struct fp_connections *c, struct fp_connection_totals *totals);

/* The most that all connections together may send, from the next look on; UINT64_MAX: no limit. Each look gives every
 * connection an even share of it among those that are sending then. The kernel spaces the packets. */
void fp_connections_pace(struct fp_connections *c, uint64_t bytes_per_s);

#endif
