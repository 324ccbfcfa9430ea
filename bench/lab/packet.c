#include "packet.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

enum {
    IP_LENGTH_AT = 2,
    IP_ID_AT = 4,
    IP_PROTOCOL_AT = 9,
    IP_CHECKSUM_AT = 10,
    IP_ADDRESSES_AT = 12,
    IP_HEADER_MIN = 20,
    TCP_SEQUENCE_AT = 4,
    TCP_OFFSET_AT = 12,
    TCP_FLAGS_AT = 13,
    TCP_CHECKSUM_AT = 16,
    TCP_HEADER_MIN = 20,
};

enum { FIN = 0x01, PSH = 0x08, CWR = 0x80 };

static const size_t VNET_BYTES = sizeof(struct virtio_net_hdr);

static size_t ip_header_bytes(const unsigned char *ip)
{
    return (size_t)(ip[0] & 15) * 4;
}

int packet_parse(const unsigned char *frame, size_t frame_bytes, struct packet *out)
{
    struct virtio_net_hdr vnet;
    if (frame_bytes < VNET_BYTES + IP_HEADER_MIN)
        return 0;
    memcpy(&vnet, frame, sizeof vnet);
    const unsigned char *ip = frame + VNET_BYTES;
    size_t ip_bytes = frame_bytes - VNET_BYTES;
    if (ip[0] >> 4 != 4)
        return 0;
    /* One that isn't to be cut is one segment without a header. */
    *out = (struct packet){frame, frame_bytes, 0, ip_bytes, ip_bytes, 1};
    size_t ip_header = ip_header_bytes(ip);
    if (vnet.gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || !vnet.gso_size
        || ip[IP_PROTOCOL_AT] != IPPROTO_TCP || ip_bytes < ip_header + TCP_HEADER_MIN)
        return 1;
    out->header_bytes = ip_header + (size_t)(ip[ip_header + TCP_OFFSET_AT] >> 4) * 4;
    if (out->header_bytes >= ip_bytes)
        return 0;
    out->payload_bytes = ip_bytes - out->header_bytes;
    out->segment_bytes = vnet.gso_size;
    out->segments = (out->payload_bytes + out->segment_bytes - 1) / out->segment_bytes;
    return 1;
}

/* Payload of `count` segments from `first` on. */
static size_t slice_bytes(const struct packet *packet, size_t first, size_t count)
{
    size_t from = first * packet->segment_bytes, to = (first + count) * packet->segment_bytes;
    return (to < packet->payload_bytes ? to : packet->payload_bytes) - from;
}

size_t packet_wire_bytes(const struct packet *packet, size_t first, size_t count)
{
    return count * packet->header_bytes + slice_bytes(packet, first, count);
}

static void put16(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static uint32_t get16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t sum16(const unsigned char *at, size_t bytes, uint32_t sum)
{
    for (size_t i = 0; i < bytes; i += 2)
        sum += get16(at + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

size_t packet_slice(const struct packet *packet, size_t first, size_t count, unsigned char *out)
{
    if (count == packet->segments) {
        memcpy(out, packet->frame, packet->frame_bytes);
        return packet->frame_bytes;
    }
    size_t offset = first * packet->segment_bytes;
    size_t payload = slice_bytes(packet, first, count);
    size_t ip_bytes = packet->header_bytes + payload;
    memcpy(out, packet->frame, VNET_BYTES + packet->header_bytes);
    memcpy(out + VNET_BYTES + packet->header_bytes,
           packet->frame + VNET_BYTES + packet->header_bytes + offset, payload);
    if (count == 1) {
        struct virtio_net_hdr vnet;
        memcpy(&vnet, out, sizeof vnet);
        vnet.gso_type = VIRTIO_NET_HDR_GSO_NONE;
        vnet.gso_size = 0;
        memcpy(out, &vnet, sizeof vnet);
    }

    unsigned char *ip = out + VNET_BYTES;
    size_t ip_header = ip_header_bytes(ip);
    put16(ip + IP_LENGTH_AT, (uint32_t)ip_bytes);
    put16(ip + IP_ID_AT, get16(ip + IP_ID_AT) + (uint32_t)first);
    put16(ip + IP_CHECKSUM_AT, 0);
    put16(ip + IP_CHECKSUM_AT, ~sum16(ip, ip_header, 0));

    unsigned char *tcp = ip + ip_header;
    uint32_t sequence;
    memcpy(&sequence, tcp + TCP_SEQUENCE_AT, 4);
    sequence = htonl(ntohl(sequence) + (uint32_t)offset);
    memcpy(tcp + TCP_SEQUENCE_AT, &sequence, 4);
    if (first + count < packet->segments)
        tcp[TCP_FLAGS_AT] &= (unsigned char)~(FIN | PSH);
    if (first)
        tcp[TCP_FLAGS_AT] &= (unsigned char)~CWR;
    /* What virtio asks for: the sum of the pseudo header, to which the rest would be added. */
    put16(tcp + TCP_CHECKSUM_AT,
          sum16(ip + IP_ADDRESSES_AT, 8, IPPROTO_TCP + (uint32_t)(ip_bytes - ip_header)));
    return VNET_BYTES + ip_bytes;
}
