"""A collector, its Postgres and the way between them, all of which can fail."""

from __future__ import annotations

import os
import shutil
import signal

import psutil
import psycopg
import pytest

from tests import postgres
from tests.chaos.proxy import proxy
from tests.e2e.conftest import Collector, configuration
from tests.stoppable import stoppable
from tests.waiting import until

# Seconds that a fault lasts in `make chaos`, which has all faults; the gate has no time for more
# than some, and short ones.
LONG = float(os.environ.get("PIXSIM_CHAOS") or 0)


UNHURRIED = "-c statement_timeout=0"  # whatever a fault makes of the server's default


class Stage:
    """All that a fault may hit: ``collector``, ``server`` and ``proxy``."""

    def __init__(self, server, between, dsn, folder):
        self.server, self.proxy, self.dsn = server, between, server.dsn
        self._config = folder / "config.yaml"
        spool = f'spool: {{folder: "{folder / "spool"}"}}'
        self._config.write_text(configuration(f'dsn: "{dsn}", {spool}', "workers: 2"))
        self.lines = []
        self.start()

    def start(self):
        self.collector = Collector(self._config)

    def stop(self, how=signal.SIGTERM):
        code = self.collector.stop(how)
        self.lines += self.collector.lines
        self.collector.lines = []
        return code

    @property
    def log(self):
        """All lines that collectors have logged here."""
        return [*self.lines, *self.collector.lines]

    def workers(self, *, keeping=False):
        """The processes that take records in, or the one that keeps house."""
        found = psutil.Process(self.collector.process.pid).children()
        return [child for child in found if bool(child.nice()) == keeping]

    def execute(self, statement):
        """Run a statement beside the collector, and give its rows."""
        with psycopg.connect(self.dsn, autocommit=True, options=UNHURRIED) as connection:
            found = connection.execute(statement)
            return found.fetchall() if found.description else []


@pytest.fixture(name="stage", scope="session")
def _stage():
    folder = postgres.made_folder("pixsim-chaos-")
    try:
        with stoppable() as server, proxy(server.dsn, folder) as (between, dsn):
            stage = Stage(server, between, dsn, folder)
            yield stage
            assert stage.stop() == 0
    finally:
        shutil.rmtree(folder)


@pytest.fixture(name="well")
def _well(stage):
    """After each fault the collector is healthy and has met no bug of its own."""
    yield
    until(lambda: stage.collector.counters()["pixsim_spool_records", frozenset()] == 0)

    assert "Traceback" not in "".join(line for line in stage.log if "request_failed" in line)
