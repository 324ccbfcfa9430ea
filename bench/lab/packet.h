/* IP packets as a TUN device hands them over, and pieces of them.
 *
 * The kernel gives up to 64 KiB of a TCP stream as one packet that stands for many segments, and
 * takes such packets. That is what makes a gigabit affordable; a link, though, queues and loses
 * segments. So a packet can be cut between its segments.
 */
#ifndef LAB_PACKET_H
#define LAB_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum { FRAME_BYTES_MAX = 10 + 65535 };

struct packet {
    const unsigned char *frame; /* struct virtio_net_hdr, then the IP packet */
    size_t frame_bytes;
    size_t header_bytes;  /* of IP and TCP, in each segment */
    size_t payload_bytes; /* of all segments */
    size_t segment_bytes; /* payload of each but the last */
    size_t segments;
};

/* False if it is not an IPv4 packet. */
int packet_parse(const unsigned char *frame, size_t frame_bytes, struct packet *out);

/* Bytes on the wire of `count` segments from `first` on. */
size_t packet_wire_bytes(const struct packet *packet, size_t first, size_t count);

/* Writes them to `out` as a frame of their own and returns its length, at most frame_bytes. */
size_t packet_slice(const struct packet *packet, size_t first, size_t count, unsigned char *out);

#endif
