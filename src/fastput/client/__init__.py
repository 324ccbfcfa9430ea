"""The Python interface."""

from fastput.client.client import Client, put, verify

__all__ = ["Client", "put", "verify"]
