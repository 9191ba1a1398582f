"""A way to Postgres that can be cut, at any byte of what is sent there."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Passes bytes on from *listener* to the socket *target*."""

    def __init__(self, listener, target):
        self._listener, self._target = listener, target
        self._left = None  # bytes until the cut
        self.cuts = 0

    def cut_after(self, size):
        """Cut the connection on which so many more bytes have been sent to the server."""
        self._left = size

    def serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # it is closed
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client):
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._target)
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server, counts=True)
            back.join()

    def _pass(self, source, target, *, counts=False):
        with suppress(OSError):
            while data := source.recv(65_536):
                if counts and self._left is not None:
                    if self._left < len(data):
                        target.sendall(data[: self._left])
                        self._left = None
                        self.cuts += 1
                        break
                    self._left -= len(data)
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(dsn, folder):
    """A `Proxy` to the server of *dsn*, and the DSN that leads through it."""
    parts = urlsplit(dsn)
    (there,) = parse_qs(parts.query)["host"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen(100)
        between = Proxy(listener, f"{there}/{SOCKET}")
        serving = threading.Thread(target=between.serve, daemon=True)
        serving.start()
        yield between, urlunsplit(parts._replace(query=urlencode({"host": str(folder)})))
        listener.shutdown(socket.SHUT_RDWR)
        serving.join(10)
