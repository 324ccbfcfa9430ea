"""Sends bodies to a sink as fast as it takes them: python push.py URL CONNECTIONS BYTES_EACH."""

from __future__ import annotations

import socket
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

BLOCK = bytes(1 << 16)


def push(url: str, key: int, size_bytes: int) -> None:
    """One PUT on a connection of its own."""
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"PUT /bucket/{key} HTTP/1.1\r\nContent-Length: {size_bytes}\r\n\r\n".encode())
        for sent_bytes in range(0, size_bytes, len(BLOCK)):
            connection.sendall(BLOCK[: size_bytes - sent_bytes])
        answer = connection.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"the sink answered {answer!r}")


def main() -> None:
    url, connections, size_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda key: push(url, key, size_bytes), range(connections)))


if __name__ == "__main__":
    main()
