"""What the kernel knows of this process's connections: the runtime's sockets are descriptors like any other.

Only asked while nothing has been answered for a while, by the watchdog: then a slow link and a dead one look alike
from above.
"""

from __future__ import annotations

import os
import socket
import struct

# struct tcp_info of linux/tcp.h: tcpi_bytes_acked (RFC 4898 tcpEStatsAppHCThruOctetsAcked), since Linux 4.1.
_BYTES_ACKED_OFFSET = 120
_TCP_INFO_BYTES = 192


def acknowledged_bytes(port: int) -> int:
    """Bytes that the other ends of this process's connections to a port have acknowledged; 0 if nobody can say."""
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return 0  # not Linux
    total_bytes = 0
    for descriptor in descriptors:
        try:
            if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
                continue
            duplicate = os.dup(descriptor)
            try:
                connection = socket.socket(fileno=duplicate)
            except OSError:
                os.close(duplicate)  # the number has become another file's meanwhile
                continue
            with connection:
                if connection.getpeername()[1] != port:
                    continue
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                total_bytes += struct.unpack_from("=Q", info, _BYTES_ACKED_OFFSET)[0]
        except (OSError, struct.error, IndexError, TypeError):
            continue  # closed meanwhile, not connected, not TCP
    return total_bytes
