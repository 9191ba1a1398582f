"""A Postgres of a test's own that can be stopped, killed, and kept from doing anything."""

from __future__ import annotations

import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress

import psutil
import psycopg

from storage import embedded
from tests import postgres
from tests.waiting import PATIENCE, until


class Stoppable:
    """A server that runs at first; *dsn* is of its database ``postgres``."""

    def __init__(self, dsn, data):
        self.dsn = dsn
        self._data = data
        process = self._postmaster()
        self._command, self._user = process.cmdline(), process.uids().real
        self._started = None

    @property
    def was_stopped(self):
        """Whether the server that runs, if any, is another than at first."""
        return bool(self._started)

    def _postmaster(self):
        return psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))

    def stop(self, how=signal.SIGINT):
        """End it, by default with a fast shutdown."""
        process = self._postmaster()
        children = process.children()
        process.send_signal(how)
        if self._started is not None:
            self._started.wait(PATIENCE)
        gone, alive = psutil.STATUS_ZOMBIE, [process, *children]
        until(lambda: not any(each.is_running() and each.status() != gone for each in alive))

    def start(self):
        """Start it again; returns when it takes connections."""
        # A killed one's, which may be a zombie still.
        for lock in (self._data / "postmaster.pid", *self._data.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)
        with (self._data / "log").open("ab") as log:
            self._started = subprocess.Popen(self._command, user=self._user, stdout=log, stderr=log)
        until(self._answers)

    def _answers(self):
        try:
            psycopg.connect(self.dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    @contextmanager
    def hanging(self):
        """It stands still inside the block, and has not gone."""
        process = self._postmaster()
        every = [process, *process.children()]
        try:
            for each in every:
                with suppress(psutil.NoSuchProcess):  # a session that has just ended
                    each.suspend()
            yield
        finally:
            for each in every:
                with suppress(psutil.NoSuchProcess):
                    each.resume()

    def kill(self):
        """End it, without the fixture that stops it having to wait for it."""
        self.stop(signal.SIGKILL)


@contextmanager
def stoppable():
    """A server that can be stopped."""
    folder = postgres.made_folder("pixsim-tests-stoppable-")
    try:
        with embedded.running(folder / "postgres") as dsn:
            for setting in postgres.HASTY:
                postgres.admin(dsn, f"ALTER SYSTEM SET {setting}")
            postgres.admin(dsn, "SELECT pg_reload_conf()")
            server = Stoppable(dsn, folder / "postgres")
            try:
                yield server
            finally:
                if server.was_stopped:  # the one of now is not known to who started the first
                    server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
