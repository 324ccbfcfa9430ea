"""Moves request bodies to the store. Only crt.py imports the AWS Common Runtime."""

from fastput.transport.base import Failure, Request, Response, Ticket, Traffic, Transport

__all__ = ["Failure", "Request", "Response", "Ticket", "Traffic", "Transport"]
