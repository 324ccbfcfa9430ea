"""Many small objects under a cap: fastput_small.py URL RATE COUNT BYTES"""

from __future__ import annotations

import sys

import fastput

url, rate, count, size_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
data = bytes(size_bytes)
with fastput.Client(endpoint_url=url, limit_rate=rate) as client:
    for future in [client.submit(data, f"s3://bucket/{number}") for number in range(count)]:
        future.result()
