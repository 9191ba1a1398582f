"""Fixtures that every tier shares."""

from __future__ import annotations

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

from storage import database as storage_database
from storage import encoding
from tests import postgres

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class Scheduling(LoadScopeScheduling):
    """Gives one process all tests that share what takes seconds to start, so that it starts once."""

    def _split_scope(self, nodeid):
        """Give the folder whose tests share a browser or a stage, the file that shares a collector."""
        file = nodeid.split("::")[0]
        if file.startswith(("tests/e2e/page/", "tests/chaos/")):
            return file.rpartition("/")[0]
        return file if file.startswith("tests/e2e/") else nodeid


def pytest_xdist_make_scheduler(config, log):
    """Schedule so where tests run in more than one process."""
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def _own_log():
    """A test that sets up our own log, as the command does, leaves none behind."""
    yield
    structlog.reset_defaults()


@pytest.fixture(name="server", scope="session")
def _server():
    """The DSN of a Postgres server with a migrated template."""
    with postgres.server() as dsn, postgres.template(dsn):
        yield dsn


@pytest.fixture(name="database")
def _database(server):
    """The DSN of a migrated database that no other test sees."""
    with postgres.clone(server) as dsn:
        yield dsn


@pytest.fixture(name="empty_database")
def _empty_database(server):
    """The DSN of a database without our schema."""
    with postgres.clone(server, migrated=False) as dsn:
        yield dsn


@pytest.fixture(name="pool")
async def _pool(database):
    """Connections to `database`, as the writer's are."""
    async with storage_database.connected(database, size=5, init=encoding.prepare) as pool:
        yield pool
