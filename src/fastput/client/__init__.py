"""The Python interface."""

from fastput.client.client import Client
from fastput.client.functions import open, put, verify

__all__ = ["Client", "open", "put", "verify"]
