"""Moves request bodies to the store. Only crt.py imports the AWS Common Runtime."""

from fastput.transport.base import Failure, Request, Response, Ticket, Transport

__all__ = ["Failure", "Request", "Response", "Ticket", "Transport"]
