"""The connections that queries run on: what they may do, and what they may cost."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
import structlog
from alembic import command

from storage import database as connections
from storage import encoding, migrate, partitions, restriction
from storage.errors import Unsuitable
from storage.reader import Reader
from tests import postgres
from tests.builders import NOON, record
from tests.stored import store

OWNER = f"pixsim_owner_{os.getpid()}"


@pytest.fixture(name="readers")
async def _readers(database):
    """Connections for queries."""
    async with connections.reading(database, size=2) as pool:
        yield pool


@pytest.fixture(name="owned")
def _owned(server, empty_database):
    """An empty database of an owner who may neither make roles nor become another."""
    postgres.admin(server, f"CREATE ROLE {OWNER} LOGIN")
    name = urlsplit(empty_database).path.removeprefix("/")
    postgres.admin(server, f"ALTER DATABASE {name} OWNER TO {OWNER}")
    postgres.admin(empty_database, f"ALTER SCHEMA public OWNER TO {OWNER}")
    yield urlunsplit(urlsplit(empty_database)._replace(netloc=f"{OWNER}@"))
    postgres.admin(empty_database, f"DROP OWNED BY {OWNER}")
    postgres.admin(server, f"ALTER DATABASE {name} OWNER TO postgres")
    postgres.admin(server, f"DROP ROLE {OWNER}")


async def test_a_query_reads_all_that_is_ours(pool, readers, distributed):
    """
    The role of queries may read every table and view that a migration made, but what tells of
    keys and sessions. With Citus they run as the collector's own user, and may read that too.
    """
    await partitions.maintain(pool, NOON.date(), ahead=0)
    await store(pool, record(msg="x"))
    ours = await pool.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
        " AND NOT relispartition AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'pixsim_collector_alembic_version' AND NOT EXISTS ("
        "SELECT FROM pg_depend d WHERE d.objid = pg_class.oid AND d.deptype = 'e')"
    )
    for (name,) in ours:
        if name not in {"access_keys", "sessions_ended"}:
            await readers.fetch(f"SELECT * FROM {name} LIMIT 1")
    with (
        contextlib.nullcontext()
        if distributed
        else pytest.raises(asyncpg.InsufficientPrivilegeError)
    ):
        await readers.fetch("SELECT digest FROM access_keys")

    assert {"log_entries", "ledger", "resources", "scopes", "logs", "jobs_seen"} <= {
        name for (name,) in ours
    }
    user = await readers.fetchval("SELECT current_user")
    assert user == (await pool.fetchval("SELECT user") if distributed else connections.READER)


async def test_a_query_changes_nothing(pool, readers, distributed):
    """
    Neither by mistake, for transactions only read, nor on purpose, for the role may not.

    With Citus they have no such role, and only the former holds.
    """
    await store(pool, record(msg="x"))
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await readers.execute("DELETE FROM ledger")
    if distributed:
        return
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await readers.execute("DELETE FROM log_entries")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await readers.execute("SET transaction_read_only = off; DELETE FROM log_entries")
    await pool.execute("CREATE TABLE customers (secret text)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await readers.fetch("SELECT * FROM customers")

    assert await pool.fetchval("SELECT count(*) FROM log_entries") == 1


@pytest.mark.parametrize("name", [*connections.READING_SETTINGS, "temp_file_limit"])
async def test_a_query_has_limits(readers, name):
    """
    Time, memory and disk of a query are limited, whoever asks it.
    """
    expected = {**connections.READING_SETTINGS, "temp_file_limit": connections.TEMP_FILE_LIMIT}
    found = await readers.fetchval("SELECT current_setting($1)", name)

    assert found.replace("1min", "60s") == expected[name]


async def test_a_plain_owner(server, owned):
    """
    An owner who may become no other runs the migrations all the same, there and back, and the
    queries as itself, which is said; they still change nothing.
    """
    with structlog.testing.capture_logs() as lines:
        migrate.upgrade(owned)
        async with connections.reading(owned, size=3) as readers:
            user = await readers.fetchval("SELECT current_user")
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await readers.execute("DELETE FROM log_entries")

    assert user == OWNER
    assert ["queries_run_as_owner"] == [line["event"] for line in lines]


async def test_an_owner_of_the_role(server, owned):
    """
    Once somebody has let the owner become the reader, queries do.
    """
    migrate.upgrade(owned)
    postgres.admin(server, f"GRANT {connections.READER} TO {OWNER}")
    async with connections.reading(owned, size=1) as readers:
        assert await readers.fetchval("SELECT current_user") == connections.READER


async def test_an_owner_who_can_restrict_nobody(server, owned):
    """
    Who may not become the role of keys for some services is told so, until somebody lets them; the
    role may be there already, for it is the whole server's.
    """
    migrate.upgrade(owned)
    async with connections.connected(owned, size=2, init=encoding.prepare) as pool:
        with pytest.raises(Unsuitable, match="pixsim_restricted"):
            await restriction.prepare(pool)
        postgres.admin(
            server,
            "DO 'BEGIN CREATE ROLE pixsim_restricted; EXCEPTION"
            " WHEN duplicate_object THEN NULL; END'",
        )
        postgres.admin(server, f"GRANT pixsim_restricted TO {OWNER}")
        await restriction.prepare(pool)
        await store(pool, record(msg="mine", service="worker", job_id=7), record(job_id=7))
        token = restriction.current.set(restriction.Restriction(("worker",), ()))
        found = await Reader(pool).job(7)
        restriction.current.reset(token)

    assert ["mine"] == [entry.msg for entry in found.entries]


def test_there_and_back(empty_database):
    """
    A downgrade takes away what the upgrade made, and it can be made again.
    """
    objects = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relname <> 'pixsim_collector_alembic_version' AND relname !~ '_pkc$' UNION ALL"
        " SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
    )
    with psycopg.connect(empty_database, autocommit=True) as connection:
        migrate.upgrade(empty_database)
        first = connection.execute(objects).fetchall()
        with migrate._connected(empty_database) as other:
            command.downgrade(migrate._config(other), "base")
        between = connection.execute(objects).fetchall()
        migrate.upgrade(empty_database)
        second = connection.execute(objects).fetchall()

    assert between == []
    assert sorted(first) == sorted(second)
