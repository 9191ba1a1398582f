"""A PgBouncer that lends its connections for a transaction at a time, and shares them out in turn."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from tests.waiting import until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
needed = pytest.mark.skipif(PROGRAM is None, reason="no pgbouncer on this machine")

# Few servers, and the next one for each transaction: what outlives one is soon in the way.
CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
auth_type = any
pool_mode = {mode}
default_pool_size = 8
server_round_robin = 1
max_client_conn = 200
listen_port = 5432
unix_socket_dir = {folder}
logfile = {folder}/log
"""


class Pooler:
    """A pooler before the server of *dsn*; ``dsn`` leads through it."""

    def __init__(self, dsn, folder, mode):
        parts = urlsplit(dsn)
        asked = parse_qs(parts.query)
        host, port = Path(asked["host"][0]), asked.get("port", ["5432"])[0]
        self._folder = folder
        # Under root it runs as another user, and none but the server's may come to its socket.
        self._user = {"user": host.stat().st_uid} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, *self._user.values())
        self._socket = folder / ".s.PGSQL.5432"
        self.dsn = urlunsplit(parts._replace(query=urlencode({"host": str(folder)})))
        (folder / "pgbouncer.ini").write_text(
            CONFIG.format(host=host, port=port, user=parts.username, folder=folder, mode=mode)
        )
        self.start()

    def start(self):
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [PROGRAM, "-q", self._folder / "pgbouncer.ini"],
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._user,
        )
        until(self._listens)

    def _listens(self):
        assert self._process.poll() is None, (self._folder / "log").read_text()
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self._socket))
            return True
        return False

    def kill(self):
        """End it without a word to anybody."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)


@contextmanager
def pooling(dsn, mode="transaction"):
    """A `Pooler` before the server of *dsn*, inside the block."""
    with tempfile.TemporaryDirectory(prefix="pixsim-pooler-") as name:
        pooler = Pooler(dsn, Path(name), mode)
        try:
            yield pooler
        finally:
            pooler.kill()
