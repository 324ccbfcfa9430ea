"""Moves request bodies to the store. Only crt.py imports the AWS Common Runtime."""

from fastput.transport.base import (
    MOST_SMALL_BYTES,
    MOST_SMALL_FILES,
    Failure,
    Fetch,
    Receiver,
    Request,
    Response,
    SmallAnswer,
    SmallFile,
    Ticket,
    Traffic,
    Transport,
)

__all__ = [
    "MOST_SMALL_BYTES",
    "MOST_SMALL_FILES",
    "Failure",
    "Fetch",
    "Receiver",
    "Request",
    "Response",
    "SmallAnswer",
    "SmallFile",
    "Ticket",
    "Traffic",
    "Transport",
]
