"""Fixtures that every tier shares."""

from __future__ import annotations

import hypothesis
import pytest
import structlog

from storage import database as storage_database
from storage import encoding
from tests import postgres

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
