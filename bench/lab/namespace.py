"""Network namespaces: running commands and opening sockets in one, without moving into it."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace, named by a file of /proc; without one it is that of this process."""

    path: str = ""

    def command(self, arguments: Sequence[str]) -> list[str]:
        """What to start instead of `arguments`, so that they run in here. The process stays the same one."""
        if not self.path:
            return list(arguments)
        return ["nsenter", f"--net={self.path}", "--", *arguments]

    def open_socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket stays in the namespace that it was made in: this one goes wherever this process uses it."""
        if not self.path:
            return socket.socket(family, kind)
        # A thread changes its namespace for itself alone, and this one ends at once.
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(self._open_socket, family, kind).result()

    def _open_socket(self, family: int, kind: int) -> socket.socket:
        namespace = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # os.setns is there from Python 3.12 on.
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace, _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, f"the namespace can't be entered: {os.strerror(number)}", self.path)
            return socket.socket(family, kind)
        finally:
            os.close(namespace)


HERE = Namespace()
