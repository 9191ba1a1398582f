"""Ports for programs that are told theirs."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

FIRST, LAST = 10_000, 32_767  # above are those that Linux gives to whoever connects


def free_port():
    """A port that nobody has, and that no connection of others will have as its own end."""
    while True:
        port = FIRST + secrets.randbelow(LAST - FIRST + 1)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
