"""The Python interface."""

from fastput.client.client import Client, put

__all__ = ["Client", "put"]
