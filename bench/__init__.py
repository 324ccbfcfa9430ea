"""Benchmarks: fastput against other S3 upload clients, on one machine."""
